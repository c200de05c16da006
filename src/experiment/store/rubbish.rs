//! What a store collects and nobody needs.

use super::disk::entries;
use super::{CellLock, Store};
use crate::experiment::cell::CellId;
use crate::experiment::error::ExperimentError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

impl Store {
    /// What a store collects and nobody needs: files that a killed process left half-written,
    /// samples of finished cells, locks of nobody. With `unplanned`, also records, failures and
    /// samples of cells that no plan names.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn rubbish(&self, unplanned: bool) -> Result<Vec<PathBuf>, ExperimentError> {
        let mut rubbish = Vec::new();
        let mut planned = BTreeSet::new();
        for name in self.plan_names()? {
            let plan = self.plan(&name)?;
            planned.extend(plan.cells.into_iter().map(|cell| cell.id));
        }
        let stale = |id: &CellId| {
            !self.is_locked(id)
                && (self.layout.cell(id.as_ref()).is_file() || (unplanned && !planned.contains(id)))
        };
        let layout = &self.layout;
        for folder in [
            layout.cells(),
            layout.runs(),
            layout.failed(),
            layout.plans(),
        ] {
            for path in entries(&folder)? {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let id = name.strip_suffix(".json").and_then(CellId::parse);
                let half = name.starts_with(".tmp");
                let alone = unplanned
                    && id.is_some_and(|id| !planned.contains(&id) && !self.is_locked(&id));
                if half || alone {
                    rubbish.push(path);
                }
            }
        }
        for path in entries(&layout.journals())? {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if CellId::parse(&name).is_some_and(|id| stale(&id)) {
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

    /// Removes what [`rubbish`](Self::rubbish) found.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn remove(path: &Path) -> Result<(), ExperimentError> {
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        removed.map_err(|source| ExperimentError::Store {
            what: "remove",
            path: path.to_path_buf(),
            source,
        })
    }
}
