//! Where the data of a benchmark comes from.

use crate::error::{EvalError, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A file of a data set, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The file.
    pub path: PathBuf,
    /// The member to read where the file is a zip archive.
    pub member: Option<String>,
    /// Its name within the data set.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// Prose, and what records call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Haystack {
    /// Where it came from.
    pub name: String,
    /// The prose.
    pub text: String,
}

/// Finds the files of data sets: in a folder, in a cache, on the hub.
pub trait DataSource: Sync {
    /// The files of the data set `root` that match the first of `names` that any file matches, in
    /// the order of their names.
    ///
    /// `root` is a folder, a file (which then is the only candidate) or a data set of the hub,
    /// `owner/name` with an optional `@revision`. Names are paths with `*` for any characters but
    /// `/`; `archive.zip!member` is a member of an archive.
    ///
    /// # Errors
    /// Nothing of the kind anywhere; the message lists what was looked for.
    fn files(&self, root: &str, names: &[&str]) -> Result<Vec<DataFile>>;

    /// A text by name or path, as `--text` takes it.
    ///
    /// # Errors
    /// A text that is unknown, missing or not UTF-8.
    fn text(&self, name: &str) -> Result<Haystack>;
}

/// Has nothing: for tasks that make their own samples.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoData;

impl DataSource for NoData {
    fn files(&self, root: &str, _names: &[&str]) -> Result<Vec<DataFile>> {
        Err(EvalError::Task(format!("no source for the data `{root}`")))
    }

    fn text(&self, name: &str) -> Result<Haystack> {
        Err(EvalError::Task(format!("no source for the text `{name}`")))
    }
}

/// A file that a task's samples came from, as results name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The data set or folder that was asked for it.
    pub data: String,
    /// Its name within that, with its member where it is an archive.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// Passes on what another source finds, and remembers the files.
pub(super) struct Recorded<'a> {
    source: &'a dyn DataSource,
    found: Mutex<BTreeSet<Source>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(source: &'a dyn DataSource) -> Self {
        Self {
            source,
            found: Mutex::default(),
        }
    }

    /// All files that were found, each once.
    pub(super) fn into_sources(self) -> Vec<Source> {
        let found = self.found.into_inner();
        let found = found.unwrap_or_else(PoisonError::into_inner);
        found.into_iter().collect()
    }
}

impl DataSource for Recorded<'_> {
    fn files(&self, root: &str, names: &[&str]) -> Result<Vec<DataFile>> {
        let files = self.source.files(root, names)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(files.iter().map(|file| Source {
            data: root.to_owned(),
            name: file.name.clone(),
            sha256: file.sha256.clone(),
        }));
        Ok(files)
    }

    fn text(&self, name: &str) -> Result<Haystack> {
        self.source.text(name)
    }
}
