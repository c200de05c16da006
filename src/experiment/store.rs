//! The store: a folder with one JSON record a finished cell, written whole or not at all.

mod lock;

pub use lock::CellLock;

use super::cell::{Cell, CellId, canonical};
use super::error::ExperimentError;
use super::failure::Failure;
use super::plan::Plan;
use crate::assets::sha256_bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_analysis::store::layout::Layout;
use std::fs;
use std::io::{self, Write as _};
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
            result_sha256: sha256_bytes(canonical(&result).as_bytes()),
            result,
        }
    }

    /// Why the record is not one of the cell `id`, if it is not.
    fn damage(&self, id: &CellId) -> Option<&'static str> {
        if self.id != *id || self.cell.id() != *id {
            return Some("it is of another cell");
        }
        let digest = sha256_bytes(canonical(&self.result).as_bytes());
        (digest != self.result_sha256).then_some("its result does not match its digest")
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
    /// A disk that takes no more.
    pub fn keep_plan(&self, plan: &Plan) -> Result<(), ExperimentError> {
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
        parse(&text).map_err(|error| {
            missing(format!(
                "its file is damaged ({error}): plan the grid again"
            ))
        })
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
            .filter(|stem| !stem.starts_with('.'))
            .collect();
        stems.sort();
        Ok(stems)
    }

    /// What a store collects and nobody needs: files that a killed process left half-written,
    /// samples of finished cells, locks of nobody. With `unplanned`, also records, failures and
    /// samples of cells that no plan names.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn rubbish(&self, unplanned: bool) -> Result<Vec<PathBuf>, ExperimentError> {
        let mut rubbish = Vec::new();
        let mut planned = std::collections::BTreeSet::new();
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

    /// The schemas of all records, those of other versions too; damaged ones are left out.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn schemas(&self) -> Result<Vec<String>, ExperimentError> {
        #[derive(Deserialize)]
        struct Only {
            schema: String,
        }
        let mut schemas = Vec::new();
        for stem in Self::stems(&self.layout.cells())? {
            let text = read(&self.layout.cell(&stem))?;
            let only = text.and_then(|text| serde_json::from_str::<Only>(&text).ok());
            schemas.extend(only.map(|only| only.schema));
        }
        Ok(schemas)
    }

    fn write(path: &Path, value: &impl Serialize) -> Result<(), ExperimentError> {
        write_json(path, value).map_err(|source| ExperimentError::Store {
            what: "write",
            path: path.to_path_buf(),
            source,
        })
    }
}

/// Beside the final name, synced, renamed: a reader sees a whole file or none.
fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = tempfile::Builder::new();
    // As any other new file: temporary ones are private unless told.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself lasts only once the folder is written; not every file system syncs those.
    let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>, ExperimentError> {
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

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ExperimentError> {
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
pub(super) fn discard(path: &Path) {
    let _ = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
}
