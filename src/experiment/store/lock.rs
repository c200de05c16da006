//! One process at a cell.

use crate::experiment::cell::CellId;
use crate::experiment::error::ExperimentError;
use std::fs::{File, TryLockError};
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
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        let file = file.map_err(store)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(ExperimentError::Busy { id: id.to_string() }),
            // Not every file system has locks. Without one two processes may run the same cell,
            // and both write the same record.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _file: file }),
        }
    }

    pub(super) fn is_taken(path: &Path) -> bool {
        let Ok(file) = File::options().write(true).open(path) else {
            return false;
        };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }
}
