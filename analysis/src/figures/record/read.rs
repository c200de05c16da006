//! Reading a record of an analysis.

use crate::error::{AnalysisError, Result};
use crate::figures::Origin;
use crate::store::Store;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Versions that have figures.
pub(super) const ATTENTION: &str = "smartkv.attention/1";
pub(super) const MEMORY: &str = "smartkv.memory/1";
pub(super) const LATENCY: &str = "smartkv.latency/1";

/// Bytes of a digest that make an id, as of cells.
const ID_BYTES: usize = 16;

/// A record of `smartkv analyze`.
#[derive(Debug, Clone)]
pub struct AnalysisRecord {
    /// The name of its file, without the ending.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Where it was found.
    pub origin: Origin,
    /// The beginning of the SHA-256 of its file.
    pub id: String,
    schema: String,
    value: Value,
}

impl AnalysisRecord {
    /// Reads a file that was named by its path.
    ///
    /// # Errors
    /// It cannot be read, or is no record that has figures.
    pub fn read(path: &Path) -> Result<Self> {
        Self::open(path, Origin::Record(path.display().to_string()))
    }

    /// Reads a record of a store.
    ///
    /// # Errors
    /// As [`AnalysisRecord::read`].
    pub fn of_store(store: &Store, name: &str) -> Result<Self> {
        let path = store.layout().analysis(name);
        Self::open(&path, Origin::Analysis(name.to_string()))
    }

    /// Names of the records in a store, sorted.
    ///
    /// # Errors
    /// The folder is there and cannot be listed.
    pub fn names(store: &Store) -> Result<Vec<String>> {
        let folder = store.layout().analyses();
        let failed = |error: std::io::Error| AnalysisError::Store {
            path: folder.clone(),
            reason: error.to_string(),
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|ending| ending == "json") {
                names.extend(stem.map(str::to_string));
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(path: &Path, origin: Origin) -> Result<Self> {
        let corrupt = |reason: String| AnalysisError::Record {
            path: path.to_path_buf(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|error| corrupt(error.to_string()))?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        let schema = value.get("schema").and_then(Value::as_str);
        let known = [ATTENTION, MEMORY, LATENCY];
        let expected = || format!("expected one of {}", known.join(", "));
        let schema = match schema {
            Some(schema) if known.contains(&schema) => schema.to_string(),
            Some(other) => {
                return Err(corrupt(format!(
                    "it is of version `{other}`, {}",
                    expected()
                )));
            }
            None => return Err(corrupt(format!("it has no `schema`, {}", expected()))),
        };
        let name = path.file_stem().and_then(|stem| stem.to_str());
        Ok(Self {
            name: name.unwrap_or("record").to_string(),
            path: path.to_path_buf(),
            origin,
            id: id(&bytes),
            schema,
            value,
        })
    }

    /// What the record holds, if it is of this version.
    pub(super) fn get<T: DeserializeOwned>(&self, schema: &str) -> Result<Option<T>> {
        if self.schema != schema {
            return Ok(None);
        }
        let found = serde_json::from_value(self.value.clone());
        found.map(Some).map_err(|error| AnalysisError::Record {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}

fn id(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..ID_BYTES]
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
