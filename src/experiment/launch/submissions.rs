//! Which cell is which task: what was submitted of a plan and may not have ended.

use super::error::LaunchError;
use super::queue::{Queue, QueuedTask};
use super::slurm::JobId;
use crate::experiment::cell::CellId;
use crate::experiment::error::ExperimentError;
use crate::experiment::store::Store;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Version of the record.
const SCHEMA: &str = "smartkv.submissions/1";

/// The submissions of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submissions {
    /// Version of the record.
    pub schema: String,
    /// Name of the plan.
    pub plan: String,
    /// Arrays, in the order they were submitted.
    pub arrays: Vec<SubmittedArray>,
    /// The job that says how it went, once it is submitted.
    pub collect: Option<JobId>,
}

/// One job array.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmittedArray {
    /// Its number.
    pub job: JobId,
    /// Name of the list that its tasks read.
    pub list: String,
    /// The cell of each task, from index 0.
    pub cells: Vec<CellId>,
}

impl Submissions {
    /// What the store knows of `plan`'s submissions.
    ///
    /// # Errors
    /// A file that cannot be read or is no such record.
    pub fn load(store: &Store, plan: &str) -> Result<Self, LaunchError> {
        let path = file(store, plan);
        let Some(text) = Store::read(&path)? else {
            return Ok(Self {
                schema: SCHEMA.to_string(),
                plan: plan.to_string(),
                arrays: Vec::new(),
                collect: None,
            });
        };
        serde_json::from_str(&text).map_err(|error| LaunchError::Damaged {
            path,
            reason: format!("no record of submissions ({error})"),
        })
    }

    /// Keeps it in the store.
    ///
    /// # Errors
    /// A disk that takes no more.
    pub fn keep(&self, store: &Store) -> Result<(), ExperimentError> {
        Store::write(&file(store, &self.plan), self)
    }

    /// The task that a cell is, if one has not ended; the latest of several.
    #[must_use]
    pub fn task<'a>(&self, id: &CellId, queue: &'a Queue) -> Option<&'a QueuedTask> {
        self.arrays.iter().rev().find_map(|array| {
            let index = array.cells.iter().position(|cell| cell == id)?;
            queue.task(&array.job, index)
        })
    }

    /// Whether a cell was submitted.
    #[must_use]
    pub fn names(&self, id: &CellId) -> bool {
        self.arrays.iter().any(|array| array.cells.contains(id))
    }

    /// Forgets arrays that have ended.
    pub(super) fn forget_ended(&mut self, queue: &Queue, except: &[JobId]) {
        self.arrays
            .retain(|array| except.contains(&array.job) || queue.holds(&array.job));
    }
}

fn file(store: &Store, plan: &str) -> PathBuf {
    store.layout().submissions().join(format!("{plan}.json"))
}

/// Folder of a plan's lists and scripts.
pub(super) fn folder(store: &Store, plan: &str) -> PathBuf {
    store.layout().submissions().join(plan)
}

/// The first number above those of the lists in `folder`; a list is never written over, since the
/// tasks of an array may be started again by hand long after it ended.
pub(super) fn free_number(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".cells")?.parse::<usize>().ok()
    });
    numbers.max().map_or(0, |largest| largest + 1)
}

/// One process submits a plan at a time.
#[derive(Debug)]
pub(super) struct SubmitLock {
    /// Locked until closed.
    _file: File,
}

impl SubmitLock {
    pub(super) fn take(store: &Store, plan: &str) -> Result<Self, LaunchError> {
        let path = folder(store, plan).join("lock");
        let file = File::create(&path).map_err(|source| ExperimentError::Store {
            what: "lock",
            path,
            source,
        })?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(LaunchError::Submitting {
                plan: plan.to_string(),
            }),
            // Not every file system has locks. Without one two processes may submit the same
            // cells: the second task of a cell finds it taken or done.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _file: file }),
        }
    }
}
