//! What can go wrong between records, tables and figures.

use crate::figure::FigureError;
use std::fmt::Write as _;
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
    /// A figure that a plan or a record cannot give.
    #[error("{from} has no {what} figure: {reason}")]
    Figure {
        /// What was to be drawn: a plan or a record by name.
        from: String,
        /// The kind of figure.
        what: &'static str,
        /// What is lacking.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// A figure that cannot be drawn.
    #[error("figure `{name}` cannot be drawn")]
    Draw {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: FigureError,
    },
    /// A record of an analysis that cannot be read.
    #[error("record {}: {reason}", path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder of figures that cannot be used.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder or a file of it.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// Figures or tables that are not what the records give.
    #[error("{} of the files of {checked} {what} in {} are not what the records give:{}", failed.len(), path.display(), lines(.failed))]
    Stale {
        /// `figures` or `tables`.
        what: &'static str,
        /// The folder.
        path: PathBuf,
        /// How many were looked at.
        checked: usize,
        /// Files, and what is wrong with each.
        failed: Vec<(PathBuf, String)>,
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
            Self::Table { hint, .. } | Self::Figure { hint, .. } | Self::Folder { hint, .. } => {
                vec![hint.clone()]
            }
            Self::Record { .. } => vec![
                "expected what `smartkv analyze attention`, `memory` or `latency` wrote with --out FILE".into(),
            ],
            Self::Stale { what, .. } => vec![format!(
                "make them again with `smartkv {what}`, or bring back the records they were made from"
            )],
            Self::Draw { .. } | Self::Unknown { .. } | Self::Stats(_) => Vec::new(),
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

fn lines(failed: &[(PathBuf, String)]) -> String {
    let mut text = String::new();
    for (path, reason) in failed {
        let _ = write!(text, "\n  {}: {reason}", path.display());
    }
    text
}
