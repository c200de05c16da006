//! Tasks on the command line: what `smartkv eval` and `smartkv compare` do with `--task`.

mod table;

use super::bar::Bar;
use super::output;
use super::session::Loaded;
use super::{out_file, session};
use crate::assets::{Datasets, Policy, Progress, resolve_text};
use crate::config::{Assignment, TaskSpec};
use crate::experiment::{Candidate, TaskEvaluation, run_tasks};
use anyhow::Context as _;
use smartkv_core::Prefill;
use smartkv_eval::task::{Haystack, PromptStyle, Shard, TaskOptions};
use std::path::{Path, PathBuf};

/// Options of commands that ask a model something.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tasks")]
pub(super) struct TaskArgs {
    /// Ask these tasks instead of scoring windows of a text: names of `smartkv tasks`, or YAML
    /// files.
    #[arg(long = "task", value_name = "TASK", value_delimiter = ',')]
    pub(super) tasks: Vec<String>,
    /// Most tokens of a prompt and its answer [default: the model's context length].
    #[arg(long, value_name = "N", requires = "tasks")]
    context: Option<usize>,
    /// Samples of each part of a task, the first ones [default: all].
    #[arg(long, value_name = "N", requires = "tasks")]
    limit: Option<usize>,
    /// Ask only one share of the samples, such as 2/8: the second of eight.
    #[arg(long, value_name = "I/N", requires = "tasks")]
    shard: Option<Shard>,
    /// Let the cache see the question before it compresses: easier, and what many papers do.
    #[arg(long, requires = "tasks")]
    query_aware: bool,
    /// Leave the model's chat template out.
    #[arg(long, requires = "tasks")]
    raw_prompt: bool,
    /// Do not ask f16 without the context, which shows whether a task needs it.
    #[arg(long, requires = "tasks")]
    no_control: bool,
    /// Look for data sets in this folder first [env: `SMARTKV_DATA`].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A run of tasks, all but the model settled.
pub(super) struct Asked<'a> {
    pub(super) args: &'a TaskArgs,
    pub(super) sets: &'a [Assignment],
    pub(super) candidates: &'a [Candidate],
    pub(super) text: &'a str,
    pub(super) prefill: Prefill,
    pub(super) seed: u64,
    pub(super) out: Option<&'a Path>,
}

impl TaskArgs {
    /// The tasks by name, with the assignments that are theirs.
    fn specs(&self, sets: &[Assignment]) -> anyhow::Result<Vec<TaskSpec>> {
        let only = self.tasks.len() == 1;
        let mut taken = vec![false; sets.len()];
        let mut specs = Vec::with_capacity(self.tasks.len());
        for name in &self.tasks {
            let own = sets.iter().zip(&mut taken).filter_map(|(set, taken)| {
                let own = set.of_task(name, only);
                *taken |= own.is_some();
                own
            });
            specs.push(TaskSpec::resolve(name, &own.collect::<Vec<_>>())?);
        }
        for (set, taken) in sets.iter().zip(taken) {
            anyhow::ensure!(
                taken || !set.is_for_task(),
                "--set {set}: of which task? Expected task.NAME.FIELD=VALUE with NAME one of: {}",
                self.tasks.join(", ")
            );
        }
        Ok(specs)
    }

    fn options(&self, seed: u64) -> TaskOptions {
        let mut options = TaskOptions {
            context_tokens: self.context,
            limit: self.limit,
            shard: self.shard.unwrap_or_default(),
            seed,
            query_aware: self.query_aware,
            control: !self.no_control,
            ..TaskOptions::default()
        };
        options.bootstrap.seed = seed;
        if self.raw_prompt {
            options.style = PromptStyle::Raw;
        }
        options
    }
}

impl Asked<'_> {
    /// Checks what can be checked before a model is loaded, loads it, asks, prints.
    pub(super) fn run(
        &self,
        model: &str,
        weights: &str,
        policy: &Policy,
        as_json: bool,
    ) -> anyhow::Result<()> {
        let policy = &Policy {
            data_dir: self.args.data.clone().or(policy.data_dir.clone()),
            ..policy.clone()
        };
        let specs = self.args.specs(self.sets)?;
        let options = self.args.options(self.seed);
        options.check()?;
        if let Some(path) = self.out {
            out_file::check(path)?;
        }
        for candidate in self.candidates {
            // Answers are generated: nobody knows the attention of their tokens beforehand.
            let tracker = candidate.strategy.strategy.tracker();
            if let Some(tracker) = tracker.filter(|tracker| tracker.needs_trace()) {
                let tracker = tracker.typetag_name();
                return Err(smartkv_core::Error::NoTrace { tracker })
                    .with_context(|| format!("`{}` cannot be asked tasks", candidate.name));
            }
        }
        let loaded = Loaded::load(model, weights, policy)?;
        for candidate in self.candidates {
            session::check_calibration(&candidate.strategy, model, &loaded.path)?;
        }
        let text = resolve_text(self.text, policy, &Progress::Stderr)?;
        let haystack = Haystack {
            name: text.source,
            text: text.text,
        };
        let bar = Bar::default();
        let journals = policy.cache_dir.join("runs");
        let record = run_tasks(
            &TaskEvaluation {
                model: &loaded.model,
                model_name: &loaded.name,
                candidates: self.candidates,
                tasks: &specs,
                options: &options,
                prefill: self.prefill,
                data: &Datasets::new(policy, Progress::Stderr),
                haystack: &haystack,
                environment: loaded.environment()?,
                journals: Some(&journals),
            },
            &bar,
        )?;
        bar.finish();
        if let Some(path) = self.out {
            out_file::write(path, &record)?;
        }
        if as_json {
            output::json(&record)
        } else {
            output::text(&table::render(&record))
        }
    }
}
