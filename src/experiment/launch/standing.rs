//! Where the cells of a plan stand: the store first, then the queue.

use super::queue::{Queue, QueuedTask};
use super::submissions::Submissions;
use crate::experiment::error::ExperimentError;
use crate::experiment::plan::Plan;
use crate::experiment::store::{Held, Store};
use std::collections::BTreeMap;

/// Places of cells in their plan, by what is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// With a record.
    pub done: Vec<usize>,
    /// Running on the cluster.
    pub running: Vec<usize>,
    /// Waiting in the queue.
    pub waiting: Vec<usize>,
    /// Failed, with a record of it.
    pub failed: Vec<usize>,
    /// Submitted before, not in the queue any more, and without any record: cancelled, over their
    /// time limit, or lost with a node.
    pub lost: Vec<usize>,
    /// Neither submitted nor there.
    pub missing: Vec<usize>,
    /// Why tasks wait, in Slurm's words, and how many.
    pub reasons: BTreeMap<String, usize>,
}

impl Standing {
    /// Whether the queue has anything left of the plan.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }
}

/// Where the cells of `plan` stand. `queue` must have been asked before: what was not in it then
/// and has no record now is lost. With `retry_failed`, failed cells count as missing.
///
/// # Errors
/// A store that cannot be read.
pub fn standing(
    plan: &Plan,
    store: &Store,
    submissions: &Submissions,
    queue: &Queue,
    retry_failed: bool,
) -> Result<Standing, ExperimentError> {
    let mut standing = Standing::default();
    for (place, cell) in plan.cells.iter().enumerate() {
        let held = store.held(&cell.id)?;
        if let Held::Record(_) = held {
            standing.done.push(place);
            continue;
        }
        match submissions.task(&cell.id, queue) {
            Some(QueuedTask::Running) => standing.running.push(place),
            Some(QueuedTask::Waiting(reason)) => {
                standing.waiting.push(place);
                *standing.reasons.entry(reason.clone()).or_insert(0) += 1;
            }
            None => match held {
                Held::Failure(_) if !retry_failed => standing.failed.push(place),
                Held::Nothing if submissions.names(&cell.id) => standing.lost.push(place),
                _ => standing.missing.push(place),
            },
        }
    }
    Ok(standing)
}
