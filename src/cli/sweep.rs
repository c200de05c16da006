//! `smartkv sweep`: plan a grid, run what is missing, look, try failures again, tidy up.

mod launch;
mod plan;
mod search;
mod status;
mod watch;

use super::output;
use super::track::TrackArgs;
use crate::assets::Policy;
use crate::experiment::{
    ExperimentError, Grid, GridSet, Inputs, Plan, RunOptions, RunSummary, SHIPPED_GRIDS, Store,
    first_rung, run_plan,
};
use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use watch::Lines;

/// Run a grid of experiments: what is missing, in processes of their own, whatever was interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv sweep plan budget                  the cells of a grid that comes with the program
  smartkv sweep run my-grid.yaml --jobs 2    run what is missing of it
  smartkv sweep run my-grid.yaml --launcher slurm -- --time=60 --cpus-per-task=4
                                             the same as job arrays of a cluster
  smartkv sweep status my-grid               what is done, failed and missing
  smartkv sweep retry my-grid                run failures again
  smartkv tables my-grid                     what came out

A grid is a YAML file with axes; docs/experiments.md explains it. Records lie in the store, one file
a cell, named by the digest of all that determines it: run the same command again to go on.")]
pub(super) struct SweepArgs {
    #[command(subcommand)]
    command: SweepCommand,
    /// Folder of records.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SMARTKV_STORE",
        default_value = "results"
    )]
    store: PathBuf,
}

#[derive(Debug, Subcommand)]
enum SweepCommand {
    /// Print the cells of a grid with their ids, and how long they will take.
    Plan(GridArgs),
    /// Run the cells of a grid that have no record.
    Run(RunArgs),
    /// Run the cells of a grid that failed.
    Retry(RunArgs),
    /// Say what is done, running, failed and missing.
    Status {
        /// Names of plans, or grids [default: all plans of the store].
        plans: Vec<String>,
        /// Fail unless every cell has a record.
        #[arg(long)]
        check: bool,
    },
    /// Remove what killed processes left behind.
    Gc {
        /// Also remove records and failures of cells that no plan names.
        #[arg(long)]
        unplanned: bool,
        /// Say what would be removed, and remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// List the grids that come with the program.
    List,
}

/// How cells are run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) grid: GridArgs,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
    #[command(flatten)]
    launch: launch::LaunchArgs,
}

/// A grid.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GridArgs {
    /// A YAML file, one of the grids that come with the program (`smartkv sweep list`), or a plan
    /// of the store.
    #[arg(value_name = "GRID")]
    pub(super) name: String,
    /// Change the grid: base.windows.count=2, seeds=1, axes.budget=[0.3]; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(super) sets: Vec<GridSet>,
}

/// Processes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PoolArgs {
    /// Cells at once; the threads are shared among them.
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(super) jobs: usize,
    /// Every cell is a tracked run, in the group of its plan.
    #[command(flatten)]
    pub(super) track: TrackArgs,
}

pub(super) fn run(
    args: &SweepArgs,
    policy: &Policy,
    threads: Option<usize>,
    as_json: bool,
) -> anyhow::Result<()> {
    match &args.command {
        SweepCommand::Plan(args_of_grid) => {
            let grid = args_of_grid.load()?;
            let plan = planned(&grid, policy)?;
            let store = Store::open(&args.store)?;
            store.keep_plan(&plan)?;
            plan::print(&plan, &store, as_json)
        }
        SweepCommand::Run(run) | SweepCommand::Retry(run) => {
            let retry = matches!(args.command, SweepCommand::Retry(_));
            let slurm = run.launch.is_slurm(run.pool.jobs)?;
            let plan = match run.grid.load() {
                Ok(grid) => match &grid.file.search {
                    Some(_) if slurm || retry => return Err(no_rungs(&grid, retry)),
                    Some(how) => {
                        let store = Store::open(&args.store)?;
                        return search::run(
                            &grid, how, &store, &run.pool, policy, threads, as_json,
                        );
                    }
                    None => planned(&grid, policy)?,
                },
                // The name of a plan in the store, such as that of a rung.
                Err(error) => match Store::at(&args.store).plan(&run.grid.name) {
                    Ok(plan) if run.grid.sets.is_empty() => plan,
                    _ => return Err(error),
                },
            };
            if slurm {
                return launch::run(&plan, run, &args.store, policy, threads, retry, as_json);
            }
            let store = Store::open(&args.store)?;
            let summary = execute(&plan, &store, &run.pool, policy, threads, retry)?;
            if as_json {
                output::json(&json!({
                    "schema": "smartkv.sweep/1",
                    "plan": plan.name,
                    "summary": summary,
                }))?;
            } else {
                output::text(&format!("{}: {}\n", plan.name, describe(&summary)))?;
            }
            failures(&plan, &summary)
        }
        SweepCommand::Status { plans, check } => status::print(plans, *check, &args.store, as_json),
        SweepCommand::Gc { unplanned, dry_run } => gc(&args.store, *unplanned, *dry_run, as_json),
        SweepCommand::List => list(as_json),
    }
}

/// A search is many plans, and decides as it goes.
fn no_rungs(grid: &Grid, retry: bool) -> anyhow::Error {
    let name = &grid.name;
    if retry {
        return anyhow::anyhow!(
            "{}: a search has a plan a rung: expected one of them, such as `smartkv sweep retry \
             {name}.rung-1`",
            grid.source
        );
    }
    anyhow::anyhow!(
        "the grid `{}` is a search, which decides as it goes what to run next: run it with \
         `--launcher local`",
        grid.source
    )
}

impl GridArgs {
    pub(super) fn load(&self) -> anyhow::Result<Grid> {
        Grid::load_with(&self.name, &self.sets, None)
    }
}

/// The plan of a grid; of a search, that of its first rung.
pub(super) fn planned(grid: &Grid, policy: &Policy) -> anyhow::Result<Plan> {
    let spinner = crate::progress::spinner("planning");
    let mut inputs = Inputs::new(policy);
    let plan = match &grid.file.search {
        Some(search) => first_rung(grid, search, &mut inputs),
        None => Plan::new(grid, grid.combinations()?, &mut inputs),
    };
    spinner.finish_and_clear();
    plan
}

/// Runs what is missing of a plan, stoppable by Ctrl-C.
pub(super) fn execute(
    plan: &Plan,
    store: &Store,
    pool: &PoolArgs,
    policy: &Policy,
    threads: Option<usize>,
    retry_failed: bool,
) -> anyhow::Result<RunSummary> {
    anyhow::ensure!(pool.jobs > 0, "--jobs 0: expected at least 1");
    store.keep_plan(plan)?;
    let threads = threads.unwrap_or_else(rayon::current_num_threads);
    let options = RunOptions {
        program: std::env::current_exe().context("cannot find this program")?,
        jobs: pool.jobs,
        threads: (threads / pool.jobs).max(1),
        retry_failed,
        offline: policy.offline,
        arguments: pool.track.arguments(),
        stop: stop_flag()?,
    };
    let watch = Lines::default();
    let summary = run_plan(plan, store, &options, &watch);
    watch.finish();
    summary
}

/// Set by Ctrl-C, `SIGTERM` and `SIGHUP`.
fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    static FLAG: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();
    if let Some(flag) = FLAG.get() {
        return Ok(flag.clone());
    }
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    ctrlc::set_handler(move || set.store(true, Ordering::Relaxed))
        .context("cannot watch for Ctrl-C")?;
    Ok(FLAG.get_or_init(|| flag).clone())
}

pub(super) fn describe(summary: &RunSummary) -> String {
    let RunSummary {
        total,
        cached,
        done,
        failed,
        failed_before,
    } = summary;
    let mut text = format!(
        "{} of {total} cells have a record ({done} new)",
        cached + done
    );
    if *failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    if *failed_before > 0 {
        let _ = write!(text, ", {failed_before} failed before");
    }
    text
}

/// The error of a run with failed cells.
pub(super) fn failures(plan: &Plan, summary: &RunSummary) -> anyhow::Result<()> {
    match summary.failed + summary.failed_before {
        0 => Ok(()),
        failed => Err(ExperimentError::CellsFailed {
            failed,
            total: summary.total,
            plan: plan.name.clone(),
        }
        .into()),
    }
}

fn gc(store: &Path, unplanned: bool, dry_run: bool, as_json: bool) -> anyhow::Result<()> {
    let store = Store::at(store);
    let rubbish = store.rubbish(unplanned)?;
    if !dry_run {
        for path in &rubbish {
            Store::remove(path)?;
        }
    }
    if as_json {
        return output::json(&json!({
            "schema": "smartkv.gc/1",
            "removed": !dry_run,
            "paths": rubbish,
        }));
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for path in &rubbish {
        let _ = writeln!(text, "{verb} {}", path.display());
    }
    let _ = writeln!(text, "{verb} {} files and folders", rubbish.len());
    output::text(&text)
}

fn list(as_json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (name, file, _) in SHIPPED_GRIDS.iter().filter(|(name, ..)| !name.is_empty()) {
        let grid = Grid::load(name)?;
        rows.push((*name, *file, grid.file.title.unwrap_or_default()));
    }
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, file, title)| json!({"name": name, "file": file, "title": title}))
            .collect();
        return output::json(&json!({ "schema": "smartkv.grids/1", "grids": rows }));
    }
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, _, title) in &rows {
        let _ = writeln!(text, "{name:width$}  {title}");
    }
    output::text(&text)
}
