//! `smartkv bench`: speed and memory of strategies, side by side. See `docs/benchmarks.md`.

mod bandwidth;
mod error;
mod machine;
mod others;
mod record;
mod rounds;
mod settings;
mod spread;
mod summary;
mod table;
mod turn;
mod weights;

pub(super) use error::BenchError;
pub(super) use settings::split;

use super::bar::Bar;
use super::session::{DEFAULT_MODEL, check_calibration, parse_prefill};
use super::{out_file, output};
use crate::assets::{self, Policy, resolve_model, resolve_text};
use crate::config::Assignment;
use rounds::Subject;
use settings::Settings;
use smartkv_core::Prefill;
use smartkv_host::WeightMode;
use std::path::PathBuf;

/// Measure the speed and memory of strategies side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv bench --quick
  smartkv bench --strategy f16 --strategy smartkv@0.25 --contexts 1024,8000 --out bench.json
  smartkv bench --weights auto,quantized --strategy f16,uniform-4 --set uniform.window=32
  smartkv bench --strategy smartkv@0.25 --contexts 8000 --rounds 1   peak memory of one strategy

Protocol: a prompt is prefilled for real to every context, tokens of the text are then decoded one
by one and each is timed. Strategies take turns within a round, in alternating order, so that a
disturbed machine disturbs all alike; ratios are taken within a round and their median is reported.
The first strategy is what the others are compared with. The same run measures how fast this
machine reads memory. docs/benchmarks.md says what every column means.")]
pub(super) struct BenchArgs {
    /// A strategy, shipped configuration or YAML file, with its budget after `@`; may be repeated
    /// [default: f16, uniform-8, uniform-4, smartkv@0.5, smartkv@0.25].
    #[arg(
        short,
        long = "strategy",
        value_name = "STRATEGY[@BUDGET]",
        value_delimiter = ',',
        env = "SMARTKV_STRATEGY"
    )]
    strategies: Vec<String>,
    /// Change one field of every strategy that has it, such as `group_size=64`; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    sets: Vec<Assignment>,
    /// A name of `smartkv models`, a `.gguf` file, a folder with safetensors, or `owner/name` on
    /// the Hugging Face hub [default: smollm2-135m-instruct].
    #[arg(long, value_name = "MODEL", env = "SMARTKV_MODEL")]
    model: Option<String>,
    /// How weights are held: auto, quantized, f32 or f16; may be repeated [default: auto].
    #[arg(
        long,
        value_name = "MODE",
        value_delimiter = ',',
        env = "SMARTKV_WEIGHTS"
    )]
    weights: Vec<String>,
    /// Text whose tokens are run: `essays` or a file [default: essays].
    #[arg(long, value_name = "TEXT", env = "SMARTKV_TEXT")]
    text: Option<String>,
    /// Tokens in the cache when decoding is measured, ascending [default: 128,1024,4096].
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    contexts: Option<Vec<usize>>,
    /// Tokens of the prompt that prefill and time to first token are measured on [default: 512].
    #[arg(long, value_name = "N")]
    prefill_tokens: Option<usize>,
    /// Tokens decoded and timed at every context [default: 32].
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// Times that everything is measured [default: 3].
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Tokens of a prompt per forward pass.
    #[arg(long, value_name = "N", default_value_t = 512)]
    chunk: usize,
    /// Compress prompts at their end (exact), or chunk by chunk (quantized).
    #[arg(long, value_name = "WHEN", value_parser = parse_prefill, default_value = "exact")]
    prefill: Prefill,
    /// Seed of everything random.
    #[arg(long, value_name = "N", env = "SMARTKV_SEED", default_value_t = 0)]
    seed: u64,
    /// A first look: 3 strategies, contexts 64 and 256, one round of 8 tokens.
    #[arg(long)]
    quick: bool,
    /// Also write the record to this file, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &BenchArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::new(args)?;
    if let Some(path) = &args.out {
        out_file::check(path)?;
    }
    let modes = if args.weights.is_empty() {
        vec![WeightMode::Auto]
    } else {
        let modes = args.weights.iter().map(|mode| mode.parse());
        modes.collect::<Result<_, _>>()?
    };
    let name = args.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let path = resolve_model(name, policy, &assets::Progress::Stderr)?;
    for entry in &settings.entries {
        check_calibration(&entry.spec.strategy, name, &path)?;
    }
    let text = args.text.as_deref().unwrap_or("essays");
    let text = resolve_text(text, policy, &assets::Progress::Stderr)?;
    let environment = machine::environment(&path)?;

    let bar = Bar::default();
    let subject = Subject {
        path: &path,
        modes: &modes,
        text: &text,
        settings: &settings,
    };
    let measured = rounds::measure(&subject, &bar)?;
    bar.finish();
    let record = summary::record(name, &subject, environment, measured);
    if let Some(path) = &args.out {
        out_file::write(path, &record)?;
    }
    if as_json {
        output::json(&record)
    } else {
        output::text(&table::render(&record))
    }
}
