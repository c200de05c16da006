//! A cell: one experiment, complete, and its identity.

mod inputs;
mod run;

pub use inputs::Inputs;
pub use run::{CellResult, run_cell};

use super::settings::EvalSettings;
use crate::config::{CalibrationOrigin, StrategySpec, TaskSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_analysis::store::digest;
use smartkv_core::{Budget, Prefill};
use smartkv_eval::task::{Source, TaskOptions};
use smartkv_eval::tasks::Needle;
use smartkv_eval::{Protocol, Windows};
use std::fmt;

pub use smartkv_analysis::store::layout::CELL_SCHEMA;

/// Everything that determines the result of one experiment, and the names to find it by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// [`CELL_SCHEMA`].
    pub schema: String,
    /// What is run.
    pub model: CellModel,
    /// What takes over its cache.
    pub strategy: CellStrategy,
    /// Limit on live bytes; the strategy's own if `null`.
    pub budget: Option<Budget>,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// Seed of everything random.
    pub seed: u64,
    /// What is measured.
    pub measure: Measure,
}

/// A model and its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellModel {
    /// Name, path or hub repository.
    pub name: String,
    /// SHA-256 of its files.
    pub sha256: String,
    /// How weights are held.
    pub weights: String,
}

/// A strategy with its complete configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellStrategy {
    /// What it is called.
    pub name: String,
    /// Every field, defaults included.
    pub config: Value,
    /// What it was calibrated with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationOrigin>,
}

/// A text and its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellText {
    /// Name or path.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// What a cell measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Measure {
    /// Windows of a text and needles, as `smartkv eval` does.
    Eval(EvalMeasure),
    /// Tasks, as `smartkv eval --task` does.
    Tasks(TasksMeasure),
}

/// Windows of a text and needles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalMeasure {
    /// The text.
    pub text: CellText,
    /// How scored tokens pass through the caches.
    pub protocol: Protocol,
    /// Windows of the text.
    pub windows: Windows,
    /// The seed that windows are drawn with.
    pub window_seed: Option<u64>,
    /// Tokens per forward pass while prefilling.
    pub prefill_chunk: usize,
    /// The needle grid, unless left out.
    pub needle: Option<Needle>,
    /// Whether attention outputs are compared layer by layer.
    pub attention_error: bool,
}

/// Tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TasksMeasure {
    /// What is asked.
    pub tasks: Vec<CellTask>,
    /// How.
    pub options: TaskOptions,
    /// The prose that needles hide in.
    pub haystack: CellText,
}

/// A task, its complete configuration, and the data it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellTask {
    /// What it is called.
    pub name: String,
    /// Every field, defaults included.
    pub config: Value,
    /// Files of data sets with their digests.
    pub data: Vec<Source>,
}

/// The identity of a cell: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellId(String);

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for CellId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Digits of an id.
const DIGITS: usize = 32;

impl CellId {
    /// The id that `text` is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == DIGITS && text.bytes().all(digit)).then(|| Self(text.to_string()))
    }
}

impl Cell {
    /// The digest of all that determines the result: what things are called and where they lie is
    /// no part of it, their digests are.
    #[must_use]
    pub fn id(&self) -> CellId {
        let mut identity = serde_json::to_value(self).unwrap_or_default();
        let paths = [
            "/model/name",
            "/strategy/name",
            "/measure/text/name",
            "/measure/haystack/name",
        ];
        for path in paths {
            if let Some(slot) = identity.pointer_mut(path) {
                *slot = Value::Null;
            }
        }
        if let Some(strategy) = identity["strategy"].as_object_mut() {
            strategy.shift_remove("calibration");
        }
        let tasks = identity.pointer_mut("/measure/tasks");
        for task in tasks.and_then(Value::as_array_mut).into_iter().flatten() {
            task["name"] = Value::Null;
            nameless_data(task);
        }
        CellId(digest(&identity)[..DIGITS].to_string())
    }

    /// The strategy, built again.
    ///
    /// # Errors
    /// A strategy that this program does not know or that refuses its configuration.
    pub(super) fn strategy(&self) -> anyhow::Result<StrategySpec> {
        let spec = StrategySpec::from_config(&self.strategy.config, &[])?;
        Ok(StrategySpec {
            name: self.strategy.name.clone(),
            calibration: self.strategy.calibration.clone(),
            ..spec
        })
    }

    /// The settings of a cell that measures windows.
    pub(super) fn settings(&self, measure: &EvalMeasure) -> anyhow::Result<EvalSettings> {
        Ok(EvalSettings {
            strategy: self.strategy()?,
            budget: self.budget,
            prefill: self.prefill,
            protocol: measure.protocol,
            windows: measure.windows,
            window_seed: measure.window_seed,
            prefill_chunk: measure.prefill_chunk,
            needle: measure.needle.clone(),
            attention_error: measure.attention_error,
            seed: self.seed,
        })
    }
}

/// Leaves out where a task's data lies: its files have digests.
fn nameless_data(task: &mut Value) {
    let sources = task["data"].as_array_mut().into_iter().flatten();
    let roots: Vec<Value> = sources.map(|source| source["data"].take()).collect();
    let fields = task["config"].as_object_mut().into_iter().flatten();
    for (_, value) in fields {
        if value.is_string() && roots.contains(value) {
            *value = Value::Null;
        }
    }
}

impl TasksMeasure {
    /// The tasks, built again.
    pub(super) fn specs(&self) -> anyhow::Result<Vec<TaskSpec>> {
        let spec = |task: &CellTask| {
            Ok(TaskSpec {
                name: task.name.clone(),
                ..TaskSpec::from_config(&task.config, &[])?
            })
        };
        self.tasks.iter().map(spec).collect()
    }
}
