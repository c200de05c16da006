//! Data sets of tasks: in a folder, in a cache, on the hub.

mod listing;

use super::disk::write_atomic;
use super::fetch::unavailable;
use super::hub_cache::{RepoKind, is_commit};
use super::{AssetCache, AssetError, FileEntry, HubCache, HubRef, Policy, Progress, Result, Tried};
use super::{Expected, digest, glob, hub, resolve_text};
use smartkv_eval::EvalError;
use smartkv_eval::task::{DataFile, DataSource, Haystack};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zip::ZipArchive;

/// Finds the files of data sets.
///
/// Looked into one after another: a path, the folder of [`Policy::data_dir`], the Hugging Face
/// cache, our own cache, and the hub. A data set is fetched at the commit that its revision meant
/// when it was first asked for, and only those of its files that are.
#[derive(Debug)]
pub struct Datasets {
    policy: Policy,
    progress: Progress,
    /// Digests of files that were read already: the parts of a benchmark often share an archive.
    digests: Mutex<BTreeMap<PathBuf, String>>,
}

impl DataSource for Datasets {
    fn files(&self, root: &str, names: &[&str]) -> smartkv_eval::Result<Vec<DataFile>> {
        self.find(root, names).map_err(|error| outside(&error))
    }

    fn text(&self, name: &str) -> smartkv_eval::Result<Haystack> {
        let text = resolve_text(name, &self.policy, &self.progress);
        let text = text.map_err(|error| outside(&error))?;
        Ok(Haystack {
            name: text.source,
            text: text.text,
        })
    }
}

impl Datasets {
    /// Looks where `policy` says.
    #[must_use]
    pub fn new(policy: &Policy, progress: Progress) -> Self {
        Self {
            policy: policy.clone(),
            progress,
            digests: Mutex::default(),
        }
    }

    /// The files of `root` that match the first of `names` that any matches; see [`DataSource`].
    ///
    /// # Errors
    ///
    /// When none is to be had; [`AssetError::hints`] says what to do.
    pub fn find(&self, root: &str, names: &[&str]) -> Result<Vec<DataFile>> {
        let mut tried = Vec::new();
        let mut try_in = |source: String, found: Result<Vec<DataFile>>| match found {
            Err(error) if !error.is_local() => {
                tried.push(Tried { source, error });
                Ok(None)
            }
            found => found.map(Some),
        };
        let path = Path::new(root);
        if path.is_file() {
            return self.in_file(path, names);
        }
        if path.is_dir() {
            let found = self.in_folder(path, names);
            if let Some(files) = try_in(format!("folder {}", path.display()), found)? {
                return Ok(files);
            }
        }
        let Some(reference) = HubRef::parse(root).filter(|reference| reference.file.is_none())
        else {
            return Err(if tried.is_empty() {
                AssetError::NoData(path.to_owned())
            } else {
                unavailable("data set", root, tried, &self.policy)
            });
        };
        if let Some(dir) = &self.policy.data_dir {
            let found = self.in_data_dir(dir, &reference, names);
            if let Some(files) = try_in(format!("folder {}", dir.display()), found)? {
                return Ok(files);
            }
        }
        if let Some(found) = self.in_hub_cache(&reference, names)
            && let Some(files) = try_in("hugging face cache".to_owned(), found)?
        {
            return Ok(files);
        }
        let HubRef { repo, revision, .. } = &reference;
        let found = self.on_hub(&reference, names);
        match try_in(format!("hub {repo}@{revision}"), found)? {
            Some(files) => Ok(files),
            None => Err(unavailable("data set", repo, tried, &self.policy)),
        }
    }

    /// One file that the user named: whatever it is called, or the members that match.
    fn in_file(&self, path: &Path, names: &[&str]) -> Result<Vec<DataFile>> {
        let name = path.file_name().map(|name| name.display().to_string());
        let name = name.unwrap_or_default();
        if !name.to_ascii_lowercase().ends_with(".zip") {
            return Ok(vec![self.data_file(path.to_owned(), None, name)?]);
        }
        let members = members(path)?;
        let wanted = names.iter().flat_map(|name| {
            let (file, member) = listing::parts(name);
            listing::by_hand(member.unwrap_or(file))
        });
        for wanted in wanted {
            let matching = members
                .iter()
                .filter(|member| glob::matches(&wanted, member));
            let file = |member: &String| {
                let called = format!("{name}!{member}");
                self.data_file(path.to_owned(), Some(member.clone()), called)
            };
            let found: Vec<DataFile> = matching.map(file).collect::<Result<_>>()?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(no_match(names, members))
    }

    /// A folder that holds one data set.
    fn in_folder(&self, dir: &Path, names: &[&str]) -> Result<Vec<DataFile>> {
        let names: Vec<String> = names
            .iter()
            .flat_map(|name| listing::by_hand(name))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.pick(
            &names,
            &listing::walk(dir),
            &|file| Ok(dir.join(&file.name)),
        )
    }

    /// The folder of all data sets: one of its folders, or its files directly.
    fn in_data_dir(&self, dir: &Path, of: &HubRef, names: &[&str]) -> Result<Vec<DataFile>> {
        let name = of.repo.split_once('/').map_or(&*of.repo, |(_, name)| name);
        let folders = [of.repo.clone(), of.repo.replace('/', "--"), name.to_owned()];
        match folders
            .iter()
            .map(|folder| dir.join(folder))
            .find(|dir| dir.is_dir())
        {
            Some(folder) => self.in_folder(&folder, names),
            // Here a name without its folders could be any data set's.
            None => self.pick(names, &listing::walk(dir), &|file| Ok(dir.join(&file.name))),
        }
    }

    /// What the Hugging Face tools fetched, if they fetched any of it.
    fn in_hub_cache(&self, of: &HubRef, names: &[&str]) -> Option<Result<Vec<DataFile>>> {
        let cache = HubCache::new(self.policy.hub_cache_dir.as_ref()?).datasets();
        let mut snapshots: Vec<PathBuf> = Vec::new();
        snapshots.extend(cache.snapshot(&of.repo, &of.revision));
        if of.revision == "main" {
            // Files that were fetched by commit leave no reference behind.
            snapshots.extend(cache.snapshots(&of.repo));
        }
        let mut first = None;
        for dir in snapshots {
            let files = listing::walk(&dir);
            match self.pick(names, &files, &|file| Ok(dir.join(&file.name))) {
                Err(error) if !error.is_local() => first = first.or(Some(error)),
                found => return Some(found),
            }
        }
        first.map(Err)
    }

    /// Our own cache, and the hub for what it lacks.
    fn on_hub(&self, of: &HubRef, names: &[&str]) -> Result<Vec<DataFile>> {
        let HubRef { repo, revision, .. } = of;
        let cache = AssetCache::new(&self.policy).hub().datasets();
        let pick = |commit: &str, files: &[FileEntry]| {
            self.pick(names, files, &|file| {
                self.obtain(&cache, repo, commit, file)
            })
        };
        let known = cache.commit(repo, revision).and_then(|commit| {
            let list = fs::read(cache.list_file(repo, &commit)).ok()?;
            Some((
                commit,
                serde_json::from_slice::<Vec<FileEntry>>(&list).ok()?,
            ))
        });
        if let Some((commit, files)) = known {
            match pick(&commit, &files) {
                // The branch may have moved on to where they are.
                Err(AssetError::NoMatch { .. }) if !self.policy.offline && !is_commit(revision) => {
                }
                found => return found,
            }
        }
        if self.policy.offline {
            return Err(AssetError::Offline);
        }
        let (commit, files) = hub::list_dataset(repo, revision, &self.policy)?;
        let path = cache.list_file(repo, &commit);
        let list = serde_json::to_vec(&files)
            .map_err(|error| AssetError::writing(&path, None, error.into()))?;
        write_atomic(&path, &list)?;
        if *revision != commit {
            cache.set_ref(repo, revision, &commit)?;
        }
        pick(&commit, &files)
    }

    /// The path of a file of `commit`, fetched if it is not here in full.
    fn obtain(
        &self,
        cache: &HubCache,
        repo: &str,
        commit: &str,
        file: &FileEntry,
    ) -> Result<PathBuf> {
        let dest = cache.snapshot_dir(repo, commit).join(&file.name);
        let is_here = || {
            let metadata = fs::metadata(&dest).ok().filter(fs::Metadata::is_file);
            metadata.is_some_and(|found| file.bytes.is_none_or(|bytes| bytes == found.len()))
        };
        if is_here() {
            return Ok(dest);
        }
        if self.policy.offline {
            return Err(AssetError::Offline);
        }
        let key = format!("datasets--{repo}");
        let _lock = AssetCache::new(&self.policy).lock(&key, self.progress)?;
        if !is_here() {
            let expected = Expected {
                bytes: file.bytes,
                sha256: file.sha256.clone(),
            };
            let at = (repo, commit, file.name.as_str());
            let dest = dest.clone();
            hub::fetch_file(
                RepoKind::Dataset,
                at,
                dest,
                expected,
                &self.policy,
                self.progress,
            )?;
        }
        Ok(dest)
    }

    /// The files that match the first of `names` that any of `files` matches.
    fn pick(
        &self,
        names: &[&str],
        files: &[FileEntry],
        obtain: &dyn Fn(&FileEntry) -> Result<PathBuf>,
    ) -> Result<Vec<DataFile>> {
        let mut incomplete = None;
        for name in names {
            let (pattern, wanted) = listing::parts(name);
            let matching = |file: &&FileEntry| glob::matches(pattern, &file.name);
            let matched: Vec<&FileEntry> = files.iter().filter(matching).collect();
            let missing = listing::missing_shards(pattern, &matched, files);
            if !missing.is_empty() {
                incomplete = incomplete.or(Some(AssetError::Incomplete { missing }));
                continue;
            }
            let mut found = Vec::new();
            for file in matched {
                let path = obtain(file)?;
                let Some(wanted) = wanted else {
                    found.push(self.data_file(path, None, file.name.clone())?);
                    continue;
                };
                for member in members(&path)? {
                    if glob::matches(wanted, &member) {
                        let called = format!("{}!{member}", file.name);
                        found.push(self.data_file(path.clone(), Some(member), called)?);
                    }
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let there = || files.iter().map(|file| file.name.clone()).collect();
        Err(incomplete.unwrap_or_else(|| no_match(names, there())))
    }

    fn data_file(&self, path: PathBuf, member: Option<String>, name: String) -> Result<DataFile> {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let sha256 = if let Some(sha256) = digests.get(&path) {
            sha256.clone()
        } else {
            let read = digest::sha256_file(&path);
            let sha256 = read.map_err(|error| AssetError::reading(&path, error))?;
            digests.insert(path.clone(), sha256.clone());
            sha256
        };
        Ok(DataFile {
            path,
            member,
            name,
            sha256,
        })
    }
}

/// The members of an archive, in the order of their names.
fn members(path: &Path) -> Result<Vec<String>> {
    let file = File::open(path).map_err(|error| AssetError::reading(path, error))?;
    let bad = |error: zip::result::ZipError| AssetError::Archive {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let archive = ZipArchive::new(file).map_err(bad)?;
    let mut members = Vec::new();
    for name in archive.file_names() {
        members.push(name.map_err(bad)?.into_owned());
    }
    members.sort();
    Ok(members)
}

fn no_match(names: &[&str], there: Vec<String>) -> AssetError {
    AssetError::NoMatch {
        wanted: names.iter().map(|name| (*name).to_owned()).collect(),
        there,
    }
}

/// The error as a measurement reports it.
fn outside(error: &AssetError) -> EvalError {
    EvalError::Outside {
        hints: error.hints(),
        // With its causes: what is printed is the message alone.
        error: error.told().into(),
    }
}
