//! The folder layout in which Hugging Face tools keep repositories.
//!
//! ```text
//! models--OWNER--NAME/
//!   refs/main                    a commit, without a line end
//!   snapshots/COMMIT/FILE        usually a link to ../../blobs/…; a plain file is as good
//! ```

use super::disk::write_atomic;
use super::{FileEntry, HubSource, Result, digest};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of repositories.
#[derive(Clone, Debug)]
pub struct HubCache {
    root: PathBuf,
}

impl HubCache {
    /// The cache at `root`, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
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

    /// Lets `revision` mean `commit`. It comes last: it says that the files are there.
    pub(crate) fn set_ref(&self, repo: &str, revision: &str, commit: &str) -> Result<()> {
        write_atomic(
            &self.repo_dir(repo).join("refs").join(revision),
            commit.as_bytes(),
        )
    }

    fn repo_dir(&self, repo: &str) -> PathBuf {
        self.root
            .join(format!("models--{}", repo.replace('/', "--")))
    }
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
