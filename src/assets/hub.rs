//! Fetching from the Hugging Face hub.

use super::client::get_text;
use super::http::{Download, Expected};
use super::hub_cache::{RepoKind, is_commit};
use super::spec::{SHARD_INDEX, is_gguf, is_inside};
use super::{
    AssetCache, AssetError, Entry, FileEntry, FileRecord, HubRef, HubSource, Policy, Progress,
    Record,
};
use super::{Result, Source};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Files beside the weights that a model folder may have and a loader may want.
const SIDE_FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// What the hub tells about one revision of a repository.
#[derive(Debug, Deserialize)]
struct Info {
    /// The commit.
    sha: String,
    /// All its files.
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    lfs: Option<LargeFile>,
}

/// What is told of a file that is kept outside the repository proper.
#[derive(Debug, Deserialize)]
struct LargeFile {
    #[serde(default)]
    sha256: Option<String>,
}

/// Fetches the files of a catalogue entry into `dir`.
pub(crate) fn fetch_entry(
    entry: &Entry,
    source: &HubSource,
    dir: &Path,
    policy: &Policy,
    progress: Progress,
) -> Result<Record> {
    if policy.offline {
        return Err(AssetError::Offline);
    }
    // All files must come from one commit, whatever happens to the branch meanwhile.
    let commit = if is_commit(&source.revision) {
        source.revision.clone()
    } else {
        info(RepoKind::Model, &source.repo, &source.revision, policy)?.sha
    };
    let mut files = Vec::new();
    for file in &entry.files {
        let expected = Expected {
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        };
        let at = (source.repo.as_str(), commit.as_str(), file.name.as_str());
        files.push(fetch_file(
            RepoKind::Model,
            at,
            dir.join(&file.name),
            expected,
            policy,
            progress,
        )?);
    }
    let source = Source::Hub(source.clone()).to_string();
    Ok(Record {
        source,
        commit: Some(commit),
        files,
    })
}

/// Fetches what `reference` names into our own hub cache.
pub(crate) fn fetch_reference(
    reference: &HubRef,
    policy: &Policy,
    progress: Progress,
) -> Result<PathBuf> {
    if policy.offline {
        return Err(AssetError::Offline);
    }
    let HubRef {
        repo,
        revision,
        file,
    } = reference;
    let info = info(RepoKind::Model, repo, revision, policy)?;
    let wanted = match file {
        Some(file) => vec![file.clone()],
        None => model_files(repo, info.siblings)?,
    };
    let cache = AssetCache::new(policy).hub();
    let dir = cache.snapshot_dir(repo, &info.sha);
    for name in &wanted {
        let dest = dir.join(name);
        if !dest.is_file() {
            let at = (repo.as_str(), info.sha.as_str(), name.as_str());
            let expected = Expected::default();
            fetch_file(RepoKind::Model, at, dest, expected, policy, progress)?;
        }
    }
    if *revision != info.sha {
        cache.set_ref(repo, revision, &info.sha)?;
    }
    Ok(file
        .as_ref()
        .map_or_else(|| dir.clone(), |file| dir.join(file)))
}

/// Fetches one file of a repository at a commit.
pub(crate) fn fetch_file(
    kind: RepoKind,
    (repo, commit, file): (&str, &str, &str),
    dest: PathBuf,
    expected: Expected,
    policy: &Policy,
    progress: Progress,
) -> Result<FileRecord> {
    let mut path: Vec<&str> = match kind {
        RepoKind::Model => Vec::new(),
        RepoKind::Dataset => vec![kind.plural()],
    };
    path.extend(repo.split('/'));
    path.extend(["resolve", commit]);
    path.extend(file.split('/'));
    let url = url(&policy.endpoint, &path)?;
    let label = format!("{file} from {repo}");
    let token = policy.token.clone();
    Download {
        url,
        dest,
        label,
        expected,
        token,
    }
    .run(policy, &progress)
}

/// The commit that `revision` of a data set means, and all files of it with sizes and, as far as
/// the hub tells, digests.
pub(crate) fn list_dataset(
    repo: &str,
    revision: &str,
    policy: &Policy,
) -> Result<(String, Vec<FileEntry>)> {
    let info = info(RepoKind::Dataset, repo, revision, policy)?;
    let file = |sibling: Sibling| {
        // Names become paths beneath the cache.
        if !is_inside(&sibling.rfilename) {
            return Err(AssetError::BadReply {
                url: format!("{}/datasets/{repo}", policy.endpoint),
                reason: format!("file name `{}`", sibling.rfilename),
            });
        }
        let sha256 = sibling.lfs.and_then(|lfs| lfs.sha256);
        Ok(FileEntry {
            name: sibling.rfilename,
            bytes: sibling.size,
            sha256,
        })
    };
    let mut files: Vec<FileEntry> = info.siblings.into_iter().map(file).collect::<Result<_>>()?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((info.sha, files))
}

fn info(kind: RepoKind, repo: &str, revision: &str, policy: &Policy) -> Result<Info> {
    let mut path = vec!["api", kind.plural()];
    path.extend(repo.split('/'));
    path.extend(["revision", revision]);
    let mut url = url(&policy.endpoint, &path)?;
    if kind == RepoKind::Dataset {
        // Sizes and digests of all files.
        url.push_str("?blobs=true");
    }
    let text = get_text(policy, &url, policy.token.as_ref())?;
    let bad = |reason: String| AssetError::BadReply {
        url: url.clone(),
        reason,
    };
    let info: Info = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    // The commit becomes the name of a folder.
    if is_commit(&info.sha) {
        Ok(info)
    } else {
        Err(bad(format!("commit `{}`", info.sha)))
    }
}

/// The files of a repository that make up a model. Weights come last: a folder that has them
/// has the rest.
fn model_files(repo: &str, siblings: Vec<Sibling>) -> Result<Vec<String>> {
    let all: Vec<String> = siblings
        .into_iter()
        .map(|sibling| sibling.rfilename)
        .collect();
    let has = |name: &str| all.iter().any(|file| file == name);
    let at_root = |start: &str| -> Vec<String> {
        let weights = |file: &&String| {
            file.starts_with(start) && file.ends_with(".safetensors") && !file.contains('/')
        };
        all.iter().filter(weights).cloned().collect()
    };
    // Some repositories hold the weights twice, under the usual names and in one piece.
    let mut weights = at_root("model");
    if weights.is_empty() {
        weights = at_root("");
    }
    if !has("config.json") || weights.is_empty() {
        let missing = if has("config.json") {
            "no `.safetensors`"
        } else {
            "no `config.json`"
        };
        let gguf = all
            .into_iter()
            .filter(|file| is_gguf(file) && is_inside(file))
            .collect();
        return Err(AssetError::NoModelInRepo {
            repo: repo.to_owned(),
            reason: missing.to_owned(),
            gguf,
        });
    }
    let side = SIDE_FILES
        .into_iter()
        .chain([SHARD_INDEX])
        .filter(|name| has(name));
    Ok(side.map(str::to_owned).chain(weights).collect())
}

fn url(endpoint: &str, path: &[&str]) -> Result<String> {
    let bad = || AssetError::BadReply {
        url: endpoint.to_owned(),
        reason: "HF_ENDPOINT is not a web address".to_owned(),
    };
    let mut url = reqwest::Url::parse(endpoint).map_err(|_| bad())?;
    url.path_segments_mut()
        .map_err(|()| bad())?
        .pop_if_empty()
        .extend(path);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped() {
        let address = url(
            "http://hub/mirror/",
            &["a", "b", "revision", "refs/pr/1", "x y#.gguf"],
        );
        assert_eq!(
            address.unwrap(),
            "http://hub/mirror/a/b/revision/refs%2Fpr%2F1/x%20y%23.gguf"
        );
        assert!(url("nonsense", &["a"]).is_err());
    }

    #[test]
    fn picks_the_files_of_a_model() {
        let pick = |names: &[&str]| {
            let sibling = |name: &&str| Sibling {
                rfilename: (*name).to_owned(),
                size: None,
                lfs: None,
            };
            model_files("o/n", names.iter().map(sibling).collect())
        };
        let files = pick(&[
            "README.md",
            "model-1.safetensors",
            "model-2.safetensors",
            SHARD_INDEX,
            "consolidated.safetensors",
            "onnx/model.safetensors",
            "tokenizer.json",
            "config.json",
        ]);
        let picked = [
            "config.json",
            "tokenizer.json",
            SHARD_INDEX,
            "model-1.safetensors",
            "model-2.safetensors",
        ];
        assert_eq!(files.unwrap(), picked);

        let error = pick(&["q4.gguf", "../q8.gguf", "README.md"]).unwrap_err();
        assert_eq!(error.hints(), ["try `o/n/q4.gguf`"]);
    }
}
