//! Tasks asked of the f16 cache and of strategies, on the same prompts.

use super::compare::Candidate;
use super::journal::RunJournal;
use super::record::Environment;
use crate::config::{CalibrationOrigin, TaskSpec};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use smartkv_core::{Budget, Cache, Prefill};
use smartkv_eval::Progress;
use smartkv_eval::task::{
    DataSource, Haystack, Side, TaskOptions, TaskResult, TaskRun, TaskTiming,
};
use smartkv_host::Model;
use std::path::Path;

/// Version of the record. A field that changes its meaning or goes raises the number.
const SCHEMA: &str = "smartkv.tasks/1";

/// What tasks are run on.
pub struct TaskEvaluation<'a> {
    /// The loaded model.
    pub model: &'a Model,
    /// What the user called it.
    pub model_name: &'a str,
    /// The strategies that are asked beside f16.
    pub candidates: &'a [Candidate],
    /// What they are asked.
    pub tasks: &'a [TaskSpec],
    /// How.
    pub options: &'a TaskOptions,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// Where data comes from.
    pub data: &'a dyn DataSource,
    /// The prose that needles hide in.
    pub haystack: &'a Haystack,
    /// What it is measured with.
    pub environment: Environment,
    /// Digest of the model's files.
    pub model_digest: &'a str,
    /// Where unfinished runs are kept; nowhere if absent.
    pub journals: Option<&'a Path>,
}

/// What `smartkv eval --task … --json` prints.
#[derive(Debug, Serialize)]
pub struct TasksRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the user called the model.
    pub model: String,
    /// What was asked beside f16, in the order of the results' sides.
    pub strategies: Vec<StrategyRecord>,
    /// The tasks in their order.
    pub tasks: Vec<TaskRecord>,
    /// How tasks were run.
    pub options: TaskOptions,
    /// When prompts were compressed.
    pub prefill: Prefill,
    /// What it was measured with.
    pub environment: Environment,
}

/// One strategy in force.
#[derive(Debug, Serialize)]
pub struct StrategyRecord {
    /// Name in the results.
    pub name: String,
    /// Its complete configuration.
    pub config: Value,
    /// What it was calibrated with.
    pub calibration: Option<CalibrationOrigin>,
    /// The budget in force, `null` if it has none.
    pub budget: Option<Budget>,
}

/// One task.
#[derive(Debug, Serialize)]
pub struct TaskRecord {
    /// What the user called it.
    pub name: String,
    /// Its complete configuration.
    pub config: Value,
    /// What was measured.
    pub result: TaskResult,
    /// How long it took; no part of what repeats.
    pub timing: TaskTiming,
}

/// Runs the tasks. Equal inputs give equal records, timings apart, on any number of threads. The
/// journals, one a task, are [finished](RunJournal::finish) once the record is in safe hands.
///
/// # Errors
/// A budget that a strategy cannot hold, data that cannot be had, and whatever the tasks refuse.
/// Samples finished before stay in the journals.
pub fn run_tasks(
    run: &TaskEvaluation<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<(TasksRecord, Vec<RunJournal>)> {
    let mut sides = sides(run)?;
    let mut tasks = Vec::with_capacity(run.tasks.len());
    let mut journals = Vec::new();
    for spec in run.tasks {
        let task = TaskRun {
            model: run.model,
            task: spec.task.as_ref(),
            options: run.options,
            data: run.data,
            haystack: run.haystack,
            exact_prefill: run.prefill == Prefill::Exact,
        };
        let identity = identity(run, spec);
        let (result, timing) = if let Some(folder) = run.journals {
            let mut journal = RunJournal::open(folder, &identity)?;
            let done = task.run(&mut sides, &mut journal, progress);
            journals.push(journal);
            done.with_context(|| format!("task `{}`", spec.name))?
        } else {
            task.run(&mut sides, &mut smartkv_eval::task::NoJournal, progress)
                .with_context(|| format!("task `{}`", spec.name))?
        };
        tasks.push(TaskRecord {
            name: spec.name.clone(),
            config: spec.config.clone(),
            result,
            timing,
        });
    }
    let record = TasksRecord {
        schema: SCHEMA,
        model: run.model_name.to_string(),
        strategies: run.candidates.iter().map(strategy).collect(),
        tasks,
        options: run.options.clone(),
        prefill: run.prefill,
        environment: run.environment.clone(),
    };
    Ok((record, journals))
}

fn strategy(candidate: &Candidate) -> StrategyRecord {
    let own = candidate.strategy.strategy.default_budget();
    StrategyRecord {
        name: candidate.name.clone(),
        config: candidate.strategy.config.clone(),
        calibration: candidate.strategy.calibration.clone(),
        budget: candidate.budget.or(own),
    }
}

/// The f16 cache, then one a candidate.
fn sides(run: &TaskEvaluation<'_>) -> anyhow::Result<Vec<Side>> {
    let shape = run.model.cache_shape(1)?;
    let f16 = crate::config::StrategySpec::resolve("f16", &[])?.strategy;
    let reference = Cache::builder(shape, f16)
        .kernels(smartkv_kernels::best())
        .build()?;
    let mut sides = vec![Side {
        name: "f16".to_string(),
        cache: Box::new(reference),
    }];
    for candidate in run.candidates {
        let cache = Cache::builder(shape, candidate.strategy.strategy.clone())
            .budget(candidate.budget)
            .prefill(run.prefill)
            .seed(run.options.seed)
            .rope(run.model.ropes())
            .kernels(smartkv_kernels::best())
            .build()
            .with_context(|| candidate.name.clone())?;
        sides.push(Side {
            name: candidate.name.clone(),
            cache: Box::new(cache),
        });
    }
    Ok(sides)
}

/// Everything that determines the samples' records.
fn identity(run: &TaskEvaluation<'_>, spec: &TaskSpec) -> Value {
    let Environment {
        smartkv,
        kernels,
        weights,
        ..
    } = &run.environment;
    // Samples are the same whatever the limit.
    let options = TaskOptions {
        limit: None,
        ..run.options.clone()
    };
    json!({
        "schema": SCHEMA,
        "smartkv": smartkv,
        "kernels": kernels,
        "weights": weights,
        "model": run.model_digest,
        "strategies": run.candidates.iter().map(strategy).collect::<Vec<_>>(),
        "task": spec.config,
        "options": options,
        "prefill": run.prefill,
        "haystack": run.haystack.name,
    })
}
