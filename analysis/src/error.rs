//! What can go wrong between records and tables.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, AnalysisError>;

/// The errors of an analysis. Each names the thing, the value and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// A folder that is no store, or could not be listed.
    #[error("no store of experiments at {}: {reason}", path.display())]
    Store {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A store without plans.
    #[error("the store {} holds no plan", path.display())]
    Empty {
        /// The store.
        path: PathBuf,
    },
    /// A plan that cannot be read.
    #[error("plan {}: {reason}", path.display())]
    Plan {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that nothing has.
    #[error("unknown {what} `{name}`: known are {}", listed(.known))]
    Unknown {
        /// `plan`, `metric`, `label`, ...
        what: &'static str,
        /// The name given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A table that this study cannot give.
    #[error("plan `{plan}` has no {what} table: {reason}")]
    Table {
        /// The plan.
        plan: String,
        /// The kind of table.
        what: &'static str,
        /// What is lacking.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The statistics refused.
    #[error(transparent)]
    Stats(#[from] smartkv_stats::StatsError),
}

impl AnalysisError {
    /// Advice to print after the message, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store { .. } => {
                vec!["name the folder that experiments were run into with --store DIR".into()]
            }
            Self::Empty { .. } => vec!["run a grid of experiments into it first".into()],
            Self::Plan { .. } => vec!["run its grid again: plans are written anew".into()],
            Self::Table { hint, .. } => vec![hint.clone()],
            Self::Unknown { .. } | Self::Stats(_) => Vec::new(),
        }
    }
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "none".into()
    } else {
        known.join(", ")
    }
}
