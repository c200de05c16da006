//! Files that are whole or not there.

use crate::experiment::error::ExperimentError;
use serde::Serialize;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// JSON for people, too.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    write_whole(path, &text)
}

/// Beside the final name, synced, renamed: a reader sees a whole file or none.
pub(super) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = tempfile::Builder::new();
    // As any other new file: temporary ones are private unless told.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself lasts only once the folder is written; not every file system syncs those.
    let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Option<String>, ExperimentError> {
    match fs::read(path) {
        // What is not UTF-8 is damaged, and is found to be when it is parsed.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ExperimentError::Store {
            what: "read",
            path: path.to_path_buf(),
            source,
        }),
    }
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, ExperimentError> {
    let store = |source| ExperimentError::Store {
        what: "read",
        path: folder.to_path_buf(),
        source,
    };
    match fs::read_dir(folder) {
        Ok(entries) => {
            let mut paths = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()
                .map_err(store)?;
            paths.sort();
            Ok(paths)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(store(source)),
    }
}

/// Removes a file or folder that may not be there.
pub(in crate::experiment) fn discard(path: &Path) {
    let _ = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
}
