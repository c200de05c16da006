//! From records to figures: what a plan of a store shows, and what a record of `smartkv analyze`
//! does.
//!
//! [`of_study`] and [`of_record`] give [`Drawing`]s: the data of a figure, the cells behind each
//! number, and what could not be shown. [`folder`] writes them beside what [`folder::check`] needs
//! to make them again.

mod data;
pub mod folder;
mod plan;
mod record;
mod sidecar;
mod words;

pub use data::Data;
pub use plan::of_study;
pub use record::{AnalysisRecord, of_record};
pub use sidecar::{Origin, Recipe, Sidecar, Source};

use crate::figure::Width;
use smartkv_stats::Bootstrap;

/// A kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Quality against live bytes, with the front.
    Pareto,
    /// A metric along an axis of numbers.
    Sweep,
    /// What each part of a method contributes.
    Ablation,
    /// What is found of needles, by length and depth.
    Needle,
    /// Bytes by part, and time of a token.
    Cost,
    /// Attention of blocks of queries to blocks of keys.
    Attention,
    /// Entropy of attention, head by head.
    Entropy,
    /// Bits of each token in each layer.
    Allocation,
    /// The text, each token on the colour of its bits.
    Tokens,
    /// Live bytes after each decoded token.
    Budget,
    /// Time of a token, variant by variant.
    Latency,
    /// Whether rounding hurts more where attention is.
    Sensitivity,
}

impl Kind {
    /// Those that a plan may give.
    pub const OF_PLANS: [Self; 5] = [
        Self::Pareto,
        Self::Sweep,
        Self::Ablation,
        Self::Needle,
        Self::Cost,
    ];

    /// Those that a record of an analysis may give.
    pub const OF_RECORDS: [Self; 7] = [
        Self::Attention,
        Self::Entropy,
        Self::Allocation,
        Self::Tokens,
        Self::Budget,
        Self::Latency,
        Self::Sensitivity,
    ];

    /// Its name, as `--kind` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pareto => "pareto",
            Self::Sweep => "sweep",
            Self::Ablation => "ablation",
            Self::Needle => "needle",
            Self::Cost => "cost",
            Self::Attention => "attention",
            Self::Entropy => "entropy",
            Self::Allocation => "allocation",
            Self::Tokens => "tokens",
            Self::Budget => "budget",
            Self::Latency => "latency",
            Self::Sensitivity => "sensitivity",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut all = Self::OF_PLANS.into_iter().chain(Self::OF_RECORDS);
        all.find(|kind| kind.name() == name)
    }
}

/// How figures are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Metrics by name; empty for the one that fits best.
    pub metrics: Vec<String>,
    /// What an ablation is held against, `LABEL=VALUE`; the plan's own unless given.
    pub baseline: Option<String>,
    /// The width in print; the kind's own unless given.
    pub width: Option<Width>,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// A figure before it is drawn.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// Name for its files.
    pub name: String,
    /// What kind it is.
    pub kind: Kind,
    /// The metric it shows; none where the kind has its own.
    pub metric: Option<String>,
    /// What is drawn.
    pub data: Data,
    /// Where each number comes from.
    pub sources: Vec<Source>,
    /// How it was made.
    pub notes: Vec<String>,
    /// What it does not show, and why.
    pub left_out: Vec<String>,
}

/// A name that files can have on any system.
fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    name.chars().map(safe).collect()
}

/// Every id once, in the order of first use.
fn distinct(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    ids.into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect()
}
