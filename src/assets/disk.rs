//! Writing files so that a reader sees a whole one or none, and how much room there is.

use super::{AssetError, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `path` with `suffix` after its whole name, extension included.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a folder and those above it.
pub(crate) fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| AssetError::writing(dir, None, error))
}

/// Gives a finished `partial` file its final name, once its content is on the disk.
pub(crate) fn publish(partial: &Path, dest: &Path) -> Result<()> {
    let put = || -> io::Result<()> {
        // Open for writing: Windows syncs nothing else.
        File::options().append(true).open(partial)?.sync_all()?;
        fs::rename(partial, dest)?;
        // The rename itself lasts only once the folder is written. Not every file system lets
        // a folder be synced, and the file is good either way.
        if let Some(parent) = dest.parent() {
            let _ = File::open(parent).and_then(|dir| dir.sync_all());
        }
        Ok(())
    };
    put().map_err(|error| AssetError::writing(dest, None, error))
}

/// Writes a small file whole or not at all.
pub(crate) fn write_atomic(dest: &Path, content: &[u8]) -> Result<()> {
    let dir = dest.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let need = Some(content.len() as u64);
    // Not a file of the `tempfile` crate: those are closed to others, and a cache may be shared.
    let partial = with_suffix(dest, &format!(".{}.tmp", std::process::id()));
    fs::write(&partial, content)
        .map_err(|error| AssetError::writing(dest, need, error))
        .and_then(|()| publish(&partial, dest))
        .inspect_err(|_| discard(&partial))
}

/// Removes a file that may not be there; a file that stays is no reason to stop.
pub(crate) fn discard(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Free bytes on the file system that holds `path`, if the system's `df` tells.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|dir| dir.exists())?;
    let output = Command::new("df")
        .arg("-Pk")
        .arg(existing)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().nth(1)?;
    let kib: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib * 1024)
}
