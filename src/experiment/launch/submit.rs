//! Hands what is missing of a plan to Slurm.

use super::arrays::{array_option, arrays};
use super::error::LaunchError;
use super::queue::Queue;
use super::script;
use super::slurm::{self, JobId, job_name};
use super::standing::{Standing, standing};
use super::submissions::{Submissions, SubmitLock, SubmittedArray, folder, free_number};
use crate::experiment::cell::CellId;
use crate::experiment::error::ExperimentError;
use crate::experiment::plan::Plan;
use crate::experiment::runner::HandedCell;
use crate::experiment::store::Store;
use std::path::{Path, PathBuf};

/// How a plan is submitted.
#[derive(Debug, Clone)]
pub struct SubmitOptions {
    /// The program that runs a cell: this one, where the nodes see it.
    pub program: PathBuf,
    /// Folder that tasks run in.
    pub folder: PathBuf,
    /// Threads of each cell; as many as processors are granted if absent.
    pub threads: Option<usize>,
    /// Whether cells may use nothing but what is on their machine.
    pub offline: bool,
    /// Tasks of one array at once.
    pub at_once: Option<usize>,
    /// Whether cells that failed before are tried again.
    pub retry_failed: bool,
    /// More arguments of the program that runs a cell.
    pub arguments: Vec<String>,
    /// The user's options for `sbatch`.
    pub extra: Vec<String>,
}

/// Options that are not the user's, and why: each as long as short.
const OWNED: [(&str, &str, &str); 6] = [
    (
        "--array",
        "-a",
        "the missing cells make the array; --array-parallelism M throttles it",
    ),
    (
        "--job-name",
        "-J",
        "jobs are found again by their name, which is the plan's",
    ),
    ("--wait", "-W", "--wait before `--` waits for the records"),
    (
        "--clusters",
        "-M",
        "set SLURM_CLUSTERS instead, which squeue and scontrol heed too",
    ),
    ("--wrap", "--wrap", "a task runs a cell"),
    (
        "--test-only",
        "--test-only",
        "--dry-run before `--` submits nothing",
    ),
];

impl SubmitOptions {
    /// Refuses options for `sbatch` that would undo what is done here.
    ///
    /// # Errors
    /// [`LaunchError::Option`], with what to use instead.
    pub fn check(&self) -> Result<(), LaunchError> {
        for option in &self.extra {
            let name = option.split('=').next().unwrap_or_default();
            let owned = OWNED.iter().find(|(long, short, _)| {
                // Long options may be shortened, and values follow short ones at once.
                let shortened = name.len() > 4 && long.starts_with(name);
                shortened || (!option.starts_with("--") && option.starts_with(short))
            });
            if let Some((_, _, reason)) = owned {
                return Err(LaunchError::Option {
                    option: option.clone(),
                    reason,
                });
            }
        }
        Ok(())
    }
}

/// What would be submitted.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Where the cells stand now.
    pub standing: Standing,
    /// The arrays to submit.
    pub arrays: Vec<PreparedArray>,
    /// The script that their tasks run, and where it will lie.
    pub cell_script: (PathBuf, String),
    /// The script of the job that says how it went.
    pub collect_script: (PathBuf, String),
    /// Folder of what tasks print.
    pub logs: PathBuf,
    submissions: Submissions,
    queue: Queue,
}

/// An array to submit.
#[derive(Debug, Clone)]
pub struct PreparedArray {
    /// Places of its cells in the plan.
    pub places: Vec<usize>,
    /// The list of its cells, one a line, as `smartkv cell -` reads it.
    pub list: PathBuf,
    /// What `sbatch` is given.
    pub arguments: Vec<String>,
    cells: Vec<CellId>,
}

/// What was submitted.
#[derive(Debug, Clone, Default)]
pub struct Submitted {
    /// The arrays' jobs, in the order of [`Prepared::arrays`].
    pub arrays: Vec<JobId>,
    /// The job that says how it went.
    pub collect: Option<JobId>,
}

/// What Slurm still has of a plan, and which cells those are.
///
/// # Errors
/// A store that cannot be read; Slurm that does not answer, unless nothing was ever submitted.
pub fn current(plan: &Plan, store: &Store) -> Result<(Submissions, Queue), LaunchError> {
    let submissions = Submissions::load(store, &plan.name)?;
    let queue = if submissions.arrays.is_empty() {
        Queue::default()
    } else {
        slurm::queue(&[&job_name(&plan.name), &script::collect_name(plan)])?
    };
    Ok((submissions, queue))
}

/// Finds what is missing and neither queued nor running, and how it would be submitted. Changes
/// nothing.
///
/// # Errors
/// Options that cannot be, a store that cannot be read, Slurm that does not answer.
pub fn prepare(
    plan: &Plan,
    store: &Store,
    options: &SubmitOptions,
) -> Result<Prepared, LaunchError> {
    options.check()?;
    // Tasks run elsewhere: every path is absolute.
    let root = absolute(store.root())?;
    let store = Store::at(&root);
    let (submissions, queue) = current(plan, &store)?;
    let standing = standing(plan, &store, &submissions, &queue, options.retry_failed)?;
    let mut places = [standing.missing.clone(), standing.lost.clone()].concat();
    places.sort_unstable();
    let folder = folder(&store, &plan.name);
    let logs = store.layout().logs().join(&plan.name);
    let script = folder.join("cell.sh");
    let mut prepared = Vec::new();
    if !places.is_empty() {
        let limits = slurm::limits()?;
        let most = limits.most_tasks();
        if most == 0 {
            return Err(LaunchError::NoArrays {
                size: limits.size,
                tasks: limits.tasks,
            });
        }
        let first = free_number(&folder);
        for (number, places) in (first..).zip(arrays(&places, most)) {
            let list = folder.join(format!("{number}.cells"));
            let array = array_option(places.len(), options.at_once);
            let mut arguments = script::array_options(plan, &logs, &array, options);
            arguments.extend([&script, &list].map(|path| path.display().to_string()));
            let cells = places.iter().map(|&place| plan.cells[place].id.clone());
            prepared.push(PreparedArray {
                cells: cells.collect(),
                places,
                list,
                arguments,
            });
        }
    }
    Ok(Prepared {
        standing,
        arrays: prepared,
        cell_script: (script, script::cell_script(plan, &root, options)),
        collect_script: (
            folder.join("collect.sh"),
            script::collect_script(plan, &root, options),
        ),
        logs,
        submissions,
        queue,
    })
}

impl Prepared {
    /// What `sbatch` is given for the job that says how it went, after `jobs`.
    #[must_use]
    pub fn collect_arguments(
        &self,
        plan: &Plan,
        jobs: &[String],
        options: &SubmitOptions,
    ) -> Vec<String> {
        let mut arguments = script::collect_options(plan, &self.logs, jobs, options);
        arguments.push(self.collect_script.0.display().to_string());
        arguments
    }
}

/// Submits what is missing of a plan, and a job after it that says how it went. What Slurm takes
/// is in the store before the next array is offered.
///
/// # Errors
/// As [`prepare`]; another process that is submitting; [`LaunchError::Partly`] where Slurm refuses
/// an array: those before it stay submitted, and are remembered.
pub fn submit(
    plan: &Plan,
    store: &Store,
    options: &SubmitOptions,
) -> Result<(Prepared, Submitted), LaunchError> {
    options.check()?;
    let own = folder(store, &plan.name);
    make(&own)?;
    let _lock = SubmitLock::take(store, &plan.name)?;
    let prepared = prepare(plan, store, options)?;
    let mut submissions = prepared.submissions.clone();
    let mut submitted = Submitted::default();
    let result = offer(
        plan,
        store,
        options,
        &prepared,
        &mut submissions,
        &mut submitted,
    );
    match result {
        Ok(()) => Ok((prepared, submitted)),
        Err(error @ LaunchError::Store(_)) => Err(error),
        Err(source) => Err(LaunchError::Partly {
            submitted: submitted.arrays.len(),
            arrays: prepared.arrays.len(),
            jobs: submitted.arrays,
            source: Box::new(source),
        }),
    }
}

fn offer(
    plan: &Plan,
    store: &Store,
    options: &SubmitOptions,
    prepared: &Prepared,
    submissions: &mut Submissions,
    submitted: &mut Submitted,
) -> Result<(), LaunchError> {
    make(&prepared.logs)?;
    for (path, text) in [&prepared.cell_script, &prepared.collect_script] {
        Store::write_text(path, text)?;
    }
    for array in &prepared.arrays {
        let handed = |&place: &usize| HandedCell {
            plan: plan.name.clone(),
            cell: plan.cells[place].clone(),
            failures: None,
        };
        let mut lines = String::new();
        for cell in array.places.iter().map(handed) {
            lines.push_str(&serde_json::to_string(&cell).unwrap_or_default());
            lines.push('\n');
        }
        Store::write_text(&array.list, &lines)?;
        let job = slurm::submit(&array.arguments)?;
        let list = array.list.file_name().unwrap_or_default();
        submissions.arrays.push(SubmittedArray {
            job: job.clone(),
            list: list.to_string_lossy().into_owned(),
            cells: array.cells.clone(),
        });
        submissions.collect = None;
        submitted.arrays.push(job);
        submissions.keep(store)?;
    }
    // Now that lost cells are submitted again, arrays that ended are of no use.
    submissions.forget_ended(&prepared.queue, &submitted.arrays);
    if submissions.collect.is_none() && !submissions.arrays.is_empty() {
        let jobs: Vec<String> = submissions
            .arrays
            .iter()
            .map(|array| array.job.to_string())
            .collect();
        let job = slurm::submit(&prepared.collect_arguments(plan, &jobs, options))?;
        submissions.collect = Some(job.clone());
        submitted.collect = Some(job);
    }
    if *submissions != prepared.submissions {
        submissions.keep(store)?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, ExperimentError> {
    std::path::absolute(path).map_err(|source| ExperimentError::Store {
        what: "find",
        path: path.to_path_buf(),
        source,
    })
}

fn make(folder: &Path) -> Result<(), ExperimentError> {
    std::fs::create_dir_all(folder).map_err(|source| ExperimentError::Store {
        what: "make",
        path: folder.to_path_buf(),
        source,
    })
}
