//! A small study of the tiny model, and a look into its store.

use crate::program::{Run, TEXT, TINY, finish, program};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A grid's file and a store, in a folder of their own.
pub(crate) struct Study {
    pub(crate) folder: TempDir,
    pub(crate) grid: PathBuf,
    pub(crate) store: PathBuf,
}

/// What every grid here begins with: the tiny model, windows of a text in the repository.
pub(crate) fn base(windows: usize, score: usize) -> String {
    format!(
        "base:\n  model: {TINY}\n  text: {TEXT}\n  needle: {{enabled: false}}\n  windows: \
         {{count: {windows}, prefill: 40, score: {score}, seeded: true}}\n"
    )
}

/// A named value of the axis `strategy`: so many bits, for the short heads of the tiny model.
pub(crate) fn uniform(bits: u8) -> String {
    format!(
        "uniform-{bits}: {{type: uniform, key_bits: {bits}, value_bits: {bits}, group_size: 16}}"
    )
}

impl Study {
    pub(crate) fn new(grid: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.yaml");
        fs::write(&file, grid).unwrap();
        Self {
            grid: file,
            store: folder.path().join("store"),
            folder,
        }
    }

    /// Two strategies, two seeds.
    pub(crate) fn small() -> Self {
        Self::new(&format!(
            "{}axes:\n  strategy: {{{}, {}}}\nseeds: 2\n",
            base(2, 8),
            uniform(4),
            uniform(2)
        ))
    }

    pub(crate) fn grid(&self) -> &str {
        self.grid.to_str().unwrap()
    }

    pub(crate) fn store(&self) -> &str {
        self.store.to_str().unwrap()
    }

    /// `smartkv sweep COMMAND GRID --store STORE` and more.
    pub(crate) fn sweep(&self, command: &str, more: &[&str]) -> Run {
        let args = [
            &["sweep", command, self.grid(), "--store", self.store()],
            more,
        ]
        .concat();
        finish(program(&args))
    }

    /// Every record, by the name of its file, byte for byte.
    pub(crate) fn records(&self) -> BTreeMap<String, String> {
        files(&self.store.join("cells"))
    }
}

/// The JSON files of a folder, whole; none may be half-written.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if path.extension().is_some_and(|e| e == "json") {
            let text = fs::read_to_string(&path).unwrap();
            serde_json::from_str::<Value>(&text).unwrap();
            files.insert(name, text);
        }
    }
    files
}
