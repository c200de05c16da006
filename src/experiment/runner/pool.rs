//! A pool of processes, one a cell: a crash or a lack of memory takes one cell with it.

use super::{CellOutcome, EXIT_BUSY, EXIT_STORE};
use crate::experiment::error::ExperimentError;
use crate::experiment::failure::{Failure, FailureClass};
use crate::experiment::plan::{Plan, PlannedCell};
use crate::experiment::store::{Held, Store};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How a plan is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The program that runs a cell: this one.
    pub program: PathBuf,
    /// Cells at once.
    pub jobs: usize,
    /// Threads of each cell.
    pub threads: usize,
    /// Whether cells that failed before are tried again.
    pub retry_failed: bool,
    /// Whether cells may use nothing but what is on this machine.
    pub offline: bool,
    /// More arguments of every process.
    pub arguments: Vec<String>,
    /// Set from outside to stop.
    pub stop: Arc<AtomicBool>,
}

/// Told what happens.
pub trait Watch {
    /// `missing` cells will be run; the others are there already or failed before.
    fn begin(&self, missing: usize);
    /// A cell came to its end.
    fn finished(&self, cell: &PlannedCell, outcome: &CellOutcome, seconds: f64);
    /// A cell that succeeded had this warning, `warning:` included; told once a run.
    fn warned(&self, _line: &str) {}
}

/// What became of the cells of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RunSummary {
    /// Cells of the plan.
    pub total: usize,
    /// Cells that had a record before.
    pub cached: usize,
    /// Cells that were run, here or meanwhile by another process.
    pub done: usize,
    /// Cells that failed now.
    pub failed: usize,
    /// Cells that failed before and were left alone.
    pub failed_before: usize,
}

/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(30);

/// When a cell that another process is at is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// How much of what a process said last is kept for its failure.
const TAIL: usize = 4096;

/// A cell as its process is given it, on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandedCell {
    /// Name of its plan.
    pub plan: String,
    /// The cell.
    pub cell: PlannedCell,
    /// How often it had failed when the run began: a failure since then is another runner's, and is
    /// not tried again. Anew in any case if absent.
    #[serde(default)]
    pub failures: Option<u32>,
}

/// A cell, and how often it had failed when the run began.
#[derive(Clone, Copy)]
struct Waiting<'a> {
    cell: &'a PlannedCell,
    attempts: u32,
}

impl Waiting<'_> {
    /// What became of the cell since the run began, if anything did.
    fn ended(&self, store: &Store) -> Result<Option<CellOutcome>, ExperimentError> {
        Ok(match store.held(&self.cell.id)? {
            Held::Record(_) => Some(CellOutcome::Cached),
            Held::Failure(failure) if failure.attempts > self.attempts => {
                Some(CellOutcome::Failed(failure.class, failure.message))
            }
            _ => None,
        })
    }
}

impl RunSummary {
    fn count(&mut self, outcome: &CellOutcome) {
        match outcome {
            CellOutcome::Failed(..) => self.failed += 1,
            CellOutcome::Done | CellOutcome::Cached => self.done += 1,
        }
    }
}

struct Running<'a> {
    waiting: Waiting<'a>,
    process: Child,
    said: JoinHandle<String>,
    since: Instant,
}

impl Drop for Running<'_> {
    /// Whatever ends the run, no process of it stays.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Runs what is missing of `plan`.
///
/// # Errors
/// A store that cannot be read or written, a program that cannot be started, and
/// [`ExperimentError::Stopped`]. Failed cells are no error here.
pub fn run_plan(
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
    watch: &dyn Watch,
) -> anyhow::Result<RunSummary> {
    let mut summary = RunSummary {
        total: plan.cells.len(),
        ..RunSummary::default()
    };
    let mut queue = VecDeque::new();
    for cell in &plan.cells {
        let attempts = match store.held(&cell.id)? {
            Held::Record(_) => {
                summary.cached += 1;
                continue;
            }
            Held::Failure(_) if !options.retry_failed => {
                summary.failed_before += 1;
                continue;
            }
            Held::Failure(failure) => failure.attempts,
            _ => 0,
        };
        queue.push_back(Waiting { cell, attempts });
    }
    watch.begin(queue.len());
    let mut running: Vec<Running<'_>> = Vec::new();
    let mut warned = BTreeSet::new();
    let mut busy: Vec<(Instant, Waiting<'_>)> = Vec::new();
    while !(queue.is_empty() && running.is_empty() && busy.is_empty()) {
        if options.stop.load(Ordering::Relaxed) {
            // The processes go with the list.
            drop(running);
            return Err(ExperimentError::Stopped {
                done: summary.cached + summary.done,
                total: summary.total,
            }
            .into());
        }
        let now = Instant::now();
        let (ready, later): (Vec<_>, Vec<_>) = busy.into_iter().partition(|(at, _)| *at <= now);
        busy = later;
        queue.extend(ready.into_iter().map(|(_, waiting)| waiting));
        while running.len() < options.jobs {
            let Some(waiting) = queue.pop_front() else {
                break;
            };
            // Another runner may have come to its end with it meanwhile.
            if let Some(outcome) = waiting.ended(store)? {
                summary.count(&outcome);
                watch.finished(waiting.cell, &outcome, 0.0);
                continue;
            }
            running.push(start(waiting, plan, store, options)?);
        }
        let mut index = 0;
        while index < running.len() {
            let status = running[index].process.try_wait();
            let Some(status) = status.context("cannot wait for a cell's process")? else {
                index += 1;
                continue;
            };
            let ended = running.swap_remove(index);
            let seconds = ended.since.elapsed().as_secs_f64();
            let waiting = ended.waiting;
            let (outcome, said) = outcome(ended, status, store)?;
            match outcome {
                Some(outcome) => {
                    if status.success() {
                        let warnings = said.lines().filter(|line| line.starts_with("warning:"));
                        for line in warnings {
                            if warned.insert(line.to_owned()) {
                                watch.warned(line);
                            }
                        }
                    }
                    summary.count(&outcome);
                    watch.finished(waiting.cell, &outcome, seconds);
                }
                None => busy.push((Instant::now() + AGAIN, waiting)),
            }
        }
        thread::sleep(LOOK);
    }
    Ok(summary)
}

fn start<'a>(
    waiting: Waiting<'a>,
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
) -> anyhow::Result<Running<'a>> {
    let cell = waiting.cell;
    let handed = serde_json::to_vec(&HandedCell {
        plan: plan.name.clone(),
        cell: cell.clone(),
        failures: Some(waiting.attempts),
    })?;
    let mut root = OsString::from("--store=");
    root.push(store.root());
    let mut command = Command::new(&options.program);
    command
        .args(["cell", "-"])
        .arg(root)
        .arg(format!("--threads={}", options.threads))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if options.offline {
        command.arg("--offline");
    }
    // Meant for one run, not for one a cell.
    command.args(&options.arguments).env_remove("WANDB_RUN_ID");
    let mut process = command
        .spawn()
        .with_context(|| format!("cannot start {}", options.program.display()))?;
    // The plan's file may be written anew while its cells run. A process that ends at once says
    // why by itself.
    if let Some(mut to) = process.stdin.take() {
        let _ = to.write_all(&handed);
    }
    let mut from = process.stderr.take();
    let said = thread::spawn(move || {
        let (mut tail, mut part) = (Vec::new(), [0; TAIL]);
        while let Some(Ok(read @ 1..)) = from.as_mut().map(|from| from.read(&mut part)) {
            tail.extend_from_slice(&part[..read]);
            let surplus = tail.len().saturating_sub(TAIL);
            tail.drain(..surplus);
        }
        String::from_utf8_lossy(&tail).trim().to_string()
    });
    Ok(Running {
        waiting,
        process,
        said,
        since: Instant::now(),
    })
}

/// What became of a cell whose process has ended, and what it said last; `None` if another process
/// is at it.
fn outcome(
    mut ended: Running<'_>,
    status: ExitStatus,
    store: &Store,
) -> anyhow::Result<(Option<CellOutcome>, String)> {
    let said = std::mem::replace(&mut ended.said, thread::spawn(String::new));
    let said = said.join().unwrap_or_default();
    let cell = ended.waiting.cell;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    if code == Some(EXIT_BUSY) {
        return Ok((None, said));
    }
    if code == Some(EXIT_STORE) {
        let last = said.lines().find(|line| line.starts_with("error: "));
        let last = last.map_or(said.as_str(), |line| &line["error: ".len()..]);
        return Err(ExperimentError::Store {
            what: "go on: a cell could not use the store",
            path: store.root().to_path_buf(),
            source: std::io::Error::other(last.to_string()),
        }
        .into());
    }
    // What the process has recorded.
    match ended.waiting.ended(store)? {
        Some(CellOutcome::Cached) => return Ok((Some(CellOutcome::Done), said)),
        Some(failed) => return Ok((Some(failed), said)),
        None => {}
    }
    let (class, what) = match (code, signal(status)) {
        (Some(101), _) => (FailureClass::Panic, "the process panicked".to_string()),
        (_, Some(9)) => (
            FailureClass::Killed,
            "the process was killed (signal 9); the system may have run out of memory".to_string(),
        ),
        (_, Some(signal)) => (
            FailureClass::Killed,
            format!("the process was ended by signal {signal}"),
        ),
        // It never came to the cell: that is no failure of the cell.
        (code, None) => {
            let code = code.map_or("no exit code".into(), |code| format!("exit code {code}"));
            anyhow::bail!(
                "a process for cell {} ended with {code}: {said}",
                cell.name()
            );
        }
    };
    let error = if said.is_empty() {
        what
    } else {
        format!("{what}: {said}")
    };
    let failure = store.fail(Failure::new(&cell.cell, class, error))?;
    Ok((
        Some(CellOutcome::Failed(failure.class, failure.message)),
        said,
    ))
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}
