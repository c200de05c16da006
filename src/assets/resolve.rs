//! From what a user wrote to a path on this machine.

use super::fetch::{fetch_entry, unavailable};
use super::spec::folder_gap;
use super::{AssetCache, Catalogue, Entry, HubCache, HubRef, ModelSpec, Policy, Progress};
use super::{Result, Source, Tried, hub};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where something was found without a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The user named a path.
    Path,
    /// Our own cache.
    Cache,
    /// The cache of the Hugging Face tools.
    HubCache,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Path => "path",
            Self::Cache => "smartkv cache",
            Self::HubCache => "hugging face cache",
        })
    }
}

/// Something that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// A file, or the folder of a model in several files.
    pub path: PathBuf,
    /// How it was found.
    pub place: Place,
}

/// The path of the model that `spec` names, fetching it if need be.
///
/// `spec` is a path, a name in the catalogue, or `owner/name` on the Hugging Face hub with an
/// optional `/file.gguf` and `@revision`.
///
/// # Errors
///
/// When `spec` means nothing, or the model is neither here nor to be had; see
/// [`AssetError::hints`](super::AssetError::hints) for what to tell the user.
pub fn resolve_model(spec: &str, policy: &Policy, progress: &Progress) -> Result<PathBuf> {
    let progress = *progress;
    let spec = ModelSpec::parse(spec, Catalogue::embedded())?;
    if let Some(located) = locate(&spec, policy) {
        return Ok(located.path);
    }
    match spec {
        ModelSpec::Path(path) => Ok(path),
        ModelSpec::Named(entry) => fetch_entry(entry, policy, progress),
        ModelSpec::Hub(reference) => fetch_reference(&reference, policy, progress),
    }
}

/// The model that `spec` names, if it is on this machine. Fetches nothing.
#[must_use]
pub fn locate(spec: &ModelSpec<'_>, policy: &Policy) -> Option<Located> {
    match spec {
        ModelSpec::Path(path) => Some(Located {
            path: path.clone(),
            place: Place::Path,
        }),
        ModelSpec::Named(entry) => locate_entry(entry, policy),
        ModelSpec::Hub(reference) => locate_reference(reference, policy),
    }
}

/// A catalogue entry, if it is on this machine.
#[must_use]
pub fn locate_entry(entry: &Entry, policy: &Policy) -> Option<Located> {
    if let Some(path) = AssetCache::new(policy).find(entry) {
        return Some(Located {
            path,
            place: Place::Cache,
        });
    }
    let cache = HubCache::new(policy.hub_cache_dir.as_ref()?);
    entry.sources.iter().find_map(|source| {
        let Source::Hub(source) = source else {
            return None;
        };
        let dir = cache.find_files(source, &entry.files)?;
        Some(Located {
            path: super::cache::entry_path(entry, &dir),
            place: Place::HubCache,
        })
    })
}

fn locate_reference(reference: &HubRef, policy: &Policy) -> Option<Located> {
    let own = (AssetCache::new(policy).hub(), Place::Cache);
    let theirs = policy
        .hub_cache_dir
        .as_ref()
        .map(|dir| (HubCache::new(dir), Place::HubCache));
    [Some(own), theirs]
        .into_iter()
        .flatten()
        .find_map(|(cache, place)| {
            let dir = cache.snapshot(&reference.repo, &reference.revision)?;
            Some(Located {
                path: present(reference, &dir)?,
                place,
            })
        })
}

/// The path within a snapshot, if everything needed is there.
fn present(reference: &HubRef, dir: &Path) -> Option<PathBuf> {
    match &reference.file {
        Some(file) => Some(dir.join(file)).filter(|path| path.is_file()),
        None => folder_gap(dir).is_none().then(|| dir.to_owned()),
    }
}

fn fetch_reference(reference: &HubRef, policy: &Policy, progress: Progress) -> Result<PathBuf> {
    let fetch = || {
        if policy.offline {
            return Err(super::AssetError::Offline);
        }
        let cache = AssetCache::new(policy);
        let _lock = cache.lock(&reference.repo, progress)?;
        match locate_reference(reference, policy) {
            Some(located) => Ok(located.path),
            None => hub::fetch_reference(reference, policy, progress),
        }
    };
    fetch().map_err(|error| {
        if error.is_local() {
            return error;
        }
        let name = match &reference.file {
            Some(file) => format!("{}/{file}", reference.repo),
            None => reference.repo.clone(),
        };
        let source = format!("hub {}@{}", reference.repo, reference.revision);
        unavailable("model", &name, vec![Tried { source, error }], policy)
    })
}
