//! SHA-256 of files and bytes, in lower-case hexadecimal.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Large enough that reading costs little beside hashing.
const BLOCK: usize = 1 << 20;

/// The digest of a file's content.
///
/// # Errors
///
/// When the file cannot be read.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(read) => hasher.update(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The digest of a model: that of its file, or for a folder that of the names and digests of its
/// weights and its description.
///
/// # Errors
///
/// When a file cannot be read.
pub fn sha256_model(path: &Path) -> io::Result<String> {
    if !path.is_dir() {
        return sha256_file(path);
    }
    let mut names = Vec::new();
    for entry in path.read_dir()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let weights = Path::new(&name)
            .extension()
            .is_some_and(|e| e == "safetensors");
        if weights || name == "config.json" {
            names.push(name);
        }
    }
    names.sort();
    let mut list = String::new();
    for name in names {
        let digest = sha256_file(&path.join(&name))?;
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{name} {digest}");
    }
    Ok(sha256_bytes(list.as_bytes()))
}

/// The digest of some bytes.
#[must_use]
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_digest_of_its_weights() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.safetensors", "one");
        write("config.json", "{}");
        let before = sha256_model(dir.path()).unwrap();
        write("README.md", "nothing to do with it");
        assert_eq!(sha256_model(dir.path()).unwrap(), before);
        write("a.safetensors", "two");
        assert_ne!(sha256_model(dir.path()).unwrap(), before);
    }

    #[test]
    fn agrees_with_the_standard_and_between_file_and_bytes() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_bytes(b"abc"), abc);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let data = vec![7; BLOCK + 5];
        std::fs::write(&path, &data).unwrap();
        assert_eq!(sha256_file(&path).unwrap(), sha256_bytes(&data));
    }
}
