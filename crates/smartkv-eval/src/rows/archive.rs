//! Members of zip archives, read into memory.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// Most bytes a member may have: far above any file of rows, far below what a small archive made
/// to fill the memory can hold.
const MOST_BYTES: u64 = 1 << 30;

/// Members named in a message.
const NAMED: usize = 12;

/// The content of the member called exactly `name`.
pub(super) fn member(path: &Path, name: &str) -> Result<Vec<u8>, String> {
    member_within(path, name, MOST_BYTES)
}

fn member_within(path: &Path, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let damaged = |error: &dyn std::fmt::Display| format!("the archive cannot be read: {error}");
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
    let Some(index) = archive.index_for_name(name) else {
        return Err(format!("no such member; it has {}", members(&archive)));
    };
    let mut member = archive.by_index(index).map_err(|error| damaged(&error))?;
    let too_large = || format!("more than {most} bytes, the most a member may have");
    if member.size() > most {
        return Err(too_large());
    }
    // What the archive says of a size need not be true.
    let mut bytes = Vec::new();
    let mut limited = member.by_ref().take(most + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(&error))?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The members there are, the first of many.
fn members<R: Read + std::io::Seek>(archive: &ZipArchive<R>) -> String {
    let mut names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .collect();
    names.sort();
    let others = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match (names.is_empty(), others) {
        (true, _) => "none".to_owned(),
        (false, 0) => names.join(", "),
        (false, others) => format!("{} and {others} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn archive(dir: &Path, members: &[(&str, &[u8])]) -> std::path::PathBuf {
        let path = dir.join("x.zip");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, body) in members {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(body).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn a_member_is_found_by_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &[("data/a.jsonl", b"{}"), ("../b", b"out")]);
        assert_eq!(member(&path, "data/a.jsonl").unwrap(), b"{}");
        // Only ever a name to look up: nothing is put anywhere.
        assert_eq!(member(&path, "../b").unwrap(), b"out");
        let error = member(&path, "a.jsonl").unwrap_err();
        assert_eq!(error, "no such member; it has ../b, data/a.jsonl");
    }

    #[test]
    fn a_member_of_unreasonable_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &[("bomb", &[0; 100_000])]);
        assert!(path.metadata().unwrap().len() < 1000);
        assert!(member_within(&path, "bomb", 100_000).is_ok());
        let error = member_within(&path, "bomb", 99_999).unwrap_err();
        assert!(error.contains("more than 99999 bytes"), "{error}");

        // The same with a size that lies, in both headers.
        let mut bytes = std::fs::read(&path).unwrap();
        let size = 100_000_u32.to_le_bytes();
        while let Some(at) = bytes.windows(4).position(|word| word == size) {
            bytes[at..at + 4].copy_from_slice(&7_u32.to_le_bytes());
        }
        std::fs::write(&path, bytes).unwrap();
        assert!(member_within(&path, "bomb", 50_000).is_err());
    }

    #[test]
    fn a_damaged_archive_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..5000_u32)
            .flat_map(|i| i.wrapping_mul(40_503).to_le_bytes())
            .collect();
        let path = archive(dir.path(), &[("a", &text)]);
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.len();
        bytes[whole / 2] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let error = member(&path, "a").unwrap_err();
        assert!(error.starts_with("the archive cannot be read: "), "{error}");
        std::fs::write(&path, &bytes[..whole / 2]).unwrap();
        let error = member(&path, "a").unwrap_err();
        assert!(error.starts_with("the archive cannot be read: "), "{error}");
    }
}
