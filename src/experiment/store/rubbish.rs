//! What a store collects and nobody needs.

use super::disk::entries;
use super::{CellLock, HALF_WRITTEN, Store};
use crate::experiment::cell::{CELL_SCHEMA, CellId};
use crate::experiment::error::ExperimentError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that has been half-written for so long is not being written.
const STALE: Duration = Duration::from_secs(3600);

impl Store {
    /// What a store collects and nobody needs: files that a killed process left half-written,
    /// samples of finished cells, locks of nobody. With `unplanned`, also records, failures and
    /// samples of cells that no plan names; records of another version stay.
    ///
    /// # Errors
    /// A disk that cannot be read; with `unplanned`, a plan that cannot be read, since what it
    /// names is not known.
    pub fn rubbish(&self, unplanned: bool) -> Result<Vec<PathBuf>, ExperimentError> {
        let (plans, unreadable) = self.plans()?;
        if let Some(error) = unreadable.into_iter().next().filter(|_| unplanned) {
            return Err(error);
        }
        let mut named: BTreeSet<CellId> = BTreeSet::new();
        named.extend(
            plans
                .into_iter()
                .flat_map(|plan| plan.cells)
                .map(|cell| cell.id),
        );
        for (id, schema) in self.schemas()? {
            if schema != CELL_SCHEMA {
                named.insert(id);
            }
        }
        let alone = |id: &CellId| unplanned && !named.contains(id) && !self.is_locked(id);
        let layout = &self.layout;
        let mut rubbish = Vec::new();
        for folder in [
            layout.cells(),
            layout.runs(),
            layout.failed(),
            layout.plans(),
            layout.submissions(),
        ] {
            for path in entries(&folder)? {
                let name = file_name(&path);
                let id = name.strip_suffix(".json").and_then(CellId::parse);
                let half = name.starts_with(HALF_WRITTEN) && is_stale(&path);
                if half || id.is_some_and(|id| alone(&id)) {
                    rubbish.push(path);
                }
            }
        }
        for path in entries(&layout.journals())? {
            let stale = |id: CellId| {
                let done = layout.cell(id.as_ref()).is_file() && !self.is_locked(&id);
                done || alone(&id)
            };
            if CellId::parse(&file_name(&path)).is_some_and(stale) {
                rubbish.push(path);
            }
        }
        for path in entries(&layout.locks())? {
            if !CellLock::is_taken(&path) {
                rubbish.push(path);
            }
        }
        Ok(rubbish)
    }

    /// Removes what [`rubbish`](Self::rubbish) found, unless it is gone, or a lock that was taken
    /// meanwhile.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn remove(path: &Path) -> Result<(), ExperimentError> {
        let removed = if path.extension().is_some_and(|e| e == "lock") {
            CellLock::remove(path)
        } else if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| ExperimentError::Store {
                what: "remove",
                path: path.to_path_buf(),
                source,
            }),
        }
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether nobody has written to a file for long. A clock that was set back says no.
fn is_stale(path: &Path) -> bool {
    let modified = path.metadata().and_then(|facts| facts.modified());
    let age = modified.ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > STALE)
}
