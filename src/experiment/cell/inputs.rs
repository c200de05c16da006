//! From an evaluation file to a cell: names become digests.

use super::{
    CELL_SCHEMA, Cell, CellModel, CellStrategy, CellTask, CellText, EvalMeasure, Measure,
    TasksMeasure,
};
use crate::assets::{Datasets, Policy, Progress, resolve_model, resolve_text, sha256_model};
use crate::config::Assignment;
use crate::experiment::settings::EvalFile;
use anyhow::Context as _;
use smartkv_core::Prefill;
use smartkv_eval::TaskRun;
use smartkv_eval::task::{Haystack, TaskOptions};
use smartkv_host::{LoadOptions, Model, WeightMode};
use std::collections::BTreeMap;

/// Looks inputs up, each once.
pub struct Inputs<'a> {
    policy: &'a Policy,
    digests: BTreeMap<String, String>,
    texts: BTreeMap<String, CellText>,
    /// Tasks need a tokenizer to say what they read.
    models: BTreeMap<String, Model>,
}

impl<'a> Inputs<'a> {
    /// Looks where `policy` says.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            digests: BTreeMap::new(),
            texts: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }

    /// The cell that `file` describes, with assignments to fields of its strategy and tasks.
    ///
    /// # Errors
    /// Inputs that cannot be had; a strategy, task or setting that cannot be.
    pub fn cell(&mut self, file: &EvalFile, sets: &[Assignment]) -> anyhow::Result<Cell> {
        let (of_tasks, of_strategy): (Vec<_>, Vec<_>) =
            sets.iter().cloned().partition(Assignment::is_for_task);
        let strategy = file.strategy(&of_strategy)?;
        let weights: WeightMode = file.weights().parse()?;
        let settings = file.settings(strategy.clone())?;
        let model = CellModel {
            name: file.model().to_string(),
            sha256: self.digest(file.model())?,
            weights: weights.to_string(),
        };
        if let Some(origin) = &strategy.calibration {
            origin.check(&strategy.name, &model.name, &model.sha256)?;
        }
        let text = self.text(file.text())?;
        let measure = if file.ask.tasks.is_empty() {
            anyhow::ensure!(
                of_tasks.is_empty(),
                "{}: the cell asks no task",
                of_tasks
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            );
            Measure::Eval(EvalMeasure {
                text,
                protocol: settings.protocol,
                windows: settings.windows,
                window_seed: settings.window_seed,
                prefill_chunk: settings.prefill_chunk,
                needle: settings.needle,
                attention_error: settings.attention_error,
            })
        } else {
            let options = file.ask.options(settings.seed);
            options.check()?;
            if let Some(tracker) = strategy.strategy.tracker().filter(|t| t.needs_trace()) {
                let tracker = tracker.typetag_name();
                return Err(smartkv_core::Error::NoTrace { tracker })
                    .with_context(|| format!("`{}` cannot be asked tasks", strategy.name));
            }
            let mut tasks = Vec::new();
            for spec in file.ask.specs(&of_tasks)? {
                let data = self.sources(&model.name, weights, &spec, &options, settings.prefill)?;
                tasks.push(CellTask {
                    name: spec.name,
                    config: spec.config,
                    data,
                });
            }
            Measure::Tasks(TasksMeasure {
                tasks,
                options,
                haystack: text,
            })
        };
        Ok(Cell {
            schema: CELL_SCHEMA.to_string(),
            model,
            strategy: CellStrategy {
                name: strategy.name,
                config: strategy.config,
                calibration: strategy.calibration,
            },
            budget: settings.budget,
            prefill: settings.prefill,
            seed: settings.seed,
            measure,
        })
    }

    fn digest(&mut self, model: &str) -> anyhow::Result<String> {
        if let Some(digest) = self.digests.get(model) {
            return Ok(digest.clone());
        }
        let path = resolve_model(model, self.policy, &Progress::Stderr)?;
        let digest =
            sha256_model(&path).with_context(|| format!("cannot read {}", path.display()))?;
        self.digests.insert(model.to_string(), digest.clone());
        Ok(digest)
    }

    fn text(&mut self, name: &str) -> anyhow::Result<CellText> {
        if let Some(text) = self.texts.get(name) {
            return Ok(text.clone());
        }
        let text = resolve_text(name, self.policy, &Progress::Stderr)?;
        let text = CellText {
            name: text.source,
            sha256: text.sha256,
        };
        self.texts.insert(name.to_string(), text.clone());
        Ok(text)
    }

    /// The files that a task reads.
    fn sources(
        &mut self,
        model: &str,
        weights: WeightMode,
        spec: &crate::config::TaskSpec,
        options: &TaskOptions,
        prefill: Prefill,
    ) -> anyhow::Result<Vec<smartkv_eval::task::Source>> {
        if !self.models.contains_key(model) {
            let path = resolve_model(model, self.policy, &Progress::Stderr)?;
            let loaded = Model::load(&path, LoadOptions { weights })?;
            self.models.insert(model.to_string(), loaded);
        }
        let model = self.models.get(model).context("a model that was loaded")?;
        let data = Datasets::new(self.policy, Progress::Stderr);
        let run = TaskRun {
            model,
            task: spec.task.as_ref(),
            options,
            data: &data,
            // Which files are read does not depend on the prose that needles hide in.
            haystack: &Haystack {
                name: "prose".to_string(),
                text: "Needles hide in prose. ".repeat(64),
            },
            exact_prefill: prefill == Prefill::Exact,
        };
        run.sources()
            .with_context(|| format!("task `{}`", spec.name))
    }
}
