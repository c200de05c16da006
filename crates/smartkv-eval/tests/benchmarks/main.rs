//! Benchmarks that are read from files: their prompts, what is left out of them, and their scores.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::float_cmp, reason = "scores that are exact fractions")]

#[path = "../common/mod.rs"]
mod common;

mod fidelity;
mod file;
mod folder;
mod leval;
mod longbench;
mod zeroscrolls;

use folder::Folder;
use serde_json::Value;
use smartkv_eval::task::{Answer, Haystack, Part, Sample, Task, TaskCx, task};
use smartkv_host::{LoadOptions, Model};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The default model where this machine has it, else the tiny one: only the tokenizer is used.
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let file = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let given = std::env::var_os("SMARTKV_TEST_GGUF").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or(home);
    let cached = cache.map(|cache| {
        cache
            .join("smartkv/models/smollm2-135m-instruct")
            .join(file)
    });
    let mut known = given.into_iter().chain(cached);
    match known.find(|path| path.is_file()) {
        Some(path) => Model::load(path, LoadOptions::default()).unwrap(),
        None => common::tiny(),
    }
});

static NO_PROSE: Haystack = Haystack {
    name: String::new(),
    text: String::new(),
};

/// What a task is told, without a chat template.
fn raw(data: &Folder, context_tokens: usize) -> TaskCx<'_> {
    TaskCx {
        tokenizer: MODEL.tokenizer(),
        template: None,
        context_tokens,
        seed: 0,
        query_aware: false,
        data,
        haystack: &NO_PROSE,
    }
}

/// The data sets for tests, where this machine has them beside the repository.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(name);
    path.exists().then_some(path)
}

fn made(config: &Value) -> Box<dyn Task> {
    task(config).unwrap()
}

/// All samples of the part called `name`.
fn samples(task: &dyn Task, name: &str, cx: &TaskCx<'_>) -> Result<Vec<Sample>, String> {
    let parts = task.parts(cx).map_err(|error| error.to_string())?;
    let part = parts.iter().find(|part| part.name == name).unwrap();
    let samples = task.samples(part, cx).map_err(|error| error.to_string())?;
    samples
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// What `task` gives a text for `answers` in `part`.
fn score(task: &dyn Task, part: &Part, sample: &Sample, text: &str) -> f64 {
    let answer = Answer {
        text: text.to_owned(),
        ..Answer::default()
    };
    task.score(part, sample, &answer).unwrap().value
}

/// Rows as a `.jsonl` file.
fn lines(rows: &[Value]) -> String {
    let lines = rows.iter().map(|row| format!("{row}\n"));
    lines.collect::<Vec<_>>().concat()
}
