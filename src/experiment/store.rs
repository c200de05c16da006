//! The store: a folder with one JSON record a finished cell, written whole or not at all.

mod disk;
mod lock;
mod rubbish;

pub(super) use disk::discard;
pub use lock::CellLock;

use disk::{entries, read, write_json, write_whole};

use super::cell::{Cell, CellId};
use super::error::ExperimentError;
use super::failure::Failure;
use super::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_analysis::store::digest;
use smartkv_analysis::store::layout::{Layout, PLAN_SCHEMA};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A finished cell on disk: only what repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRecord {
    /// [`CELL_SCHEMA`](super::CELL_SCHEMA).
    pub schema: String,
    /// The cell's id.
    pub id: CellId,
    /// What was run.
    pub cell: Cell,
    /// What it gave.
    pub result: Value,
    /// SHA-256 of the result's canonical JSON: a damaged file is not a result.
    pub result_sha256: String,
}

impl CellRecord {
    /// The record of a cell that gave `result`.
    #[must_use]
    pub fn new(cell: &Cell, result: Value) -> Self {
        Self {
            schema: cell.schema.clone(),
            id: cell.id(),
            cell: cell.clone(),
            result_sha256: digest(&result),
            result,
        }
    }

    /// Why the record is not one of the cell `id`, if it is not.
    fn damage(&self, id: &CellId) -> Option<&'static str> {
        if self.id != *id || self.cell.id() != *id {
            return Some("it is of another cell");
        }
        (digest(&self.result) != self.result_sha256)
            .then_some("its result does not match its digest")
    }
}

/// What the store has of a cell.
#[derive(Debug)]
pub enum Held {
    /// Its record.
    Record(Box<CellRecord>),
    /// A failure.
    Failure(Box<Failure>),
    /// A record that cannot be read, and why.
    Damaged(String),
    /// Nothing.
    Nothing,
}

/// How the names of files begin that are being written.
const HALF_WRITTEN: &str = ".tmp";

/// Whether two grids are different files; one that is gone is replaced.
fn is_elsewhere(one: &str, other: &str) -> bool {
    let place = |grid: &str| Path::new(grid).canonicalize();
    match (place(one), place(other)) {
        (Ok(one), Ok(other)) => one != other,
        // Those that come with the program are known by name.
        _ => false,
    }
}

/// A folder of records.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
}

impl Store {
    /// The store at `root`, for reading; nothing is made.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            layout: Layout::new(root),
        }
    }

    /// The store at `root`, made if need be.
    ///
    /// # Errors
    /// A folder that cannot be made or written.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ExperimentError> {
        let store = Self::at(root);
        let layout = &store.layout;
        let folders = [
            layout.cells(),
            layout.runs(),
            layout.failed(),
            layout.plans(),
            layout.journals(),
            layout.locks(),
        ];
        for path in folders {
            fs::create_dir_all(&path).map_err(|source| ExperimentError::Store {
                what: "make",
                path: path.clone(),
                source,
            })?;
        }
        // Refused here rather than after minutes of work.
        let cells = store.layout.cells();
        match tempfile::tempfile_in(&cells) {
            Ok(_) => Ok(store),
            Err(source) => Err(ExperimentError::Store {
                what: "write to",
                path: cells,
                source,
            }),
        }
    }

    /// Where it keeps what.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    fn lock_file(&self, id: &CellId) -> PathBuf {
        self.layout.locks().join(format!("{id}.lock"))
    }

    /// Where finished samples of an unfinished cell are kept.
    #[must_use]
    pub fn journals(&self, id: &CellId) -> PathBuf {
        self.layout.journals().join(id.as_ref())
    }

    /// What the store has of a cell. A record comes before a failure.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn held(&self, id: &CellId) -> Result<Held, ExperimentError> {
        if let Some(text) = read(&self.layout.cell(id.as_ref()))? {
            return Ok(match serde_json::from_str::<CellRecord>(&text) {
                Err(error) => Held::Damaged(error.to_string()),
                Ok(record) => match record.damage(id) {
                    Some(damage) => Held::Damaged(damage.to_string()),
                    None => Held::Record(Box::new(record)),
                },
            });
        }
        let failure = read(&self.layout.failure(id.as_ref()))?;
        let failure = failure.and_then(|text| serde_json::from_str(&text).ok());
        Ok(failure.map_or(Held::Nothing, |failure| Held::Failure(Box::new(failure))))
    }

    /// Takes a cell for this process.
    ///
    /// # Errors
    /// [`ExperimentError::Busy`] while another process has it.
    pub fn lock(&self, id: &CellId) -> Result<CellLock, ExperimentError> {
        CellLock::take(&self.lock_file(id), id)
    }

    /// Whether a process is at a cell.
    #[must_use]
    pub fn is_locked(&self, id: &CellId) -> bool {
        CellLock::is_taken(&self.lock_file(id))
    }

    /// Writes the record of a finished cell, after the facts of its run: where the record is, so
    /// are they.
    ///
    /// # Errors
    /// A disk that takes no more.
    pub fn finish(&self, record: &CellRecord, facts: &Value) -> Result<(), ExperimentError> {
        Self::write(&self.layout.run(record.id.as_ref()), facts)?;
        Self::write(&self.layout.cell(record.id.as_ref()), record)?;
        discard(&self.layout.failure(record.id.as_ref()));
        Ok(())
    }

    /// Writes a failure, counting those before it.
    ///
    /// # Errors
    /// A disk that takes no more.
    pub fn fail(&self, mut failure: Failure) -> Result<Failure, ExperimentError> {
        if let Held::Failure(before) = self.held(&failure.id)? {
            failure.attempts = before.attempts + 1;
        }
        Self::write(&self.layout.failure(failure.id.as_ref()), &failure)?;
        Ok(failure)
    }

    /// Attempts that failed so far.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn attempts(&self, id: &CellId) -> Result<u32, ExperimentError> {
        Ok(match self.held(id)? {
            Held::Failure(failure) => failure.attempts,
            _ => 0,
        })
    }

    /// Moves a damaged record away; where it is now.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn quarantine(&self, id: &CellId) -> Result<PathBuf, ExperimentError> {
        let folder = self.layout.quarantine();
        let store = |source| ExperimentError::Store {
            what: "move a damaged record to",
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(store)?;
        let free = (1..).map(|n| folder.join(format!("{id}.{n}.json")));
        let mut free = free.filter(|path| !path.exists());
        let target = free.next().unwrap_or_else(|| folder.join(id.as_ref()));
        fs::rename(self.layout.cell(id.as_ref()), &target).map_err(store)?;
        Ok(target)
    }

    /// The facts of the run that made a record.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn facts(&self, id: &CellId) -> Result<Option<Value>, ExperimentError> {
        let text = read(&self.layout.run(id.as_ref()))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps a plan under its name.
    ///
    /// # Errors
    /// A plan of another grid that has the name; a disk that takes no more.
    pub fn keep_plan(&self, plan: &Plan) -> Result<(), ExperimentError> {
        if let Ok(before) = self.plan(&plan.name)
            && is_elsewhere(&before.grid, &plan.grid)
        {
            return Err(ExperimentError::PlanTaken {
                name: plan.name.clone(),
                by: before.grid,
                grid: plan.grid.clone(),
            });
        }
        Self::write(&self.plan_file(&plan.name), plan)
    }

    /// Keeps what a search found under its name; where it is now.
    ///
    /// # Errors
    /// A disk that takes no more.
    pub fn keep_search(
        &self,
        name: &str,
        record: &impl Serialize,
    ) -> Result<PathBuf, ExperimentError> {
        let folder = self.root().join("searches");
        fs::create_dir_all(&folder).map_err(|source| ExperimentError::Store {
            what: "make",
            path: folder.clone(),
            source,
        })?;
        let path = folder.join(format!("{name}.json"));
        Self::write(&path, record)?;
        Ok(path)
    }

    /// Where the plan called `name` is kept.
    #[must_use]
    pub fn plan_file(&self, name: &str) -> PathBuf {
        self.layout.plan(name)
    }

    /// The plan called `name`.
    ///
    /// # Errors
    /// No such plan, with those there are; one that cannot be read.
    pub fn plan(&self, name: &str) -> Result<Plan, ExperimentError> {
        let path = self.plan_file(name);
        let known = self.plan_names()?;
        let missing = |hint: String| ExperimentError::Missing {
            what: "plan",
            name: name.to_string(),
            store: self.root().to_path_buf(),
            hint,
        };
        let Some(text) = read(&path)? else {
            return Err(missing(if known.is_empty() {
                "`smartkv sweep plan GRID` makes one".to_string()
            } else {
                format!("there are: {}", known.join(", "))
            }));
        };
        let damaged = |error: serde_json::Error| {
            missing(format!(
                "its file is damaged ({error}): plan the grid again"
            ))
        };
        let value: Value = serde_json::from_str(&text).map_err(damaged)?;
        match value.get("schema").and_then(Value::as_str) {
            Some(PLAN_SCHEMA) => serde_json::from_value(value).map_err(damaged),
            other => Err(missing(format!(
                "its file is of version `{}`, not {PLAN_SCHEMA}: plan the grid again",
                other.unwrap_or_default()
            ))),
        }
    }

    /// All plans that can be used, and why others cannot.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn plans(&self) -> Result<(Vec<Plan>, Vec<ExperimentError>), ExperimentError> {
        let (mut plans, mut others) = (Vec::new(), Vec::new());
        for name in self.plan_names()? {
            match self.plan(&name) {
                Ok(plan) => plans.push(plan),
                Err(error @ ExperimentError::Store { .. }) => return Err(error),
                Err(error) => others.push(error),
            }
        }
        Ok((plans, others))
    }

    /// Names of the plans, in order.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn plan_names(&self) -> Result<Vec<String>, ExperimentError> {
        Self::stems(&self.layout.plans())
    }

    /// Ids with a record, in order.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn records(&self) -> Result<Vec<CellId>, ExperimentError> {
        let stems = Self::stems(&self.layout.cells())?;
        Ok(stems
            .iter()
            .filter_map(|stem| CellId::parse(stem))
            .collect())
    }

    /// Stems of the JSON files of a folder, in order; half-written files have other names.
    fn stems(folder: &Path) -> Result<Vec<String>, ExperimentError> {
        let mut stems: Vec<String> = entries(folder)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
            .filter(|stem| !stem.starts_with(HALF_WRITTEN))
            .collect();
        stems.sort();
        Ok(stems)
    }

    /// The schemas of all records, those of other versions too; damaged ones are left out.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn schemas(&self) -> Result<Vec<(CellId, String)>, ExperimentError> {
        #[derive(Deserialize)]
        struct Only {
            schema: String,
        }
        let mut schemas = Vec::new();
        for id in self.records()? {
            let text = read(&self.layout.cell(id.as_ref()))?;
            let only = text.and_then(|text| serde_json::from_str::<Only>(&text).ok());
            schemas.extend(only.map(|only| (id, only.schema)));
        }
        Ok(schemas)
    }

    /// Writes JSON, whole or not at all.
    pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), ExperimentError> {
        write_json(path, value).map_err(|source| unwritten(path, source))
    }

    /// Writes a text, whole or not at all.
    pub(super) fn write_text(path: &Path, text: &str) -> Result<(), ExperimentError> {
        write_whole(path, text).map_err(|source| unwritten(path, source))
    }

    /// The text of a file that may not be there.
    pub(super) fn read(path: &Path) -> Result<Option<String>, ExperimentError> {
        read(path)
    }
}

fn unwritten(path: &Path, source: io::Error) -> ExperimentError {
    ExperimentError::Store {
        what: "write",
        path: path.to_path_buf(),
        source,
    }
}
