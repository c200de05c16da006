//! What can go wrong between this program and a cluster.

use super::slurm::JobId;
use crate::experiment::error::ExperimentError;
use std::path::PathBuf;

/// A plan that could not be handed to Slurm, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A command of Slurm that cannot be started.
    #[error("cannot start {tool}: {source}")]
    NoCommand {
        /// The command.
        tool: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A command of Slurm that failed.
    #[error("{tool} failed: {said}")]
    Refused {
        /// The command.
        tool: &'static str,
        /// Its standard error.
        said: String,
    },
    /// An answer that cannot be understood.
    #[error("{tool} answered `{answer}`: expected {expected}")]
    Nonsense {
        /// The command.
        tool: String,
        /// What was expected.
        expected: String,
        /// The beginning of what it printed.
        answer: String,
    },
    /// A submission that stopped on its way.
    #[error(
        "{submitted} of {arrays} arrays are submitted{}: {source}",
        written(jobs)
    )]
    Partly {
        /// Arrays that Slurm took.
        submitted: usize,
        /// Arrays of this submission.
        arrays: usize,
        /// Their jobs.
        jobs: Vec<JobId>,
        /// What stopped it.
        source: Box<LaunchError>,
    },
    /// A site without job arrays.
    #[error("this Slurm allows no job arrays: MaxArraySize is {size}, max_array_tasks {tasks:?}")]
    NoArrays {
        /// `MaxArraySize`.
        size: usize,
        /// `max_array_tasks`, if set.
        tasks: Option<usize>,
    },
    /// An option for `sbatch` that is not the user's to choose.
    #[error("`{option}` after `--`: {reason}")]
    Option {
        /// As written.
        option: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// Another process that is submitting the same plan.
    #[error("another process is submitting the plan `{plan}`")]
    Submitting {
        /// Name of the plan.
        plan: String,
    },
    /// A record of submissions that cannot be read.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A store that cannot be read or written.
    #[error(transparent)]
    Store(#[from] ExperimentError),
}

/// How much of an answer is quoted.
const QUOTED: usize = 200;

impl LaunchError {
    pub(super) fn nonsense(tool: &str, expected: &str, answer: &str) -> Self {
        let mut quoted: String = answer.trim().chars().take(QUOTED).collect();
        if quoted.len() < answer.trim().len() {
            quoted.push('…');
        }
        Self::Nonsense {
            tool: tool.to_string(),
            expected: expected.to_string(),
            answer: quoted,
        }
    }

    /// Advice to print after the message.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoCommand { .. } => vec![
                "run this where the cluster's Slurm is installed, as on its login node".to_string(),
                "`--launcher local` runs the cells on this machine".to_string(),
            ],
            Self::Refused { tool: "sbatch", .. } => vec![
                "options for sbatch stand after `--`, as in `-- --partition=gpu --time=60`"
                    .to_string(),
                "`--dry-run` prints the commands and submits nothing".to_string(),
            ],
            Self::Refused { tool, .. } => {
                vec![format!(
                    "see whether `{tool}` works here by itself, and try again"
                )]
            }
            Self::Nonsense { tool, .. } => {
                vec![format!("see what `{tool}` prints here by itself")]
            }
            Self::Partly { source, .. } => {
                let mut hints = source.hints();
                hints.push(
                    "what is submitted is remembered: the same command submits the rest"
                        .to_string(),
                );
                hints
            }
            Self::NoArrays { .. } => vec![
                "docs/clusters.md has other ways: every cell is one command that may be repeated"
                    .to_string(),
            ],
            Self::Option { .. } => Vec::new(),
            Self::Store(error) => error.hints(),
            Self::Submitting { .. } => vec!["wait for it, then look again".to_string()],
            Self::Damaged { .. } => vec![
                "it says which cells are queued: cancel what `squeue` shows of the plan, remove \
                 the file, and submit again"
                    .to_string(),
            ],
        }
    }
}

fn written(jobs: &[JobId]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    format!(" (jobs {})", jobs.join(", "))
}
