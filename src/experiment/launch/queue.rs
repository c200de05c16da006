//! What Slurm still has to do.

use super::slurm::JobId;
use std::collections::BTreeMap;

/// How `squeue` is asked to write a task: job of the array, index in it, state, and why it waits.
pub(super) const FORMAT: &str = "%F|%K|%T|%r";

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuedTask {
    /// It has a node.
    Running,
    /// It waits, for the reason that Slurm gives.
    Waiting(String),
}

/// The tasks and jobs that have not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    tasks: BTreeMap<(JobId, Option<usize>), QueuedTask>,
}

impl Queue {
    /// Reads what `squeue` printed; the line that cannot be, if there is one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tasks = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            // A user's choice of several clusters adds their names.
            if line.is_empty() || line.starts_with("CLUSTER:") {
                continue;
            }
            let refuse = || line.to_string();
            let mut fields = line.splitn(4, '|').map(str::trim);
            let mut field = || fields.next().ok_or_else(refuse);
            let (job, index, state, reason) = (field()?, field()?, field()?, field()?);
            let job = JobId::parse(job).ok_or_else(refuse)?;
            let index = match index {
                "N/A" => None,
                index => Some(index.parse().map_err(|_| refuse())?),
            };
            if !is_state(state) {
                return Err(refuse());
            }
            if let Some(task) = unended(state, reason) {
                tasks.insert((job, index), task);
            }
        }
        Ok(Self { tasks })
    }

    /// The task `index` of the array `job`, unless it has ended.
    #[must_use]
    pub fn task(&self, job: &JobId, index: usize) -> Option<&QueuedTask> {
        self.tasks.get(&(job.clone(), Some(index)))
    }

    /// Whether a job, or any task of an array, has not ended.
    #[must_use]
    pub fn holds(&self, job: &JobId) -> bool {
        self.tasks.keys().any(|(held, _)| held == job)
    }
}

/// Whether this is written as Slurm writes states.
fn is_state(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    !text.is_empty() && text.bytes().all(word)
}

/// A task in a state; `None` where the state is an end.
fn unended(state: &str, reason: &str) -> Option<QueuedTask> {
    match state {
        "COMPLETED" | "CANCELLED" | "FAILED" | "TIMEOUT" | "NODE_FAIL" | "OUT_OF_MEMORY"
        | "DEADLINE" | "BOOT_FAIL" | "REVOKED" | "PREEMPTED" => None,
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT"
        | "RESV_DEL_HOLD" => Some(QueuedTask::Waiting(reason.to_string())),
        // Any other has begun and not ended: running, configuring, completing, suspended …
        _ => Some(QueuedTask::Running),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_found_by_array_and_index() {
        let text = "CLUSTER: one\n12|0|RUNNING|None\n12|3|PENDING|JobArrayTaskLimit\n\
                    12|4|CANCELLED|None\n13|N/A|PENDING|Dependency\n12|5|COMPLETING|None\n\n";
        let queue = Queue::parse(text).unwrap();
        let job = |text: &str| JobId::parse(text).unwrap();
        assert_eq!(queue.task(&job("12"), 0), Some(&QueuedTask::Running));
        let waits = QueuedTask::Waiting("JobArrayTaskLimit".to_string());
        assert_eq!(queue.task(&job("12"), 3), Some(&waits));
        assert_eq!(queue.task(&job("12"), 4), None);
        assert_eq!(queue.task(&job("12"), 5), Some(&QueuedTask::Running));
        assert!(queue.holds(&job("13")) && !queue.holds(&job("14")));
        assert_eq!(Queue::parse("").unwrap(), Queue::default());
    }

    #[test]
    fn what_is_no_task_is_told() {
        for line in [
            "hello",
            "12|0|RUNNING",
            "12|x|RUNNING|None",
            "a|0|RUNNING|None",
            "12|0|running|None",
            "12|0||None",
        ] {
            let text = format!("1|0|RUNNING|None\n{line}\n");
            assert_eq!(Queue::parse(&text).unwrap_err(), line);
        }
    }
}
