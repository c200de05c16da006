//! Runs one cell, from names and digests to a result.

use super::{Cell, CellText, EvalMeasure, Measure, TasksMeasure};
use crate::assets::{
    Datasets, Policy, Progress as Shown, Text, resolve_model, resolve_text, sha256_model,
};
use crate::experiment::compare::Candidate;
use crate::experiment::error::ExperimentError;
use crate::experiment::evaluate::{EvalJournals, Evaluation, evaluate};
use crate::experiment::journal::RunJournal;
use crate::experiment::record::{Environment, EvalRecord};
use crate::experiment::tasks::{TaskEvaluation, run_tasks};
use anyhow::Context as _;
use serde_json::{Value, json};
use smartkv_eval::Progress;
use smartkv_eval::task::{Haystack, TaskResult};
use smartkv_host::{LoadOptions, Model};
use std::path::Path;

/// What a cell gave.
pub struct CellResult {
    /// What repeats.
    pub result: Value,
    /// What does not: times, and what it was measured with.
    pub facts: Value,
    done: Done,
}

/// What lies on the disk until the record does.
enum Done {
    Eval(Box<(EvalJournals, EvalRecord)>),
    Tasks(Vec<(RunJournal, TaskResult)>),
}

impl CellResult {
    /// Forgets finished samples, the record being safe.
    pub fn finish(self) {
        match self.done {
            Done::Eval(both) => both.0.finish(&both.1),
            Done::Tasks(journals) => {
                for (journal, result) in journals {
                    journal.finish(&result);
                }
            }
        }
    }
}

/// Runs `cell`. Finished samples are kept in `journals` until [`CellResult::finish`].
///
/// # Errors
/// Inputs that are missing or not what was planned, and whatever the evaluation refuses.
pub fn run_cell(
    cell: &Cell,
    journals: &Path,
    policy: &Policy,
    progress: &dyn Progress,
) -> anyhow::Result<CellResult> {
    let path = resolve_model(&cell.model.name, policy, &Shown::Silent)?;
    let digest = sha256_model(&path).with_context(|| format!("cannot read {}", path.display()))?;
    same("model", &cell.model.name, &digest, &cell.model.sha256)?;
    let weights = cell.model.weights.parse()?;
    let model = Model::load(&path, LoadOptions { weights })?;
    let run = Run {
        cell,
        model: &model,
        environment: Environment::new(weights, Some(digest.clone())),
        digest: &digest,
        journals,
        policy,
        progress,
    };
    match &cell.measure {
        Measure::Eval(measure) => run.eval(measure),
        Measure::Tasks(measure) => run.tasks(measure),
    }
}

fn same(what: &'static str, name: &str, found: &str, planned: &str) -> Result<(), ExperimentError> {
    if found == planned {
        return Ok(());
    }
    Err(ExperimentError::InputChanged {
        what,
        name: name.to_string(),
        found: found.to_string(),
        planned: planned.to_string(),
    })
}

struct Run<'a> {
    cell: &'a Cell,
    model: &'a Model,
    environment: Environment,
    digest: &'a str,
    journals: &'a Path,
    policy: &'a Policy,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    fn text(&self, text: &CellText) -> anyhow::Result<Text> {
        let found = resolve_text(&text.name, self.policy, &Shown::Silent)?;
        same("text", &text.name, &found.sha256, &text.sha256)?;
        Ok(found)
    }

    fn eval(self, measure: &EvalMeasure) -> anyhow::Result<CellResult> {
        let text = self.text(&measure.text)?;
        let settings = self.cell.settings(measure)?;
        let run = Evaluation {
            model: self.model,
            model_name: &self.cell.model.name,
            text: &text,
            settings: &settings,
            environment: self.environment,
            model_digest: self.digest,
            journals: Some(self.journals),
        };
        let (record, kept) = evaluate(run, self.progress)?;
        let mut result = serde_json::to_value(&record)?;
        let mut take = |path: &str, key: &str| {
            let fields = result.pointer_mut(path).and_then(Value::as_object_mut);
            fields
                .and_then(|fields| fields.shift_remove(key))
                .unwrap_or_default()
        };
        let facts = json!({
            "environment": take("", "environment"),
            "speed": take("", "speed"),
            "reference_speed": take("/reference", "speed"),
            // What the system gave depends on what ran before in the same process.
            "allocated_bytes": take("/cache", "allocated_bytes"),
            "reference_allocated_bytes": take("/reference/cache", "allocated_bytes"),
            "timings": null,
        });
        Ok(CellResult {
            result,
            facts,
            done: Done::Eval(Box::new((kept, record))),
        })
    }

    fn tasks(self, measure: &TasksMeasure) -> anyhow::Result<CellResult> {
        let text = self.text(&measure.haystack)?;
        let candidates = [Candidate {
            name: self.cell.strategy.name.clone(),
            strategy: self.cell.strategy()?,
            budget: self.cell.budget,
        }];
        let specs = measure.specs()?;
        let run = TaskEvaluation {
            model: self.model,
            model_name: &self.cell.model.name,
            candidates: &candidates,
            tasks: &specs,
            options: &measure.options,
            prefill: self.cell.prefill,
            data: &Datasets::new(self.policy, Shown::Silent),
            haystack: &Haystack {
                name: text.source,
                text: text.text,
            },
            environment: self.environment,
            model_digest: self.digest,
            journals: Some(self.journals),
        };
        let (record, journals) = run_tasks(&run, self.progress)?;
        for (task, planned) in record.tasks.iter().zip(&measure.tasks) {
            // Digests were taken when the cell was planned, and again when the files were read.
            for source in &task.result.sources {
                let was = planned
                    .data
                    .iter()
                    .find(|s| (&s.data, &s.name) == (&source.data, &source.name));
                let was = was.map_or("nothing", |was| was.sha256.as_str());
                same("data file", &source.name, &source.sha256, was)?;
            }
        }
        let mut result = serde_json::to_value(&record)?;
        let environment = result
            .as_object_mut()
            .and_then(|r| r.shift_remove("environment"));
        let tasks = result.get_mut("tasks").and_then(Value::as_array_mut);
        let timings: Vec<Value> = tasks
            .into_iter()
            .flatten()
            .filter_map(|task| task.as_object_mut()?.shift_remove("timing"))
            .collect();
        let facts = json!({
            "environment": environment,
            "speed": null,
            "reference_speed": null,
            "timings": timings,
        });
        let results = record.tasks.into_iter().map(|task| task.result);
        Ok(CellResult {
            result,
            facts,
            done: Done::Tasks(journals.into_iter().zip(results).collect()),
        })
    }
}
