//! What files there are, and which of them are meant.

use crate::assets::{FileEntry, glob};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

/// Folders within folders that are looked into.
const DEPTH: usize = 6;

/// Files listed of one folder: enough for any data set, and an end for a folder that is none.
const MOST_FILES: usize = 20_000;

/// The files beneath `dir`, in the order of their names; hidden ones are left out.
pub(super) fn walk(dir: &Path) -> Vec<FileEntry> {
    let mut files = Vec::new();
    walk_into(dir, "", DEPTH, &mut files);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn walk_into(dir: &Path, prefix: &str, depth: usize, files: &mut Vec<FileEntry>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Links are followed: caches are made of them.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if name.starts_with('.') || files.len() >= MOST_FILES {
            continue;
        }
        let name = format!("{prefix}{name}");
        if metadata.is_file() {
            files.push(FileEntry {
                name,
                bytes: Some(metadata.len()),
                sha256: None,
            });
        } else if depth > 0 {
            walk_into(&path, &format!("{name}/"), depth - 1, files);
        }
    }
}

/// A name as a task gives it: `file` or `archive!member`.
pub(super) fn parts(name: &str) -> (&str, Option<&str>) {
    match name.split_once('!') {
        Some((archive, member)) => (archive, Some(member)),
        None => (name, None),
    }
}

/// What `name` may be called in a folder that someone filled by hand: as it is, out of its
/// archive, or without the folders it lies in.
pub(super) fn by_hand(name: &str) -> Vec<String> {
    let (archive, member) = parts(name);
    let mut names = vec![name.to_owned()];
    let suffixes = |path: &str, tail: &str, names: &mut Vec<String>| {
        let mut rest = path;
        while let Some((_, inner)) = rest.split_once('/') {
            names.push(format!("{inner}{tail}"));
            rest = inner;
        }
    };
    match member {
        Some(member) => {
            suffixes(archive, &format!("!{member}"), &mut names);
            names.push(member.to_owned());
            suffixes(member, "", &mut names);
        }
        None => suffixes(archive, "", &mut names),
    }
    names
}

/// The parts of `matched` that are not among `files`: `x-00001-of-00002` says that there are two.
pub(super) fn missing_shards(
    pattern: &str,
    matched: &[&FileEntry],
    files: &[FileEntry],
) -> Vec<String> {
    let there: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let mut missing = BTreeSet::new();
    for (before, total, after) in matched.iter().filter_map(|file| shard(&file.name)) {
        for index in 0..total {
            let name = format!("{before}-{index:05}-of-{total:05}{after}");
            // Asked for by its own number, a shard needs no others.
            if !there.contains(name.as_str()) && glob::matches(pattern, &name) {
                missing.insert(name);
            }
        }
    }
    missing.into_iter().collect()
}

/// The ends of a name such as `test-00000-of-00002.parquet`, and the number of shards.
fn shard(name: &str) -> Option<(&str, usize, &str)> {
    let (before, rest) = name.rsplit_once("-of-")?;
    let (before, index) = before.rsplit_once('-')?;
    let (total, after) = rest.split_at_checked(5)?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(index) && digits(total)).then_some((before, total.parse().ok()?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<FileEntry> {
        let file = |name: &&str| FileEntry {
            name: (*name).to_owned(),
            bytes: None,
            sha256: None,
        };
        names.iter().map(file).collect()
    }

    #[test]
    fn names_by_hand() {
        let plain = by_hand("a/b/test-*.parquet");
        assert_eq!(
            plain,
            ["a/b/test-*.parquet", "b/test-*.parquet", "test-*.parquet"]
        );
        let member = by_hand("data.zip!data/x.jsonl");
        assert_eq!(member, ["data.zip!data/x.jsonl", "data/x.jsonl", "x.jsonl"]);
    }

    #[test]
    fn shards_are_counted_by_what_they_say() {
        let files = files(&[
            "d/test-00000-of-00003.parquet",
            "d/test-00002-of-00003.parquet",
        ]);
        let matched: Vec<_> = files.iter().collect();
        let missing = |pattern: &str| missing_shards(pattern, &matched, &files);
        assert_eq!(
            missing("d/test-*.parquet"),
            ["d/test-00001-of-00003.parquet"]
        );
        assert!(missing("d/test-00000-of-00003.parquet").is_empty());
        assert_eq!(shard("test-0-of-3.parquet"), None);
        assert_eq!(shard("x-00001-of-00002"), Some(("x", 2, "")));
    }
}
