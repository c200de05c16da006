//! `smartkv sweep run --launcher slurm`: the missing cells as job arrays.

use super::{RunArgs, failures, stop_flag};
use crate::assets::Policy;
use crate::cli::output;
use crate::experiment::launch::{
    LaunchError, Prepared, Standing, SubmitOptions, Submitted, WaitWatch, prepare, quoted, ranges,
    submit, wait,
};
use crate::experiment::{ExperimentError, Plan, RunSummary, Store};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What runs the cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Launcher {
    /// Processes on this machine.
    #[default]
    Local,
    /// Job arrays of a Slurm cluster, submitted from here.
    Slurm,
}

/// Where cells are run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LaunchArgs {
    /// What runs the cells; docs/clusters.md explains Slurm and other ways.
    #[arg(long, value_enum, default_value_t)]
    launcher: Launcher,
    /// Slurm: cells of one array at once [default: as many as the cluster grants].
    #[arg(long, value_name = "M")]
    array_parallelism: Option<NonZeroUsize>,
    /// Slurm: wait until the queue has nothing left of the plan.
    #[arg(long)]
    wait: bool,
    /// Slurm: print the commands and scripts, and submit nothing.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Slurm: options for sbatch, after `--`, as in `-- --partition=gpu --time=60`.
    #[arg(last = true, value_name = "SBATCH OPTIONS")]
    sbatch: Vec<String>,
}

impl LaunchArgs {
    /// Whether a cluster runs the cells. Refuses what belongs to the other launcher.
    pub(super) fn is_slurm(&self, jobs: usize) -> anyhow::Result<bool> {
        if self.launcher == Launcher::Slurm {
            anyhow::ensure!(
                jobs == 1,
                "--jobs {jobs} is of the local launcher: Slurm runs as many cells as it grants, or \
                 --array-parallelism M of an array"
            );
            return Ok(true);
        }
        let given = [
            ("--array-parallelism", self.array_parallelism.is_some()),
            ("--wait", self.wait),
            ("--dry-run", self.dry_run),
            ("options after `--`", !self.sbatch.is_empty()),
        ];
        if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
            anyhow::bail!("{name}: only for `--launcher slurm`");
        }
        Ok(false)
    }
}

/// Submits what is missing of a plan.
pub(super) fn run(
    plan: &Plan,
    args: &RunArgs,
    store: &Path,
    policy: &Policy,
    threads: Option<usize>,
    retry_failed: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    let launch = &args.launch;
    let options = SubmitOptions {
        program: std::env::current_exe().context("cannot find this program")?,
        folder: std::env::current_dir().context("cannot find this folder")?,
        threads,
        offline: policy.offline,
        at_once: launch.array_parallelism.map(NonZeroUsize::get),
        retry_failed,
        arguments: args.pool.track.arguments(),
        extra: launch.sbatch.clone(),
    };
    options.check()?;
    if launch.dry_run {
        let prepared = prepare(plan, &Store::at(store), &options)?;
        return dry_run(plan, &prepared, &options, as_json);
    }
    // From here on Ctrl-C ends a command of Slurm, not this program before it has noted what was
    // submitted.
    let stop = stop_flag()?;
    let store = Store::open(store)?;
    store.keep_plan(plan)?;
    let (prepared, submitted) = submit(plan, &store, &options)?;
    let told = describe(plan, &prepared, &submitted);
    if !launch.wait {
        return if as_json {
            output::json(&object(plan, &prepared, &submitted, None))
        } else {
            output::text(&told)
        };
    }
    if !as_json {
        output::text(&told)?;
    }
    let end = waited(plan, &store, &prepared.standing, &stop)?;
    if as_json {
        output::json(&object(plan, &prepared, &submitted, Some(&end)))?;
    } else {
        output::text(&format!("{}: {}\n", plan.name, counts(plan, &end)))?;
    }
    let summary = RunSummary {
        total: plan.cells.len(),
        failed: end.failed.len(),
        ..RunSummary::default()
    };
    failures(plan, &summary)?;
    let left = end.lost.len() + end.missing.len();
    if left > 0 {
        return Err(ExperimentError::Incomplete {
            left,
            total: plan.cells.len(),
            plan: plan.name.clone(),
        }
        .into());
    }
    Ok(())
}

fn waited(
    plan: &Plan,
    store: &Store,
    before: &Standing,
    stop: &AtomicBool,
) -> anyhow::Result<Standing> {
    let lines = Lines {
        plan,
        last: RefCell::default(),
    };
    if let Some(end) = wait(plan, store, stop, &lines)? {
        return Ok(end);
    }
    eprintln!("the jobs go on: the same command waits for them again");
    Err(ExperimentError::Stopped {
        done: before.done.len(),
        total: plan.cells.len(),
    }
    .into())
}

/// A line on standard error for every change.
struct Lines<'a> {
    plan: &'a Plan,
    last: RefCell<String>,
}

impl WaitWatch for Lines<'_> {
    fn seen(&self, standing: &Standing) {
        let line = counts(self.plan, standing);
        if *self.last.borrow() != line {
            eprintln!("{}: {line}", self.plan.name);
            self.last.replace(line);
        }
    }

    fn silent(&self, error: &LaunchError) {
        eprintln!("warning: {error}; asking again");
    }
}

/// Where the cells stand, in a line.
fn counts(plan: &Plan, standing: &Standing) -> String {
    let mut text = format!(
        "{} of {} cells have a record",
        standing.done.len(),
        plan.cells.len()
    );
    for (places, what) in [
        (&standing.running, "running"),
        (&standing.waiting, "waiting"),
        (&standing.failed, "failed"),
        (
            &standing.lost,
            "ended without a record (cancelled, over a limit, or lost)",
        ),
        (&standing.missing, "missing"),
    ] {
        if places.is_empty() {
            continue;
        }
        let _ = write!(text, ", {} {what}", places.len());
        if what == "waiting" {
            let reasons: Vec<&str> = standing.reasons.keys().map(String::as_str).collect();
            let _ = write!(text, " ({})", reasons.join(", "));
        }
    }
    text
}

/// What was there, and what was submitted.
fn describe(plan: &Plan, prepared: &Prepared, submitted: &Submitted) -> String {
    let before = &prepared.standing;
    let mut text = format!("{}: {}\n", plan.name, counts(plan, before));
    for &place in &before.lost {
        let _ = writeln!(text, "submitted again: {}", plan.cells[place].name());
    }
    for (array, job) in prepared.arrays.iter().zip(&submitted.arrays) {
        let _ = writeln!(
            text,
            "job {job}: {} cells, places {}",
            array.places.len(),
            ranges(&array.places)
        );
    }
    if let Some(job) = &submitted.collect {
        let _ = writeln!(
            text,
            "job {job}: says how it went, in {}",
            prepared.logs.join(format!("collect-{job}.log")).display()
        );
    }
    if prepared.arrays.is_empty() {
        text.push_str("nothing to submit\n");
        if !before.failed.is_empty() {
            let _ = writeln!(text, "`smartkv sweep retry` runs failed cells again");
        }
    }
    text
}

fn dry_run(
    plan: &Plan,
    prepared: &Prepared,
    options: &SubmitOptions,
    as_json: bool,
) -> anyhow::Result<()> {
    // Numbers that jobs will have are not known yet.
    let jobs: Vec<String> = (1..=prepared.arrays.len())
        .map(|n| format!("$JOB{n}"))
        .collect();
    let collect = prepared.collect_arguments(plan, &jobs, options);
    if as_json {
        let mut object = object(plan, prepared, &Submitted::default(), None);
        object["dry_run"] = true.into();
        object["commands"] = prepared
            .arrays
            .iter()
            .map(|array| &array.arguments)
            .chain((!prepared.arrays.is_empty()).then_some(&collect))
            .map(|arguments| json!([&["sbatch".to_string()][..], arguments].concat()))
            .collect();
        object["scripts"] = [&prepared.cell_script, &prepared.collect_script]
            .iter()
            .map(|(path, text)| json!({"path": path, "text": text}))
            .collect();
        return output::json(&object);
    }
    let mut text = format!("{}: {}\n", plan.name, counts(plan, &prepared.standing));
    if prepared.arrays.is_empty() {
        text.push_str("nothing to submit\n");
        return output::text(&text);
    }
    let command = |arguments: &[String]| {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        format!("sbatch {}", words.join(" "))
    };
    for (path, script) in [&prepared.cell_script, &prepared.collect_script] {
        let _ = writeln!(text, "\n{}:\n{script}", path.display());
    }
    for (array, job) in prepared.arrays.iter().zip(1..) {
        let _ = writeln!(
            text,
            "# {} cells, places {}, one id a line in {}\nJOB{job}=$({})",
            array.places.len(),
            ranges(&array.places),
            array.list.display(),
            command(&array.arguments)
        );
    }
    // A shell fills in the numbers: what is quoted stays as it is.
    let unquoted = jobs.join(":");
    let collect = prepared.collect_arguments(plan, &["JOBS".to_string()], options);
    let collect = command(&collect).replacen("afterany:JOBS", &format!("afterany:{unquoted}"), 1);
    let _ = writeln!(text, "{collect}");
    output::text(&text)
}

/// What `--json` prints.
fn object(
    plan: &Plan,
    prepared: &Prepared,
    submitted: &Submitted,
    end: Option<&Standing>,
) -> Value {
    let arrays: Vec<Value> = prepared
        .arrays
        .iter()
        .enumerate()
        .map(|(n, array)| {
            json!({
                "job": submitted.arrays.get(n),
                "cells": array.places.len(),
                "places": ranges(&array.places),
                "list": array.list,
            })
        })
        .collect();
    let mut object = json!({
        "schema": "smartkv.submission/1",
        "plan": plan.name,
        "dry_run": false,
        "before": tally(plan, &prepared.standing),
        "arrays": arrays,
        "collect": submitted.collect,
        "logs": prepared.logs,
    });
    if let Some(end) = end {
        object["after"] = tally(plan, end);
    }
    object
}

fn tally(plan: &Plan, standing: &Standing) -> Value {
    json!({
        "cells": plan.cells.len(),
        "done": standing.done.len(),
        "running": standing.running.len(),
        "waiting": standing.waiting.len(),
        "failed": standing.failed.len(),
        "lost": standing.lost.len(),
        "missing": standing.missing.len(),
    })
}
