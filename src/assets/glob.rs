//! Names with `*` in them.

/// Whether `name` is `pattern`, in which each `*` stands for anything but a slash.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('/');
    let mut names = name.split('/');
    loop {
        match (parts.next(), names.next()) {
            (None, None) => return true,
            (Some(part), Some(name)) if matches_part(part, name) => {}
            _ => return false,
        }
    }
}

fn matches_part(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    // What stands between two stars is taken where it comes first: that leaves most to the rest.
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return name.ends_with(piece);
        }
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("a/b.txt", "a/b.txt") && !matches("a/b.txt", "a/c.txt"));
        assert!(matches("a/*.txt", "a/c.txt"));
        assert!(!matches("a/*.txt", "a/b/c.txt") && !matches("a/*.txt", "a/c.md"));
        // The two ends may not overlap.
        assert!(!matches("a/b*b.txt", "a/b.txt"));
        assert!(matches(
            "*/test-*-of-*.parquet",
            "x/test-00000-of-00001.parquet"
        ));
        assert!(!matches(
            "*/test-*-of-*.parquet",
            "test-00000-of-00001.parquet"
        ));
        assert!(matches("*", "anything") && matches("**", "") && !matches("a*b*c", "acb"));
    }
}
