//! What stands beside a figure: its data, its cells, and how to make it again.

use super::{Drawing, Options};
use crate::figure::Width;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_stats::Bootstrap;

/// Version of sidecars.
pub(super) const SCHEMA: &str = "smartkv.figure/1";

/// What a figure was drawn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A plan of the store.
    Plan(String),
    /// A record of an analysis in the store.
    Analysis(String),
    /// A record of an analysis, by its path.
    Record(String),
}

/// How it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The metric asked for or found to fit.
    pub metric: Option<String>,
    /// What an ablation was held against, where that is not the plan's own.
    pub baseline: Option<String>,
    /// The width asked for; the kind's own where `null`.
    pub width: Option<Width>,
    /// How intervals were made.
    pub bootstrap: Bootstrap,
    /// Resolution of a PNG in dots per inch.
    pub dpi: f64,
}

impl Recipe {
    /// The options that make the figure again.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            metrics: self.metric.iter().cloned().collect(),
            baseline: self.baseline.clone(),
            width: self.width,
            bootstrap: self.bootstrap,
        }
    }
}

/// What is written beside a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Version: `smartkv.figure/1`.
    pub schema: String,
    /// The figure, the name of its files.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What it was drawn from.
    pub from: Origin,
    /// How.
    pub recipe: Recipe,
    /// The endings of its files.
    pub files: Vec<String>,
    /// How its numbers were made.
    pub notes: Vec<String>,
    /// What it does not show, and why.
    pub left_out: Vec<String>,
    /// Ids of the records behind it: cells, or the record of an analysis.
    pub cells: Vec<String>,
    /// Its data, as the kind's struct has them.
    pub data: Value,
}

/// A number of a figure, or all of one place, and the records behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// What it belongs to: a series, a panel, a row.
    pub of: Vec<String>,
    /// What it is: an axis or a metric; the place in the record where all of a place are meant.
    pub number: String,
    /// The number in full; absent where all of a place are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Lower end of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Upper end of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// Ids of the records.
    pub cells: Vec<String>,
}

/// The provenance of a figure, as it is written beside it.
#[derive(Debug, Serialize)]
pub(super) struct Provenance<'a> {
    pub(super) figure: &'a str,
    pub(super) notes: &'a [String],
    pub(super) numbers: &'a [Source],
}

impl<'a> From<&'a Drawing> for Provenance<'a> {
    fn from(drawing: &'a Drawing) -> Self {
        Self {
            figure: &drawing.name,
            notes: &drawing.notes,
            numbers: &drawing.sources,
        }
    }
}
