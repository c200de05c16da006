//! Reading a store.

use super::digest;
use super::layout::{CELL_SCHEMA, Layout, PLAN_SCHEMA, RUN_SCHEMA};
use super::records::{CellRecord, Failure, Plan, RunRecord};
use crate::error::{AnalysisError, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What became of looking for a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<T> {
    /// It is there and was read.
    Here(T),
    /// There is none.
    Absent,
    /// It is of another version, which is named.
    Other(String),
    /// It cannot be read, and why.
    Corrupt(String),
}

impl<T> Found<T> {
    /// The record, if it was read.
    #[must_use]
    pub fn here(self) -> Option<T> {
        match self {
            Self::Here(record) => Some(record),
            _ => None,
        }
    }
}

/// A folder of finished experiments, open for reading.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
}

/// The plans of a store, by name, and what lies there besides.
#[derive(Debug, Clone, Default)]
pub struct Plans {
    /// Those that can be read.
    pub plans: Vec<Plan>,
    /// Files of another version, and which.
    pub other: Vec<(PathBuf, String)>,
    /// Files that cannot be read, and why.
    pub corrupt: Vec<(PathBuf, String)>,
}

impl Store {
    /// The store in the folder `root`.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let layout = Layout::new(root);
        let path = layout.root().to_path_buf();
        if !path.is_dir() {
            let reason = if path.exists() {
                "it is no folder"
            } else {
                "there is no such folder"
            };
            return Err(AnalysisError::Store {
                path,
                reason: reason.into(),
            });
        }
        Ok(Self { layout })
    }

    /// Where it keeps what.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All plans, by name.
    ///
    /// # Errors
    /// The folder cannot be listed, or holds no plan that can be read.
    pub fn plans(&self) -> Result<Plans> {
        let mut plans = Plans::default();
        for (path, name) in self.plan_files()? {
            match self.find_plan(&name) {
                Found::Here(plan) => plans.plans.push(plan),
                Found::Other(schema) => plans.other.push((path, schema)),
                Found::Corrupt(reason) => plans.corrupt.push((path, reason)),
                Found::Absent => {}
            }
        }
        if plans.plans.is_empty() {
            if let Some((path, reason)) = plans.corrupt.into_iter().next() {
                return Err(AnalysisError::Plan { path, reason });
            }
            let path = self.layout.root().to_path_buf();
            return Err(AnalysisError::Empty { path });
        }
        Ok(plans)
    }

    /// One plan.
    ///
    /// # Errors
    /// There is none of this name: the error lists those there are. It cannot be read.
    pub fn plan(&self, name: &str) -> Result<Plan> {
        let path = self.layout.plan(name);
        let files = self.plan_files()?;
        if !files.iter().any(|(_, known)| known == name) {
            if files.is_empty() {
                let path = self.layout.root().to_path_buf();
                return Err(AnalysisError::Empty { path });
            }
            return Err(AnalysisError::Unknown {
                what: "plan",
                name: name.into(),
                known: files.into_iter().map(|(_, name)| name).collect(),
            });
        }
        match self.find_plan(name) {
            Found::Here(plan) => Ok(plan),
            Found::Other(schema) => {
                let reason = format!("it is of version `{schema}`, expected `{PLAN_SCHEMA}`");
                Err(AnalysisError::Plan { path, reason })
            }
            Found::Corrupt(reason) => Err(AnalysisError::Plan { path, reason }),
            Found::Absent => {
                let reason = "it is gone".into();
                Err(AnalysisError::Plan { path, reason })
            }
        }
    }

    fn find_plan(&self, name: &str) -> Found<Plan> {
        let found: Found<Plan> = read(&self.layout.plan(name), Some(PLAN_SCHEMA));
        named(found, name, |plan| &plan.name)
    }

    /// The record of a finished cell. One of another cell, or whose result is not the one that was
    /// written, is corrupt.
    #[must_use]
    pub fn cell(&self, id: &str) -> Found<CellRecord> {
        let found: Found<CellRecord> = read(&self.layout.cell(id), Some(CELL_SCHEMA));
        match named(found, id, |cell| &cell.id) {
            Found::Here(cell) if digest(&cell.result) != cell.result_sha256 => {
                Found::Corrupt("its result does not match its digest".into())
            }
            other => other,
        }
    }

    /// The facts of the run that made it.
    #[must_use]
    pub fn run(&self, id: &str) -> Found<RunRecord> {
        let found: Found<RunRecord> = read(&self.layout.run(id), Some(RUN_SCHEMA));
        named(found, id, |run| &run.id)
    }

    /// Why a cell has no result.
    #[must_use]
    pub fn failure(&self, id: &str) -> Found<Failure> {
        read(&self.layout.failure(id), None)
    }

    /// The files of plans and their names, sorted. None where nothing was planned yet.
    fn plan_files(&self) -> Result<Vec<(PathBuf, String)>> {
        let folder = self.layout.plans();
        let failed = |error: std::io::Error| AnalysisError::Store {
            path: folder.clone(),
            reason: error.to_string(),
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(name) = stem.filter(|_| path.extension().is_some_and(|e| e == "json")) {
                files.push((path.clone(), name.to_string()));
            }
        }
        files.sort();
        Ok(files)
    }
}

/// A record that calls itself otherwise than its file was put there by hand.
fn named<T>(found: Found<T>, name: &str, own: impl Fn(&T) -> &String) -> Found<T> {
    match found {
        Found::Here(record) if own(&record) != name => {
            Found::Corrupt(format!("it calls itself `{}`", own(&record)))
        }
        other => other,
    }
}

fn read<T: DeserializeOwned>(path: &Path, schema: Option<&str>) -> Found<T> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::Absent,
        Err(error) => return Found::Corrupt(error.to_string()),
    };
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => return Found::Corrupt(error.to_string()),
    };
    if let Some(schema) = schema {
        match value.get("schema").and_then(Value::as_str) {
            Some(own) if own == schema => {}
            Some(own) => return Found::Other(own.to_string()),
            None => return Found::Corrupt("it has no `schema`".into()),
        }
    }
    match serde_json::from_value(value) {
        Ok(record) => Found::Here(record),
        Err(error) => Found::Corrupt(error.to_string()),
    }
}
