//! Finished samples and windows on disk, so that an interrupted run goes on where it stopped.

use super::error::ExperimentError;
use crate::assets::sha256_bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use smartkv_eval::task::{Journal, SampleRecord, TaskResult};
use smartkv_eval::{EvalError, KeptWindow, WindowJournal};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A file of JSON lines that one process at a time may add to.
///
/// The file's name is the digest of everything that determines its lines.
#[derive(Debug)]
struct LineFile {
    path: PathBuf,
    file: File,
    removed: bool,
}

impl LineFile {
    /// Opens the file of the run that `identity` describes, in `folder`, and reads what it holds.
    fn open<T: DeserializeOwned>(
        folder: &Path,
        identity: &Value,
    ) -> anyhow::Result<(Self, Vec<T>)> {
        let store = |what, path: &Path| {
            let path = path.to_path_buf();
            move |source| ExperimentError::Store { what, path, source }
        };
        fs::create_dir_all(folder).map_err(store("make", folder))?;
        let digest = sha256_bytes(identity.to_string().as_bytes());
        let path = folder.join(format!("{}.jsonl", &digest[..32]));
        let mut options = File::options();
        let mut file = options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(store("open", &path))?;
        // Not every file system has locks, and without one nothing is worse than before.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            anyhow::bail!(
                "another process is at the same run: its samples are in {}",
                path.display()
            );
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(store("read", &path))?;
        let mut lines = Vec::new();
        let mut sound = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            // A line that a crash cut short, and whatever stands behind it.
            let Ok(record) = serde_json::from_slice::<T>(line) else {
                break;
            };
            if !line.ends_with(b"\n") {
                break;
            }
            sound += line.len();
            lines.push(record);
        }
        file.set_len(sound as u64).map_err(store("write", &path))?;
        file.seek(SeekFrom::End(0)).map_err(store("read", &path))?;
        let removed = false;
        Ok((
            Self {
                path,
                file,
                removed,
            },
            lines,
        ))
    }

    /// Adds a line, safe on the disk when this returns.
    fn add(&mut self, record: &impl Serialize) -> smartkv_eval::Result<()> {
        let written = serde_json::to_vec(record)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)?;
                self.file.sync_data()
            });
        written.map_err(|source| {
            let error = ExperimentError::Store {
                what: "write",
                path: self.path.clone(),
                source,
            };
            let hints = vec!["finished samples are kept: run the same command again".to_string()];
            EvalError::Outside {
                error: error.into(),
                hints,
            }
        })
    }

    fn remove(&mut self) {
        // What stays is found and used again; it is only in the way.
        let _ = fs::remove_file(&self.path);
        self.removed = true;
    }
}

impl Drop for LineFile {
    /// A run that finished nothing leaves no file behind.
    fn drop(&mut self) {
        if !self.removed && self.file.metadata().is_ok_and(|facts| facts.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Finished samples of one task, put exactly so. Removed when the run's record is complete.
#[derive(Debug)]
pub struct RunJournal {
    lines: LineFile,
    done: HashMap<(String, usize), SampleRecord>,
}

impl RunJournal {
    /// Opens the journal of the run that `identity` describes, in `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written, or another process that is at the same run.
    pub fn open(folder: &Path, identity: &Value) -> anyhow::Result<Self> {
        let (lines, done) = LineFile::open::<SampleRecord>(folder, identity)?;
        let key = |record: SampleRecord| ((record.part.clone(), record.index), record);
        Ok(Self {
            lines,
            done: done.into_iter().map(key).collect(),
        })
    }

    /// Samples that earlier runs finished.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.done.len()
    }

    /// Forgets the run, whose record is complete and in safe hands: unless earlier, larger runs
    /// finished samples that are not in it.
    pub fn finish(mut self, result: &TaskResult) {
        let used: HashSet<(&str, usize)> = result
            .samples
            .iter()
            .map(|sample| (sample.part.as_str(), sample.index))
            .collect();
        let all = |(part, index): &(String, usize)| used.contains(&(part.as_str(), *index));
        if self.done.keys().all(all) {
            self.lines.remove();
        }
    }
}

impl Journal for RunJournal {
    fn recall(&self, part: &str, index: usize) -> Option<SampleRecord> {
        self.done.get(&(part.to_string(), index)).cloned()
    }

    fn keep(&mut self, record: &SampleRecord) -> smartkv_eval::Result<()> {
        self.lines.add(record)
    }
}

/// Finished windows of one evaluation. Removed when its record is complete.
#[derive(Debug)]
pub struct WindowsJournal {
    lines: LineFile,
    done: HashMap<(usize, usize), KeptWindow>,
}

impl WindowsJournal {
    /// Opens the journal of the run that `identity` describes, in `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written, or another process that is at the same run.
    pub fn open(folder: &Path, identity: &Value) -> anyhow::Result<Self> {
        let (lines, done) = LineFile::open::<KeptWindow>(folder, identity)?;
        let key = |kept: KeptWindow| ((kept.window, kept.start), kept);
        Ok(Self {
            lines,
            done: done.into_iter().map(key).collect(),
        })
    }

    /// As [`RunJournal::finish`].
    pub fn finish(mut self, result: &[(usize, usize)]) {
        if self.done.keys().all(|key| result.contains(key)) {
            self.lines.remove();
        }
    }
}

impl WindowJournal for WindowsJournal {
    fn recall(&self, window: usize, start: usize) -> Option<KeptWindow> {
        self.done.get(&(window, start)).cloned()
    }

    fn keep(&mut self, window: &KeptWindow) -> smartkv_eval::Result<()> {
        self.lines.add(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(index: usize) -> SampleRecord {
        let mut record: SampleRecord = serde_json::from_value(json!({
            "part": "p", "index": index, "fingerprint": "f", "id": "", "context_tokens": 1,
            "question_tokens": 1, "answers": [], "control": null, "attempts": [{
                "score": 0.0, "text": "", "generated_tokens": 0, "stop": null, "forced": null,
                "live_bytes": 0, "f16_bytes": 0,
            }],
        }))
        .unwrap();
        // Digits that a careless parser gets wrong by the last.
        let odd = (f64::from(u32::try_from(index).unwrap()) + 0.1)
            .sqrt()
            .exp()
            .ln_1p()
            / 3.0;
        record.attempts[0].score = odd;
        record.attempts[0]
            .details
            .insert("odd".into(), 1.0 / odd * 1e-7);
        record
    }

    fn result(samples: &[SampleRecord]) -> TaskResult {
        let part = json!({
            "name": "", "metric": "", "n": 1, "context_tokens": 0.0, "control": null,
            "discriminative": null, "undecided": null, "sides": [],
        });
        let result = json!({
            "sides": [], "overall": part, "parts": [], "sources": [], "samples": samples,
        });
        serde_json::from_value(result).unwrap()
    }

    #[test]
    fn a_smaller_run_leaves_the_samples_of_a_larger_one() {
        let folder = tempfile::tempdir().unwrap();
        let identity = json!(2);
        let mut journal = RunJournal::open(folder.path(), &identity).unwrap();
        for index in 0..50 {
            journal.keep(&record(index)).unwrap();
        }
        drop(journal);
        let open = || RunJournal::open(folder.path(), &identity).unwrap();
        open().finish(&result(&[record(0), record(1)]));
        let journal = open();
        assert_eq!(journal.finished(), 50);
        // To the bit.
        let all: Vec<SampleRecord> = (0..50).map(record).collect();
        for sample in &all {
            assert_eq!(journal.recall("p", sample.index).as_ref(), Some(sample));
        }
        journal.finish(&result(&all));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_kept_is_found_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let identity = json!({"task": "x"});
        let mut journal = RunJournal::open(folder.path(), &identity).unwrap();
        journal.keep(&record(0)).unwrap();
        journal.keep(&record(1)).unwrap();
        let path = journal.lines.path.clone();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut journal = RunJournal::open(folder.path(), &identity).unwrap();
            let lines = whole[..cut].split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(journal.finished(), lines, "cut at {cut}");
            journal.keep(&record(7)).unwrap();
            drop(journal);
            let again = RunJournal::open(folder.path(), &identity).unwrap();
            assert_eq!(again.finished(), lines + 1);
            assert_eq!(again.recall("p", 7), Some(record(7)));
        }
        assert_eq!(
            RunJournal::open(folder.path(), &json!({"task": "y"}))
                .unwrap()
                .finished(),
            0
        );
    }

    #[test]
    fn two_runs_do_not_share_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let identity = json!(1);
        let first = RunJournal::open(folder.path(), &identity).unwrap();
        let error = RunJournal::open(folder.path(), &identity).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        drop(RunJournal::open(folder.path(), &identity).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
