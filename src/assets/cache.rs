//! Our own cache: a folder for each named asset, with a record of what was fetched.
//!
//! ```text
//! models/NAME/…            a model's files and `asset.json`, the record
//! texts/NAME/…             the same for a text
//! hub/models--OWNER--NAME  hub repositories fetched by `owner/name`, as Hugging Face lays them
//! locks/                   one empty file for each asset that was ever fetched
//! ```

use super::disk::{create_dir, write_atomic};
use super::{AssetError, Entry, Format, HubCache, Policy, Progress, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the record within an asset's folder.
const RECORD: &str = "asset.json";

/// What a file turned out to be when it was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name within the asset's folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// What was fetched and from where; kept beside the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The source that gave it.
    pub source: String,
    /// The commit, when it came from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The files.
    pub files: Vec<FileRecord>,
}

impl Record {
    /// Reads the record in `dir`, if there is one that can be read.
    #[must_use]
    pub fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(RECORD)).ok()?).ok()
    }

    /// Writes the record into `dir`. It comes last: it says that all files are there.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(RECORD);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| AssetError::writing(&path, None, error.into()))?;
        write_atomic(&path, &text)
    }
}

/// Our own cache.
#[derive(Clone, Debug)]
pub struct AssetCache {
    root: PathBuf,
}

impl AssetCache {
    /// The cache that `policy` names.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            root: policy.cache_dir.clone(),
        }
    }

    /// Where everything is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that holds `entry`, or would.
    #[must_use]
    pub fn dir(&self, entry: &Entry) -> PathBuf {
        let kind = if entry.format == Format::Text {
            "texts"
        } else {
            "models"
        };
        self.root.join(kind).join(&entry.name)
    }

    /// Where hub repositories go.
    #[must_use]
    pub fn hub(&self) -> HubCache {
        HubCache::new(self.root.join("hub"))
    }

    /// The path of `entry`, if all its files are here in full.
    ///
    /// Digests were checked on arrival; here only names and sizes are, so that a file put there
    /// by hand counts too.
    #[must_use]
    pub fn find(&self, entry: &Entry) -> Option<PathBuf> {
        let dir = self.dir(entry);
        let record = Record::read(&dir);
        for file in &entry.files {
            let recorded = || {
                let files = &record.as_ref()?.files;
                files
                    .iter()
                    .find(|recorded| recorded.name == file.name)
                    .map(|file| file.bytes)
            };
            let expected = file.bytes.or_else(recorded)?;
            let found = fs::metadata(dir.join(&file.name)).ok()?.len();
            if found != expected {
                return None;
            }
        }
        Some(entry_path(entry, &dir))
    }

    /// Waits until no other process fetches what `key` names, and keeps others waiting.
    pub(crate) fn lock(&self, key: &str, progress: Progress) -> Result<Lock> {
        let dir = self.root.join("locks");
        create_dir(&dir)?;
        // The file stays when the lock goes: removing it would let two processes hold locks on
        // two files of one name.
        let path = dir.join(format!("{}.lock", key.replace('/', "--")));
        let fail = |error| AssetError::writing(&path, None, error);
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(fail)?;
        let unsupported = |error: &io::Error| error.kind() == io::ErrorKind::Unsupported;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.note(&format!("waiting for another process that fetches {key}"));
                file.lock().map_err(fail)?;
            }
            // Some network file systems have no locks; fetching twice does no harm but cost.
            Err(TryLockError::Error(error)) if unsupported(&error) => {}
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        Ok(Lock(file))
    }
}

/// Held while something is fetched; the system releases it with the file, whatever happens.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] File);

/// What a user of `entry` opens, given the folder of its files.
pub(crate) fn entry_path(entry: &Entry, dir: &Path) -> PathBuf {
    match (entry.format, entry.files.first()) {
        (Format::Gguf | Format::Text, Some(file)) => dir.join(&file.name),
        _ => dir.to_owned(),
    }
}
