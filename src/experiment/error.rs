//! What can be wrong with an experiment: its grid, its inputs, its store.

use std::path::PathBuf;

/// An experiment that cannot be planned, run or kept.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// A part of a grid that cannot be.
    #[error("{grid}: `{part}`: {reason}")]
    Grid {
        /// The grid's file.
        grid: String,
        /// Which part of it, as a path of keys.
        part: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// Files that include each other.
    #[error("{}: the include comes back to itself", chain.join(" → "))]
    Cycle {
        /// The files, the first one again at the end.
        chain: Vec<String>,
    },
    /// An included or named grid that does not exist.
    #[error("no grid `{name}`{}", from.as_ref().map(|f| format!(", which {f} includes")).unwrap_or_default())]
    NoGrid {
        /// As written.
        name: String,
        /// The file that includes it.
        from: Option<String>,
        /// The grids that come with the program.
        known: Vec<String>,
    },
    /// A value of a combination that no field takes.
    #[error("{grid}: cell {labels}: {reason}")]
    Cell {
        /// The grid's file.
        grid: String,
        /// The combination.
        labels: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// Two combinations that are the same experiment.
    #[error("{grid}: the cells {first} and {second} are the same experiment ({id})")]
    Duplicate {
        /// The grid's file.
        grid: String,
        /// Labels of the first.
        first: String,
        /// Labels of the second.
        second: String,
        /// Their id.
        id: String,
    },
    /// An input that is not what it was when the cells were planned.
    #[error("the {what} `{name}` has SHA-256 {found:.12}…, planned was {planned:.12}…")]
    InputChanged {
        /// Model, text or data.
        what: &'static str,
        /// Its name.
        name: String,
        /// Digest now.
        found: String,
        /// Digest in the cell.
        planned: String,
    },
    /// A cell that another process is running.
    #[error("another process is at cell {id}")]
    Busy {
        /// The cell.
        id: String,
    },
    /// No such cell, plan or position.
    #[error("{what} `{name}` is not in the store {}", store.display())]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// The store.
        store: PathBuf,
        /// What there is, or how to get it.
        hint: String,
    },
    /// A plan of another grid that has the name.
    #[error("the store has a plan `{name}` of {by}: {grid} would take its name")]
    PlanTaken {
        /// The name.
        name: String,
        /// The grid that has it.
        by: String,
        /// The grid that is planned.
        grid: String,
    },
    /// A rung of a search on which no combination has a score.
    #[error("{plan}: no combination has a score by `{metric}`: {why}")]
    NoScore {
        /// Name of the rung's plan.
        plan: String,
        /// What is compared.
        metric: String,
        /// Why the first combination has none.
        why: String,
    },
    /// A run that was asked to stop.
    #[error("stopped: {done} of {total} cells are done")]
    Stopped {
        /// Cells with a record.
        done: usize,
        /// Cells of the plan.
        total: usize,
    },
    /// Cells that failed in a run that went on without them.
    #[error("{failed} of {total} cells failed")]
    CellsFailed {
        /// Cells without a record because they failed.
        failed: usize,
        /// Cells of the plan.
        total: usize,
        /// Name of the plan.
        plan: String,
    },
    /// Cells without a record after a run, or where all were expected.
    #[error("{left} of {total} cells of `{plan}` have no record")]
    Incomplete {
        /// Cells without a record.
        left: usize,
        /// Cells of the plan.
        total: usize,
        /// Name of the plan.
        plan: String,
    },
    /// A store that cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Store {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// What of `error` is a store that cannot be read or written, if anything is: from a journal it
/// comes by way of the measurement.
#[must_use]
pub fn store_error(error: &anyhow::Error) -> Option<&ExperimentError> {
    let is_store = |e: &&ExperimentError| matches!(e, ExperimentError::Store { .. });
    error.chain().find_map(|cause| {
        let outside = match cause.downcast_ref::<smartkv_eval::EvalError>() {
            Some(smartkv_eval::EvalError::Outside { error, .. }) => {
                error.downcast_ref::<ExperimentError>()
            }
            _ => None,
        };
        let own = cause.downcast_ref::<ExperimentError>();
        own.or(outside).filter(is_store)
    })
}

impl ExperimentError {
    /// Advice to print after the message.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoGrid { known, .. } => vec![
                format!("grids that come with the program: {}", known.join(", ")),
                "or give the path of a YAML file".to_string(),
            ],
            Self::Cell { hints, .. } => hints.clone(),
            Self::Duplicate { .. } => vec![
                "an axis may change nothing there: leave one out under `exclude`, or put the axis \
                 under `when`"
                    .to_string(),
            ],
            Self::PlanTaken { .. } => {
                vec!["give the file another name, or --store another folder".to_string()]
            }
            Self::InputChanged { .. } => {
                vec!["plan again: cells of other inputs are other cells".to_string()]
            }
            Self::Busy { .. } => vec!["it will write the record; run again later".to_string()],
            Self::Stopped { .. } => vec![
                "finished cells and samples are kept: run the same command again to go on"
                    .to_string(),
            ],
            Self::CellsFailed { plan, .. } => vec![
                format!("`smartkv sweep status {plan}` says why each failed"),
                format!("`smartkv sweep retry {plan}` runs them again"),
            ],
            Self::Incomplete { plan, .. } => vec![
                format!("`smartkv sweep status {plan}` says which failed, and why"),
                "run the grid again to run the others: finished samples are kept".to_string(),
            ],
            Self::Missing { hint, .. } => vec![hint.clone()],
            Self::Store { .. } => vec![
                "finished cells and samples are kept: free space or give --store another folder, \
                 then run the same command again"
                    .to_string(),
            ],
            _ => Vec::new(),
        }
    }
}
