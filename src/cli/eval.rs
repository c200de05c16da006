//! `smartkv eval`: bytes, perplexity, divergence, needles and speed of one strategy.

mod table;

use super::ask::{Asked, TaskArgs};
use super::bar::Bar;
use super::out_file;
use super::output;
use super::session::{self, Loaded, ModelArgs, StrategyArgs, check_calibration, parse_prefill};
use super::track::{self, TrackArgs};
use crate::assets::{self, Policy, resolve_text};
use crate::config::{StrategySpec, read_yaml};
use crate::experiment::{
    CacheRecord, Candidate, DEFAULT_MODEL, DEFAULT_TEXT, EvalFile, EvalSettings, Evaluation,
    NeedleFile, WindowsFile, evaluate,
};
use crate::track::{Printed, Run};
use anyhow::Context as _;
use serde_json::Value;
use smartkv_core::{Memory, Prefill};
use smartkv_eval::{Protocol, WindowCount};
use std::path::{Path, PathBuf};

/// Measure one strategy against the f16 cache, on the same model, text and tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv eval --strategy smartkv --budget 0.5
  smartkv eval --strategy uniform --set key_bits=8 --set value_bits=4
  smartkv eval --strategy configs/strategies/k8v4.yaml --text notes.txt --windows 16
  smartkv eval --strategy smartkv --budget 0.25 --quick --json > result.json
  smartkv eval --strategy smartkv --budget 0.25 --task assoc_recall,ruler --context 4096 --limit 10
  smartkv eval --strategy kivi --no-needle --text wikitext-2 --windows all --prefill-tokens 1024 \
      --score-tokens 1023
  smartkv eval --strategy smartkv --budget 0.5 --wandb --wandb-project kv-cache

Protocol: each window starts from an empty cache, prefills a prompt, and then teacher-forces the
next tokens through the compressed cache, one at a time with `decode`, N at a time with `chunked:N`
(faster; optimistic when N exceeds the strategy's full-precision window). Only those are scored.
The f16 cache runs beside it. Options may also stand in a file (--config), in the same words.")]
pub(super) struct EvalArgs {
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Read options from a YAML file; flags and environment win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Text to measure on: `essays`, `wikitext-2` or a file [default: essays].
    #[arg(long, value_name = "TEXT", env = "SMARTKV_TEXT")]
    text: Option<String>,
    /// `decode` or `chunked:N` [default: decode].
    #[arg(long, value_name = "PROTOCOL", env = "SMARTKV_PROTOCOL", value_parser = parse_protocol)]
    protocol: Option<Protocol>,
    /// Compress prompts at their end (exact), or chunk by chunk (quantized) [default: exact].
    #[arg(long, value_name = "WHEN", value_parser = parse_prefill)]
    prefill: Option<Prefill>,
    /// Windows of the text, or `all`: end to end instead of spread over it [default: 6].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    windows: Option<WindowCount>,
    /// Tokens prefilled in each window, not scored [default: 512].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    prefill_tokens: Option<usize>,
    /// Tokens scored in each window [default: 256].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    score_tokens: Option<usize>,
    /// Draw every window from its share of the text with the seed, instead of at equal distances.
    #[arg(long)]
    seeded: bool,
    /// Prompt lengths of the needle grid in tokens [default: 512,1024].
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    needle_lengths: Option<Vec<usize>>,
    /// Depths of the needle in percent [default: 10,50,90].
    #[arg(long, value_name = "P,P", value_delimiter = ',')]
    needle_depths: Option<Vec<u32>>,
    /// Leave the needle grid out.
    #[arg(long, conflicts_with_all = ["needle_lengths", "needle_depths"])]
    no_needle: bool,
    /// Seed of everything random [default: 0].
    #[arg(
        long,
        value_name = "N",
        env = "SMARTKV_SEED",
        allow_negative_numbers = true
    )]
    seed: Option<u64>,
    /// Also compare the attention outputs of every layer with f16's; runs each window once more.
    #[arg(long)]
    attention_error: bool,
    #[command(flatten)]
    ask: TaskArgs,
    #[command(flatten)]
    track: TrackArgs,
    /// A first look: 2 short windows and 2 needles of 512 tokens.
    #[arg(long)]
    quick: bool,
    /// Also write the record to this file, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// An argument's error has no hint lines, so the known protocols go into the message.
pub(super) fn parse_protocol(text: &str) -> Result<Protocol, String> {
    text.parse::<Protocol>().map_err(|error| {
        let hints = error.hints();
        std::iter::once(error.to_string())
            .chain(hints)
            .collect::<Vec<_>>()
            .join("; ")
    })
}

pub(super) fn run(args: EvalArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let file = match &args.config {
        Some(path) => read_yaml(path)?,
        None => EvalFile::default(),
    };
    let policy = &args.ask.policy(policy);
    let settings = settings(&args, &file)?;
    if args.ask.wanted(&file.ask)? {
        return ask(&args, &file, settings, policy, as_json);
    }
    if let Some(set) = args.strategy.sets.iter().find(|set| set.is_for_task()) {
        anyhow::bail!("--set {set} is for a task: expected --task TASK too");
    }
    if let Some(path) = &args.out {
        out_file::check(path)?;
    }
    let pick = |flag: Option<String>, file: &Option<String>, default: &str| {
        flag.or_else(|| file.clone())
            .unwrap_or_else(|| default.to_string())
    };
    let name = pick(args.model.model, &file.model, DEFAULT_MODEL);
    let weights = pick(args.model.weights, &file.weights, "auto");
    let text = pick(args.text, &file.text, DEFAULT_TEXT);
    let info = || track::describe(&settings, &name, &weights, &text);
    let tracked = args.track.start(info);
    let names = [name.as_str(), &weights, &text];
    let done = measure(
        &settings,
        names,
        args.out.as_deref(),
        policy,
        as_json,
        &tracked,
    );
    track::conclude(tracked, done)
}

/// Windows and needles of one strategy; everything but model and text is settled.
fn measure(
    settings: &EvalSettings,
    [name, weights, text]: [&str; 3],
    out: Option<&Path>,
    policy: &Policy,
    as_json: bool,
    tracked: &Run,
) -> anyhow::Result<()> {
    let loaded = Loaded::load(name, weights, policy)?;
    check_calibration(&settings.strategy, name, &loaded.path)?;
    let text = resolve_text(text, policy, &assets::Progress::Stderr)?;

    let environment = loaded.environment()?;
    if let Some(origin) = &settings.strategy.calibration
        && origin.text_sha256 == text.sha256
    {
        eprintln!(
            "warning: `{}` was calibrated on `{}`, which is what it is measured on",
            settings.strategy.name, text.source
        );
    }
    let bar = Bar::default();
    let folder = policy.cache_dir.join("runs");
    let digest = session::digest(&loaded.path)?;
    let run = Evaluation {
        model: &loaded.model,
        model_name: &loaded.name,
        text: &text,
        settings,
        environment,
        model_digest: &digest,
        journals: Some(&folder),
    };
    let (record, journals) = evaluate(run, &bar)?;
    bar.finish();
    tracked.report(&record);
    let table = table::render(&record);
    tracked.output(&table, Printed::Out);
    if let Some(path) = out {
        out_file::write(path, &record)?;
    }
    if as_json {
        output::json(&record)?;
    } else {
        output::text(&table)?;
    }
    journals.finish(&record);
    Ok(())
}

/// Tasks in the place of windows and needles.
fn ask(
    args: &EvalArgs,
    file: &EvalFile,
    settings: EvalSettings,
    policy: &Policy,
    as_json: bool,
) -> anyhow::Result<()> {
    TaskArgs::refuse(&[
        ("--windows", args.windows.is_some()),
        ("--prefill-tokens", args.prefill_tokens.is_some()),
        ("--score-tokens", args.score_tokens.is_some()),
        ("--seeded", args.seeded),
        ("--needle-lengths", args.needle_lengths.is_some()),
        ("--needle-depths", args.needle_depths.is_some()),
        ("--no-needle", args.no_needle),
        ("--attention-error", args.attention_error),
        ("--quick", args.quick),
    ])?;
    let candidates = [Candidate {
        name: settings.strategy.name.clone(),
        strategy: settings.strategy,
        budget: settings.budget,
    }];
    let pick = |flag: &Option<String>, file: &Option<String>, default: &str| {
        let given = flag.as_ref().or(file.as_ref());
        given.map_or_else(|| default.to_string(), Clone::clone)
    };
    let asked = Asked {
        args: &args.ask,
        file: &file.ask,
        sets: &args.strategy.sets,
        candidates: &candidates,
        text: &pick(&args.text, &file.text, DEFAULT_TEXT),
        prefill: settings.prefill,
        seed: settings.seed,
        out: args.out.as_deref(),
        track: Some(&args.track),
    };
    let model = pick(&args.model.model, &file.model, DEFAULT_MODEL);
    let weights = pick(&args.model.weights, &file.weights, "auto");
    asked.run(&model, &weights, policy, as_json)
}

fn settings(args: &EvalArgs, file: &EvalFile) -> anyhow::Result<EvalSettings> {
    let sets: Vec<_> = args.strategy.sets.clone();
    let sets: Vec<_> = sets.into_iter().filter(|set| !set.is_for_task()).collect();
    let sets = sets.as_slice();
    let strategy = match (&args.strategy.strategy, &args.config) {
        (Some(name), _) => StrategySpec::resolve(name, sets)?,
        (None, Some(path)) if file.strategy.is_some() => file
            .strategy(sets)
            .with_context(|| format!("{}: `strategy` cannot be used", path.display()))?,
        (None, _) => file.strategy(sets)?,
    };
    over(args, file)?.settings(strategy)
}

/// What the file says, with what flags say over it; `--quick` fills in what both leave out.
fn over(args: &EvalArgs, file: &EvalFile) -> anyhow::Result<EvalFile> {
    let budget = match args.strategy.budget.as_deref() {
        Some(text) => Some(text.parse()?),
        None => file.budget,
    };
    let quick = |short: &[usize]| args.quick.then(|| short.to_vec());
    let wanted = args.needle_lengths.is_some() || args.needle_depths.is_some();
    let needle = NeedleFile {
        enabled: match (args.no_needle, wanted) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            _ => file.needle.enabled,
        },
        lengths: (args.needle_lengths.clone())
            .or_else(|| file.needle.lengths.clone())
            .or_else(|| quick(&[512])),
        depths: (args.needle_depths.clone())
            .or_else(|| file.needle.depths.clone())
            .or_else(|| args.quick.then(|| vec![25, 75])),
        samples: file.needle.samples,
    };
    Ok(EvalFile {
        budget,
        protocol: args.protocol.or(file.protocol),
        prefill: args.prefill.or(file.prefill),
        windows: WindowsFile {
            count: (args.windows.or(file.windows.count)).or(args.quick.then_some(2.into())),
            prefill: args.prefill_tokens.or(file.windows.prefill),
            score: (args.score_tokens.or(file.windows.score)).or(args.quick.then_some(64)),
            seeded: args.seeded.then_some(true).or(file.windows.seeded),
        },
        attention_error: args
            .attention_error
            .then_some(true)
            .or(file.attention_error),
        needle,
        seed: args.seed.or(file.seed),
        ..file.clone()
    })
}

/// What a cache holds, as in every record.
pub(super) fn cache_json(memory: &Memory) -> Value {
    serde_json::to_value(CacheRecord::new(memory, None)).unwrap_or_default()
}
