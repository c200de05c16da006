//! Tasks on the command line: what `smartkv eval` and `smartkv compare` do with `--task`.

mod table;

use super::bar::Bar;
use super::output;
use super::session::Loaded;
use super::track::TrackArgs;
use super::{out_file, session, track};
use crate::assets::{Datasets, Policy, Progress, resolve_text};
use crate::config::{Assignment, TaskSpec};
use crate::experiment::{AskFile, Candidate, TaskEvaluation, run_tasks};
use crate::track::{Printed, Run};
use anyhow::Context as _;
use serde_json::Value;
use smartkv_core::Prefill;
use smartkv_eval::task::{Haystack, Shard, TaskOptions};
use std::path::{Path, PathBuf};

/// Options of commands that ask a model something.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tasks")]
pub(super) struct TaskArgs {
    /// Ask these tasks instead of scoring windows of a text: names of `smartkv tasks`, or YAML
    /// files.
    #[arg(long = "task", value_name = "TASK", value_delimiter = ',')]
    tasks: Vec<String>,
    /// Most tokens of a prompt and its answer [default: the model's context length].
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Samples of each part of a task, the first ones [default: all].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Ask only one share of the samples, such as 2/8: the second of eight.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Let the cache see the question before it compresses: easier, and what many papers do.
    #[arg(long)]
    query_aware: bool,
    /// Leave the model's chat template out.
    #[arg(long)]
    raw_prompt: bool,
    /// Do not ask f16 without the context, which shows whether a task needs it.
    #[arg(long)]
    no_control: bool,
    /// Look for data sets in this folder first [env: `SMARTKV_DATA`].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A run of tasks, all but the model settled.
pub(super) struct Asked<'a> {
    pub(super) args: &'a TaskArgs,
    pub(super) file: &'a AskFile,
    pub(super) sets: &'a [Assignment],
    pub(super) candidates: &'a [Candidate],
    pub(super) text: &'a str,
    pub(super) prefill: Prefill,
    pub(super) seed: u64,
    pub(super) out: Option<&'a Path>,
    /// How the run is tracked, where it can be.
    pub(super) track: Option<&'a TrackArgs>,
}

impl TaskArgs {
    /// The policy with the folder of data sets, if one is given.
    pub(super) fn policy(&self, policy: &Policy) -> Policy {
        Policy {
            data_dir: self.data.clone().or(policy.data_dir.clone()),
            ..policy.clone()
        }
    }

    /// Refuses flags that mean nothing where tasks are asked.
    ///
    /// # Errors
    /// The first that is given.
    pub(super) fn refuse(flags: &[(&str, bool)]) -> anyhow::Result<()> {
        match flags.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                anyhow::bail!("{flag} is for windows of a text: leave it or the tasks out")
            }
            None => Ok(()),
        }
    }

    /// Whether tasks are asked for, by a flag or in the file.
    ///
    /// # Errors
    /// An option that means nothing without them.
    pub(super) fn wanted(&self, file: &AskFile) -> anyhow::Result<bool> {
        let wanted = !(self.tasks.is_empty() && file.tasks.is_empty());
        let alone = [
            ("--context", self.context.is_some()),
            ("--limit", self.limit.is_some()),
            ("--shard", self.shard.is_some()),
            ("--query-aware", self.query_aware),
            ("--raw-prompt", self.raw_prompt),
            ("--no-control", self.no_control),
        ];
        match alone.into_iter().find(|&(_, given)| given && !wanted) {
            Some((flag, _)) => anyhow::bail!("{flag} is for tasks: expected --task TASK too"),
            None => Ok(wanted),
        }
    }

    /// What a file says of tasks, with what flags say over it.
    fn over(&self, file: &AskFile) -> AskFile {
        let given: Vec<Value> = self.tasks.iter().map(|name| name.as_str().into()).collect();
        AskFile {
            tasks: if given.is_empty() {
                file.tasks.clone()
            } else {
                given
            },
            context: self.context.or(file.context),
            limit: self.limit.or(file.limit),
            query_aware: self.query_aware.then_some(true).or(file.query_aware),
            raw_prompt: self.raw_prompt.then_some(true).or(file.raw_prompt),
            control: self.no_control.then_some(false).or(file.control),
            shard: self.shard.or(file.shard),
        }
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
        let ask = self.args.over(self.file);
        let specs = ask.specs(self.sets)?;
        let options = ask.options(self.seed);
        options.check()?;
        if let Some(path) = self.out {
            out_file::check(path)?;
        }
        let info = || track::describe_tasks(self, &specs, &options, [model, weights]);
        let run = self.track.map_or(Run::off(), |track| track.start(info));
        let done = self.measure(&specs, &options, [model, weights], policy, as_json, &run);
        track::conclude(run, done)
    }

    fn measure(
        &self,
        specs: &[TaskSpec],
        options: &TaskOptions,
        [model, weights]: [&str; 2],
        policy: &Policy,
        as_json: bool,
        run: &Run,
    ) -> anyhow::Result<()> {
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
        let folder = policy.cache_dir.join("runs");
        let digest = session::digest(&loaded.path)?;
        let (record, journals) = run_tasks(
            &TaskEvaluation {
                model: &loaded.model,
                model_name: &loaded.name,
                candidates: self.candidates,
                tasks: specs,
                options,
                prefill: self.prefill,
                data: &Datasets::new(policy, Progress::Stderr),
                haystack: &haystack,
                environment: loaded.environment()?,
                model_digest: &digest,
                journals: Some(&folder),
            },
            &bar,
        )?;
        bar.finish();
        if let Some(path) = self.out {
            out_file::write(path, &record)?;
        }
        run.report(&record);
        let text = table::render(&record);
        run.output(&text, Printed::Out);
        if as_json {
            output::json(&record)?;
        } else {
            output::text(&text)?;
        }
        for (journal, task) in journals.into_iter().zip(&record.tasks) {
            journal.finish(&task.result);
        }
        Ok(())
    }
}
