//! What a user may write where a model is asked for.

use super::{AssetError, Catalogue, Entry, Result, catalogue};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// First bytes of every GGUF file.
const GGUF_MAGIC: &[u8; 4] = b"GGUF";

/// Weights of a model folder, when there are several.
pub(crate) const SHARD_INDEX: &str = "model.safetensors.index.json";

/// A model, as asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelSpec<'a> {
    /// A GGUF file or a folder.
    Path(PathBuf),
    /// A name in the catalogue.
    Named(&'a Entry),
    /// A repository on the hub, or a file in one.
    Hub(HubRef),
}

/// `owner/name`, `owner/name@revision` or `owner/name/folder/file.gguf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRef {
    /// `owner/name`.
    pub repo: String,
    /// A commit, branch or tag.
    pub revision: String,
    /// One file of it; otherwise the whole model.
    pub file: Option<String>,
}

impl<'a> ModelSpec<'a> {
    /// Reads `spec`. An existing path wins over a name, and a name over a repository.
    ///
    /// # Errors
    ///
    /// When it is a path that does not exist or holds no model, or a name nobody knows.
    pub fn parse(spec: &str, catalogue: &'a Catalogue) -> Result<Self> {
        let path = Path::new(spec);
        let named = catalogue.model(spec);
        if path.exists() {
            match (check_model_path(path), named) {
                (Ok(()), _) => return Ok(Self::Path(path.to_owned())),
                // A folder that happens to be called like a model does not hide the model.
                (Err(_), Some(_)) => {}
                (Err(error), None) => return Err(error),
            }
        }
        if let Some(entry) = named {
            return Ok(Self::Named(entry));
        }
        if let Some(reference) = HubRef::parse(spec) {
            return Ok(Self::Hub(reference));
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if spec.contains(['/', '\\']) || matches!(extension, Some("gguf" | "safetensors")) {
            return Err(AssetError::NoSuchPath(path.to_owned()));
        }
        let names = catalogue.models.iter().flat_map(|entry| {
            entry
                .aliases
                .iter()
                .map(String::as_str)
                .chain([entry.name.as_str()])
        });
        Err(AssetError::Unknown {
            kind: "model",
            name: spec.to_owned(),
            known: catalogue.model_names(),
            nearest: catalogue::nearest(spec, names).map(str::to_owned),
        })
    }
}

impl HubRef {
    /// Reads a reference, if `spec` has the form of one.
    #[must_use]
    pub fn parse(spec: &str) -> Option<Self> {
        let (path, revision) = spec.split_once('@').unwrap_or((spec, "main"));
        let mut parts = path.splitn(3, '/');
        let (owner, name) = (parts.next()?, parts.next()?);
        let file = parts.next().map(str::to_owned);
        let is_weights = |name: &str| is_gguf(name) || name.ends_with(".safetensors");
        let sound = is_plain(owner)
            && is_plain(name)
            && !revision.is_empty()
            && revision.split('/').all(is_plain)
            // `models/x.gguf` is a path that is not there, not a repository.
            && !is_weights(name)
            && file.as_deref().is_none_or(|file| is_gguf(file) && is_inside(file));
        sound.then(|| Self {
            repo: format!("{owner}/{name}"),
            revision: revision.to_owned(),
            file,
        })
    }
}

/// Whether `name` is that of a GGUF file.
pub(crate) fn is_gguf(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "gguf")
}

/// Whether `file` is a relative path that stays where it is put.
pub(crate) fn is_inside(file: &str) -> bool {
    file.split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']))
}

fn is_plain(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
}

/// Whether `path` is a model that could be loaded, told by its name and first bytes alone.
pub(crate) fn check_model_path(path: &Path) -> Result<()> {
    let fail = |reason: &str| {
        Err(AssetError::NotAModel {
            path: path.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if path.is_dir() {
        return match folder_gap(path) {
            Some(reason) => fail(&reason),
            None => Ok(()),
        };
    }
    let mut magic = [0; 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if &magic == GGUF_MAGIC => Ok(()),
        Ok(()) => fail("it does not start as a GGUF file does"),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => fail("it is too short"),
        Err(error) => Err(AssetError::reading(path, error)),
    }
}

/// What keeps a folder from being a whole model, if anything does.
pub(crate) fn folder_gap(dir: &Path) -> Option<String> {
    if !dir.join("config.json").is_file() {
        return Some("it has no `config.json`".to_owned());
    }
    if let Ok(index) = fs::read(dir.join(SHARD_INDEX)) {
        let missing = |shard: &String| !dir.join(shard).is_file();
        return match shards(&index) {
            None => Some(format!("`{SHARD_INDEX}` cannot be read")),
            Some(shards) => shards
                .into_iter()
                .find(missing)
                .map(|shard| format!("it has no `{shard}`")),
        };
    }
    let mut files = fs::read_dir(dir).into_iter().flatten().flatten();
    let weights = files.any(|file| file.path().extension().is_some_and(|e| e == "safetensors"));
    (!weights).then(|| "it has no `.safetensors` file".to_owned())
}

/// The files that a shard index names, each once.
fn shards(index: &[u8]) -> Option<Vec<String>> {
    let index: serde_json::Value = serde_json::from_slice(index).ok()?;
    let map = index.get("weight_map")?.as_object()?;
    let mut shards: Vec<String> = map
        .values()
        .map(|shard| shard.as_str().map(str::to_owned))
        .collect::<Option<_>>()?;
    shards.sort();
    shards.dedup();
    shards
        .iter()
        .all(|shard| is_inside(shard))
        .then_some(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hub_references() {
        let plain = HubRef::parse("owner/some.name-1").unwrap();
        assert_eq!(
            (plain.repo.as_str(), plain.revision.as_str()),
            ("owner/some.name-1", "main")
        );
        assert_eq!(
            HubRef::parse("o/n@refs/pr/1").unwrap().revision,
            "refs/pr/1"
        );
        let file = HubRef::parse("o/n/q4/file.gguf@abc").unwrap();
        assert_eq!(
            (file.file.as_deref(), file.revision.as_str()),
            (Some("q4/file.gguf"), "abc")
        );
        for bad in [
            "name",
            "./a/b",
            "../b",
            "/a/b",
            "a/b/c",
            "a/b/../c.gguf",
            "a/b.gguf",
            "a/b@",
            "a//b",
        ] {
            assert_eq!(HubRef::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_folder_of_shards_is_whole_only_with_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert!(folder_gap(dir.path()).unwrap().contains("config.json"));
        put("config.json", "{}");
        assert!(folder_gap(dir.path()).unwrap().contains(".safetensors"));
        put(
            SHARD_INDEX,
            r#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#,
        );
        put("m-1.safetensors", "");
        assert!(folder_gap(dir.path()).unwrap().contains("m-2.safetensors"));
        put("m-2.safetensors", "");
        assert_eq!(folder_gap(dir.path()), None);
        put(
            SHARD_INDEX,
            r#"{"weight_map": {"a": "../m-1.safetensors"}}"#,
        );
        assert!(folder_gap(dir.path()).unwrap().contains("cannot be read"));
    }
}
