//! One process at a cell.

use crate::experiment::cell::CellId;
use crate::experiment::error::ExperimentError;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// A cell is taken while this lives; the system lets go of it when the process ends, however that
/// happens.
#[derive(Debug)]
pub struct CellLock {
    /// Locked until closed.
    _file: File,
}

impl CellLock {
    pub(super) fn take(path: &Path, id: &CellId) -> Result<Self, ExperimentError> {
        let store = |source| ExperimentError::Store {
            what: "lock",
            path: path.to_path_buf(),
            source,
        };
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path);
            let file = file.map_err(store)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    return Err(ExperimentError::Busy { id: id.to_string() });
                }
                // Not every file system has locks. Without one two processes may run the same
                // cell, and both write the same record.
                Err(TryLockError::Error(_)) => return Ok(Self { _file: file }),
                // Someone may have tidied the file away between the two: then it locks nothing.
                Ok(()) if is_at(&file, path) => return Ok(Self { _file: file }),
                Ok(()) => {}
            }
        }
    }

    pub(super) fn is_taken(path: &Path) -> bool {
        let Ok(file) = File::options().write(true).open(path) else {
            return false;
        };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Removes a lock that nobody holds, while holding it.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => fs::remove_file(path),
            _ => Ok(()),
        }
    }
}

/// Whether the open file is the one that lies there now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}
