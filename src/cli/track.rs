//! `--wandb`: what the command line says about tracking, and a command as a tracked run.

use super::ask::Asked;
use crate::config::TaskSpec;
use crate::experiment::{EvalSettings, PlannedCell};
use crate::track::{Flags, Json, Mode, Printed, Row, Run, RunInfo, Settings};
use serde_json::{Value, json};
use smartkv_core::Budget;
use smartkv_eval::task::TaskOptions;

/// Options of commands whose runs can be tracked.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tracking")]
pub(super) struct TrackArgs {
    /// Track the run as Weights & Biases does: online, offline or disabled [default: what
    /// `WANDB_MODE` says, else online with a key and offline without].
    #[arg(long, value_name = "MODE", num_args = 0..=1, value_parser = parse_mode, default_missing_value = "auto")]
    wandb: Option<Choice>,
    /// Project [env: `WANDB_PROJECT`; default: smartkv].
    #[arg(long, value_name = "NAME")]
    wandb_project: Option<String>,
    /// User or team [env: `WANDB_ENTITY`; default: that of the key].
    #[arg(long, value_name = "NAME")]
    wandb_entity: Option<String>,
    /// Group [env: `WANDB_RUN_GROUP`].
    #[arg(long, value_name = "NAME")]
    wandb_group: Option<String>,
    /// Tags [env: `WANDB_TAGS`].
    #[arg(long, value_name = "TAG,TAG", value_delimiter = ',')]
    wandb_tags: Vec<String>,
    /// Name that people see [env: `WANDB_NAME`; default: model, strategy and budget].
    #[arg(long, value_name = "NAME")]
    wandb_name: Option<String>,
    #[arg(from_global)]
    offline: bool,
}

/// `--wandb` with a mode, or bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Bare,
    Mode(Mode),
}

fn parse_mode(text: &str) -> Result<Choice, String> {
    match text {
        "auto" => Ok(Choice::Bare),
        "online" => Ok(Choice::Mode(Mode::Online)),
        "offline" => Ok(Choice::Mode(Mode::Offline)),
        "disabled" => Ok(Choice::Mode(Mode::Disabled)),
        _ => Err("expected online, offline or disabled".to_owned()),
    }
}

impl TrackArgs {
    /// Begins the run, or one that is off if nothing asks for tracking.
    pub(super) fn start(&self, info: impl FnOnce() -> RunInfo) -> Run {
        match self.settings() {
            Some(settings) => Run::start(settings, info()),
            None => Run::off(),
        }
    }

    /// The same flags for a process that runs a cell.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        match self.wandb {
            None => {}
            Some(Choice::Bare) => arguments.push("--wandb".to_owned()),
            Some(Choice::Mode(mode)) => arguments.push(format!("--wandb={mode}")),
        }
        let tags = (!self.wandb_tags.is_empty()).then(|| self.wandb_tags.join(","));
        for (flag, value) in [
            ("project", &self.wandb_project),
            ("entity", &self.wandb_entity),
            ("group", &self.wandb_group),
            ("tags", &tags),
            ("name", &self.wandb_name),
        ] {
            arguments.extend(
                value
                    .as_ref()
                    .map(|value| format!("--wandb-{flag}={value}")),
            );
        }
        arguments
    }

    /// How runs of this command are tracked.
    pub(super) fn settings(&self) -> Option<Settings> {
        let flags = Flags {
            wandb: self.wandb.map(|choice| match choice {
                Choice::Bare => None,
                Choice::Mode(mode) => Some(mode),
            }),
            project: self.wandb_project.clone(),
            entity: self.wandb_entity.clone(),
            group: self.wandb_group.clone(),
            tags: self.wandb_tags.clone(),
            name: self.wandb_name.clone(),
            no_network: self.offline,
        };
        Settings::from_env(&flags)
    }
}

/// Ends the run as the command ended.
pub(super) fn conclude<T>(run: Run, done: anyhow::Result<T>) -> anyhow::Result<T> {
    if let Err(error) = &done {
        run.output(&format!("error: {error:#}"), Printed::Err);
        // The end of the run may wait for the server.
        super::failure::tell(error);
    }
    // As `failure::report` exits.
    run.finish(i32::from(done.is_err()));
    done
}

/// What identifies a cell of a plan.
pub(super) fn describe_cell(cell: &PlannedCell, plan: &str) -> RunInfo {
    let mut config = serde_json::to_value(&cell.cell).unwrap_or_default();
    config["cell"] = cell.id.as_ref().into();
    config["labels"] = cell.labels.clone().into();
    RunInfo {
        group: Some(plan.to_owned()),
        job_type: Some("cell".to_owned()),
        ..info(&cell.name(), &config)
    }
}

/// What identifies an evaluation: the names a sweep can vary, and the complete settings.
pub(super) fn describe(settings: &EvalSettings, model: &str, weights: &str, text: &str) -> RunInfo {
    let strategy = &settings.strategy;
    let budget = settings.budget.or(strategy.strategy.default_budget());
    let config = json!({
        "model": model,
        "weights": weights,
        "strategy": strategy.name,
        "strategy_config": strategy.config,
        "calibration": strategy.calibration,
        "budget": budget,
        "prefill": settings.prefill,
        "protocol": settings.protocol,
        "prefill_tokens": settings.windows.prefill,
        "score_tokens": settings.windows.score,
        "windows": settings.windows.count,
        "prefill_chunk": settings.prefill_chunk,
        "attention_error": settings.attention_error,
        "needle": settings.needle,
        "text": text,
        "seed": settings.seed,
        "smartkv": env!("CARGO_PKG_VERSION"),
    });
    info(&named(model, &strategy.name, budget), &config)
}

/// The same for tasks.
pub(super) fn describe_tasks(
    asked: &Asked<'_>,
    specs: &[TaskSpec],
    options: &TaskOptions,
    [model, weights]: [&str; 2],
) -> RunInfo {
    let tasks = specs
        .iter()
        .map(|spec| json!({"name": spec.name, "config": spec.config}));
    let mut config = json!({
        "model": model,
        "weights": weights,
        "tasks": tasks.collect::<Vec<_>>(),
        "options": options,
        "prefill": asked.prefill,
        "text": asked.text,
        "seed": asked.seed,
        "smartkv": env!("CARGO_PKG_VERSION"),
    });
    let mut names = Vec::new();
    for candidate in asked.candidates {
        let own = candidate.strategy.strategy.default_budget();
        let budget = candidate.budget.or(own);
        names.push(named(model, &candidate.name, budget));
        config["strategy"] = candidate.name.as_str().into();
        config["strategy_config"] = candidate.strategy.config.clone();
        config["budget"] = json!(budget);
    }
    let tasks: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let name = format!("{} {}", names.join(", "), tasks.join(","));
    info(&name, &config)
}

fn named(model: &str, strategy: &str, budget: Option<Budget>) -> String {
    let budget = budget.map_or(String::new(), |budget| format!("@{budget}"));
    format!("{model} {strategy}{budget}")
}

fn info(name: &str, config: &Value) -> RunInfo {
    RunInfo {
        name: Some(name.to_owned()),
        config: Json::of(config).unwrap_or(Json::Object(Row::new())),
        job_type: Some("eval".to_owned()),
        ..RunInfo::default()
    }
}
