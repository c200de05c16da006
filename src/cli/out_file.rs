//! `--out FILE`: a record in a file, whole or not at all.

use anyhow::Context as _;
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Refuses a file that could not be written, before minutes are spent on its contents.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let folder = folder(path);
    anyhow::ensure!(
        folder.is_dir(),
        "--out {}: the folder {} does not exist",
        path.display(),
        folder.display()
    );
    anyhow::ensure!(
        !path.is_dir(),
        "--out {}: a folder, expected the name of a file",
        path.display()
    );
    Ok(())
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Writes beside the final name, syncs and renames: a reader never sees half a record. Devices
/// and pipes are written to as they are: a rename would put a file in their place.
pub(super) fn write(path: &Path, record: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(record);
    let mut text =
        text.with_context(|| format!("cannot write the record to {}", path.display()))?;
    text.push('\n');
    write_text(path, &text)
}

/// The same for a text.
pub(super) fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    let context = || format!("cannot write the record to {}", path.display());
    if path.exists() && !path.is_file() {
        return std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut device| device.write_all(text.as_bytes()))
            .with_context(context);
    }
    // What a link points to is replaced, not the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = tempfile::Builder::new();
    // As any other new file: temporary ones are private unless told.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder(&target)).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(&target)
        .map_err(|e| e.error)
        .with_context(context)?;
    Ok(())
}
