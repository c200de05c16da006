//! What numbers a record has: their names, units, which way is better, and where they stand.
//!
//! A [`Measurement`] is one number of one cell and, where it is a mean over windows or samples, the
//! value of each: [`Scale`] says how the number comes from their mean.

mod evaluation;
mod needles;
mod run;
mod tasks;

pub use needles::NeedleScore;
pub(crate) use needles::needles;

use crate::store::{CellRecord, RunRecord};
use serde::Serialize;
use serde_json::Value;

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The smaller one.
    Lower,
    /// The larger one.
    Higher,
    /// Neither: it describes.
    Neither,
}

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes. A simulated strategy has none.
    Memory,
    /// What predictions or answers are worth.
    Quality,
    /// Times, which do not repeat. Those of a simulated strategy say nothing.
    Speed,
}

/// How a number comes from the mean over its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// It is the mean.
    Mean,
    /// It is `exp` of the mean, and is compared as a ratio: perplexity of log-likelihoods.
    ExpMean,
}

/// A number that records have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as `--metric` takes it.
    pub name: String,
    /// Its unit, empty for a share or a ratio.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What kind of number it is.
    pub kind: Kind,
    /// How it comes from its samples.
    pub scale: Scale,
    /// Whether its samples are scores of answers, which may all be right (1) or wrong (0).
    pub answers: bool,
    /// Whether it can be negative, as log-probabilities and differences are. Such a number has no
    /// relative change: dividing by what is negative turns the sign of the change.
    pub signed: bool,
    /// Whether measuring again gives the same number: times and what the process held do not.
    pub repeats: bool,
}

/// A number, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// The number.
    Number(f64),
    /// The strategy keeps rows in f16 in the place of what it would hold: no number of this kind.
    Simulated,
}

impl Reading {
    /// The number, if it is one.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Simulated => None,
        }
    }
}

/// The value of one window or sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What it is a value of, by contents: the same window or sample of two cells has the same key,
    /// whatever their seeds.
    pub key: String,
    /// The part of a task it belongs to; parts have equal weight. 0 where there are none.
    pub part: usize,
    /// The value.
    pub value: f64,
}

/// One number of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// What it is.
    pub metric: Metric,
    /// How much.
    pub reading: Reading,
    /// Window by window, sample by sample; empty where it is no mean over them.
    pub samples: Vec<Sample>,
}

/// All numbers of a cell, in a fixed order; those it does not have are left out. `None` if its
/// result is of no version that is known here.
#[must_use]
pub fn measurements(cell: &CellRecord, run: Option<&RunRecord>) -> Option<Vec<Measurement>> {
    use crate::store::layout::{EVAL_SCHEMA, TASKS_SCHEMA};
    let schema = cell.result.get("schema").and_then(Value::as_str);
    let (mut all, simulated) = match schema {
        Some(EVAL_SCHEMA) => evaluation::read(cell),
        Some(TASKS_SCHEMA) => tasks::read(cell),
        _ => return None,
    };
    if let Some(run) = run {
        all.extend(run::read(run, simulated));
    }
    Some(all)
}

/// The number at a JSON pointer, if it is finite.
fn number(value: &Value, pointer: &str) -> Option<f64> {
    let number = value.pointer(pointer)?.as_f64()?;
    number.is_finite().then_some(number)
}

/// What keys of a cell's samples begin with: texts are cut into tokens of one model.
fn model_key(cell: &CellRecord) -> &str {
    let model = &cell.cell.model;
    model.sha256.as_deref().unwrap_or(&model.name)
}
