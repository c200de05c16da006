//! Reads the JSON that [`Json`] writes, bare `NaN` and infinities included.

use super::json::{Json, Row};

/// How deep values may lie in each other.
const DEEPEST: usize = 100;

/// The value of `text`; `None` if it is not one.
pub(super) fn parse(text: &str) -> Option<Json> {
    let mut rest = text;
    let value = value(&mut rest, DEEPEST)?;
    rest.trim_start().is_empty().then_some(value)
}

fn value(rest: &mut &str, depth: usize) -> Option<Json> {
    if take(rest, '{') {
        let mut fields = Row::new();
        list(rest, '}', |rest| {
            *rest = rest.trim_start();
            let name = string(rest)?;
            let value = take(rest, ':').then(|| value(rest, depth.checked_sub(1)?))??;
            fields.push((name, value));
            Some(())
        })?;
        return Some(Json::Object(fields));
    }
    if take(rest, '[') {
        let mut items = Vec::new();
        list(rest, ']', |rest| {
            items.push(value(rest, depth.checked_sub(1)?)?);
            Some(())
        })?;
        return Some(Json::List(items));
    }
    if rest.starts_with('"') {
        return string(rest).map(Json::Text);
    }
    let ends = |letter: char| matches!(letter, ',' | ']' | '}') || letter.is_whitespace();
    let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = after;
    match word {
        "NaN" => Some(Json::Float(f64::NAN)),
        "Infinity" => Some(Json::Float(f64::INFINITY)),
        "-Infinity" => Some(Json::Float(f64::NEG_INFINITY)),
        _ => Json::of(&serde_json::from_str::<serde_json::Value>(word).ok()?).ok(),
    }
}

/// Elements with commas between them, up to `end`.
fn list(
    rest: &mut &str,
    end: char,
    mut element: impl FnMut(&mut &str) -> Option<()>,
) -> Option<()> {
    if take(rest, end) {
        return Some(());
    }
    loop {
        element(rest)?;
        if take(rest, end) {
            return Some(());
        }
        take(rest, ',').then_some(())?;
    }
}

/// Skips blanks, and `sign` if it comes next.
fn take(rest: &mut &str, sign: char) -> bool {
    *rest = rest.trim_start();
    let after = rest.strip_prefix(sign);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

fn string(rest: &mut &str) -> Option<String> {
    let mut escaped = false;
    let inner = rest.strip_prefix('"')?;
    let end = inner.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    let (text, after) = rest.split_at(end + 2);
    *rest = after;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            r#"{"a":NaN,"b":[Infinity,-Infinity,1,-2,0.5,18446744073709551615],"c":{}}"#,
            r#"{"NaN, \"x\" \\":"NaN","é":[[],null,true]}"#,
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse(" [ 1 , 2 ] ").unwrap().to_string(), "[1,2]");
        for text in [
            "", "[1,]", "{\"a\"}", "[1] 2", "nan", "\"a", "{1:2}", "[1 2]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(1 << 20)), None);
    }
}
