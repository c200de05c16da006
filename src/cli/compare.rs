//! `smartkv compare`: many strategies and budgets on the same tokens, in one table.

mod settings;
mod table;

use super::ask::{Asked, TaskArgs};
use super::bar::Bar;
use super::out_file;
use super::output;
use super::session::{DEFAULT_MODEL, Loaded, ModelArgs, check_calibration, parse_prefill};
use crate::assets::{self, Policy, resolve_text};
use crate::config::Assignment;
use crate::experiment::{Comparison, compare};
use std::path::PathBuf;

/// Compare strategies at several budgets on the same model, text and tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv compare uniform-4 kivi turboquant smartkv@0.3
  smartkv compare smartkv smartkv-random h2o --budgets 0.2,0.3,0.5 --against smartkv@0.3
  smartkv compare --config configs/comparisons/pareto.yaml --out pareto.json
  smartkv compare uniform-4 smartkv@0.25 --task assoc_recall --limit 50

All caches run in one batch on the same tokens, beside the f16 cache: predictions after a prefilled
prompt, teacher-forced through the compressed cache. A strategy that takes a budget is run at each
of --budgets unless it has one of its own (NAME@BUDGET). The row marked * holds fewer bytes than
every row of smaller divergence: the Pareto front. Speeds cannot be told apart here: `smartkv
bench`.")]
pub(super) struct CompareArgs {
    /// Strategies, shipped configurations or YAML files, each with or without @BUDGET.
    #[arg(value_name = "STRATEGY[@BUDGET]")]
    strategies: Vec<String>,
    /// Read strategies, budgets and options from a YAML file; flags win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Budgets of the strategies that take one.
    #[arg(short, long, value_name = "B,B", value_delimiter = ',')]
    budgets: Option<Vec<String>>,
    /// A row (NAME or NAME@BUDGET) that all others are held against, window by window.
    #[arg(long, value_name = "ROW")]
    against: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Text to measure on: `essays`, `wikitext-2` or a file [default: essays].
    #[arg(long, value_name = "TEXT", env = "SMARTKV_TEXT")]
    text: Option<String>,
    /// `decode` or `chunked:N` [default: decode].
    #[arg(long, value_name = "PROTOCOL", env = "SMARTKV_PROTOCOL", value_parser = super::eval::parse_protocol)]
    protocol: Option<smartkv_eval::Protocol>,
    /// Compress prompts at their end (exact), or chunk by chunk (quantized) [default: exact].
    #[arg(long, value_name = "WHEN", value_parser = parse_prefill)]
    prefill: Option<smartkv_core::Prefill>,
    /// Windows of the text, or `all`: end to end instead of spread over it [default: 6].
    #[arg(long, value_name = "N")]
    windows: Option<smartkv_eval::WindowCount>,
    /// Tokens prefilled in each window, not scored [default: 512].
    #[arg(long, value_name = "N")]
    prefill_tokens: Option<usize>,
    /// Tokens scored in each window [default: 256].
    #[arg(long, value_name = "N")]
    score_tokens: Option<usize>,
    /// Caches that run at once [default: 12].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Seed of everything random [default: 0].
    #[arg(long, value_name = "N", env = "SMARTKV_SEED")]
    seed: Option<u64>,
    /// Also write the record to this file, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    ask: TaskArgs,
    /// Change one field of a task, such as task.samples=50; repeat for more.
    #[arg(long = "set", value_name = "task.PATH=VALUE")]
    sets: Vec<Assignment>,
}

pub(super) fn run(args: &CompareArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let policy = &args.ask.policy(policy);
    let settings = settings::Settings::new(args)?;
    if args.ask.wanted(&settings.ask)? {
        return ask(args, &settings, policy, as_json);
    }
    if let Some(set) = args.sets.first() {
        anyhow::bail!("--set {set} is for tasks: expected --task TASK too");
    }
    if let Some(path) = &args.out {
        out_file::check(path)?;
    }
    let name = settings.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let weights = settings.weights.as_deref().unwrap_or("auto");
    let loaded = Loaded::load(name, weights, policy)?;
    for candidate in &settings.candidates {
        check_calibration(&candidate.strategy, name, &loaded.path)?;
    }
    let text = settings.text.as_deref().unwrap_or("essays");
    let text = resolve_text(text, policy, &assets::Progress::Stderr)?;
    let environment = loaded.environment()?;
    let bar = Bar::default();
    let run = Comparison {
        model: &loaded.model,
        model_name: &loaded.name,
        text: &text,
        candidates: &settings.candidates,
        against: settings.against,
        protocol: settings.protocol,
        prefill: settings.prefill,
        windows: settings.windows,
        window_seed: settings.window_seed,
        batch: settings.batch,
        seed: settings.seed,
        environment,
    };
    let record = compare(&run, &bar)?;
    bar.finish();
    if let Some(path) = &args.out {
        out_file::write(path, &record)?;
    }
    if as_json {
        output::json(&record)
    } else {
        output::text(&table::render(&record))
    }
}

/// Tasks in the place of windows: every row beside f16 on the same prompts.
fn ask(
    args: &CompareArgs,
    settings: &settings::Settings,
    policy: &Policy,
    as_json: bool,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        settings.against.is_none(),
        "--against cannot be used with --task: rows are held against f16"
    );
    if let Some(set) = args.sets.iter().find(|set| !set.is_for_task()) {
        anyhow::bail!("--set {set}: expected task.FIELD=VALUE: strategies are named with theirs");
    }
    TaskArgs::refuse(&[
        ("--windows", args.windows.is_some()),
        ("--prefill-tokens", args.prefill_tokens.is_some()),
        ("--score-tokens", args.score_tokens.is_some()),
        ("--batch", args.batch.is_some()),
    ])?;
    // Several rows of a strategy are told apart by their budgets.
    let mut candidates = settings.candidates.clone();
    for candidate in &mut candidates {
        candidate.name = settings::label(candidate);
    }
    let asked = Asked {
        args: &args.ask,
        file: &settings.ask,
        sets: &args.sets,
        candidates: &candidates,
        text: settings.text.as_deref().unwrap_or("essays"),
        prefill: settings.prefill,
        seed: settings.seed,
        out: args.out.as_deref(),
        track: None,
    };
    let model = settings.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let weights = settings.weights.as_deref().unwrap_or("auto");
    asked.run(model, weights, policy, as_json)
}
