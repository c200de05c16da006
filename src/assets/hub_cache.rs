//! The folder layout in which Hugging Face tools keep repositories.
//!
//! ```text
//! models--OWNER--NAME/           datasets--OWNER--NAME/ for data
//!   refs/main                    a commit, without a line end
//!   snapshots/COMMIT/FILE        usually a link to ../../blobs/…; a plain file is as good
//! ```

use super::disk::write_atomic;
use super::{FileEntry, HubSource, Result, digest};
use std::fs;
use std::path::{Path, PathBuf};

/// What a repository on the hub holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepoKind {
    Model,
    Dataset,
}

impl RepoKind {
    /// How the interface of the hub, and folders, call all of them.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

/// A folder of repositories of one kind.
#[derive(Clone, Debug)]
pub struct HubCache {
    root: PathBuf,
    kind: RepoKind,
}

impl HubCache {
    /// The models of the cache at `root`, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            kind: RepoKind::Model,
        }
    }

    /// The data sets of the same cache.
    #[must_use]
    pub fn datasets(self) -> Self {
        Self {
            kind: RepoKind::Dataset,
            ..self
        }
    }

    /// Where everything is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a commit's files, whether it exists or not.
    #[must_use]
    pub fn snapshot_dir(&self, repo: &str, commit: &str) -> PathBuf {
        self.repo_dir(repo).join("snapshots").join(commit)
    }

    /// The files of `revision`, a commit, branch or tag, as far as they are here.
    #[must_use]
    pub fn snapshot(&self, repo: &str, revision: &str) -> Option<PathBuf> {
        let reference = self.repo_dir(repo).join("refs").join(revision);
        let commit = match fs::read_to_string(reference) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        let plain = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Some(self.snapshot_dir(repo, &commit)).filter(|dir| plain && dir.is_dir())
    }

    /// A snapshot that holds all `files` of `source` with the pinned content.
    ///
    /// Pinned files may come from any commit; unpinned ones only from the revision asked for.
    #[must_use]
    pub fn find_files(&self, source: &HubSource, files: &[FileEntry]) -> Option<PathBuf> {
        let mut snapshots: Vec<PathBuf> = Vec::new();
        snapshots.extend(self.snapshot(&source.repo, &source.revision));
        if files.iter().all(|file| file.sha256.is_some()) {
            let all = fs::read_dir(self.repo_dir(&source.repo).join("snapshots"));
            let mut others: Vec<_> = all
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            others.sort();
            snapshots.extend(others);
        }
        snapshots
            .into_iter()
            .find(|dir| files.iter().all(|file| is_file(dir, file)))
    }

    /// What `revision` means here: a commit by itself, or by a reference.
    #[must_use]
    pub(crate) fn commit(&self, repo: &str, revision: &str) -> Option<String> {
        let reference = self.repo_dir(repo).join("refs").join(revision);
        let commit = match fs::read_to_string(reference) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        is_commit(&commit).then_some(commit)
    }

    /// All snapshots of a repository, the newest first.
    #[must_use]
    pub(crate) fn snapshots(&self, repo: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.repo_dir(repo).join("snapshots"));
        let mut found: Vec<_> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| {
                (
                    entry.metadata().and_then(|m| m.modified()).ok(),
                    entry.path(),
                )
            })
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, path)| path).collect()
    }

    /// Where the list of a commit's files is kept. Only our own cache has it.
    #[must_use]
    pub(crate) fn list_file(&self, repo: &str, commit: &str) -> PathBuf {
        self.repo_dir(repo)
            .join("lists")
            .join(format!("{commit}.json"))
    }

    /// Lets `revision` mean `commit`. It comes last: it says that the files are there.
    pub(crate) fn set_ref(&self, repo: &str, revision: &str, commit: &str) -> Result<()> {
        write_atomic(
            &self.repo_dir(repo).join("refs").join(revision),
            commit.as_bytes(),
        )
    }

    fn repo_dir(&self, repo: &str) -> PathBuf {
        self.root.join(format!(
            "{}--{}",
            self.kind.plural(),
            repo.replace('/', "--")
        ))
    }
}

/// Whether `revision` is a commit, and so fit to be the name of a folder.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `dir` holds `file` with the size and content it should have.
fn is_file(dir: &Path, file: &FileEntry) -> bool {
    let path = dir.join(&file.name);
    let Ok(metadata) = fs::metadata(&path) else {
        return false;
    };
    if !metadata.is_file() || file.bytes.is_some_and(|bytes| bytes != metadata.len()) {
        return false;
    }
    let Some(sha256) = &file.sha256 else {
        return true;
    };
    // Large files are kept under their digest, which saves reading them.
    let blob = fs::canonicalize(&path).ok();
    let named = blob
        .as_deref()
        .and_then(Path::file_name)
        .is_some_and(|name| name == &**sha256);
    named || digest::sha256_file(&path).is_ok_and(|found| found == *sha256)
}
