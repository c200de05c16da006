//! `smartkv calibrate`: learn a strategy's parameters, write its configuration.

use super::bar::Bar;
use super::out_file;
use super::output;
use super::session::{DEFAULT_MODEL, Loaded, ModelArgs, digest};
use crate::assets::{self, Policy, builtin_text, resolve_text};
use crate::config::{Assignment, StrategySpec};
use crate::experiment::{CalibrationRun, calibrate, check_calibratable};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Run a model over a text and let a strategy learn its parameters from the queries, keys and
/// values. The result is a configuration: give its file to --strategy, with the same model.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv calibrate kvtuner --out kvtuner.json
  smartkv calibrate kvtuner --set average_bits=3.25 --text train.txt --tokens 8192 --out k.json
  smartkv eval --strategy kvtuner.json

Without --out the configuration goes to standard output. What is kept in memory meanwhile grows with
--tokens: two f16 numbers for every channel of every kv head and layer. Do not calibrate on what you
evaluate on: `smartkv eval` says so when the texts are the same.")]
pub(super) struct CalibrateArgs {
    /// A strategy that can be calibrated, a shipped configuration of it, or a YAML file.
    #[arg(value_name = "STRATEGY")]
    strategy: String,
    #[command(flatten)]
    model: ModelArgs,
    /// Text to learn from: `builtin` (this program's manual), `essays` or a file.
    #[arg(long, value_name = "TEXT", default_value = "builtin")]
    text: String,
    /// Tokens to read.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    tokens: usize,
    /// Tokens of a window of the text, each read from an empty cache.
    #[arg(long, value_name = "N", default_value_t = 512)]
    window_tokens: usize,
    /// Queries sampled in each window.
    #[arg(long, value_name = "N", default_value_t = 32)]
    queries: usize,
    /// Seed of windows and queries.
    #[arg(long, value_name = "N", env = "SMARTKV_SEED", default_value_t = 0)]
    seed: u64,
    /// Change one field of the strategy, such as `average_bits=3.25`; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    sets: Vec<Assignment>,
    /// Write the configuration to this file, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &CalibrateArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    for (option, value) in [
        ("tokens", args.tokens),
        ("window-tokens", args.window_tokens),
        ("queries", args.queries),
    ] {
        anyhow::ensure!(value > 0, "--{option} 0: expected at least 1");
    }
    let strategy = StrategySpec::resolve(&args.strategy, &args.sets)?;
    check_calibratable(&strategy)?;
    if let Some(path) = &args.out {
        out_file::check(path)?;
    }
    let name = args.model.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let weights = args.model.weights.as_deref().unwrap_or("auto");
    let loaded = Loaded::load(name, weights, policy)?;
    let text = match args.text.as_str() {
        "builtin" => builtin_text(),
        other => resolve_text(other, policy, &assets::Progress::Stderr)?,
    };
    let bar = Bar::default();
    let run = CalibrationRun {
        model: &loaded.model,
        model_name: &loaded.name,
        model_sha256: digest(&loaded.path)?,
        text: &text,
        strategy: &strategy,
        tokens: args.tokens,
        window_tokens: args.window_tokens,
        queries: args.queries,
        seed: args.seed,
    };
    let config = calibrate(&run, &bar)?;
    bar.finish();
    let file = one_field_a_line(&config)?;
    if let Some(path) = &args.out {
        out_file::write_text(path, &file)?;
        if !as_json {
            return output::text(&summary(args, path, &config));
        }
    }
    output::text(&file)
}

/// JSON with a line for each field: thousands of numbers, one to a line, are for nobody to read.
fn one_field_a_line(config: &Value) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for (field, value) in config.as_object().into_iter().flatten() {
        let (field, value) = (Value::from(field.as_str()), serde_json::to_string(value)?);
        lines.push(format!("  {field}: {value}"));
    }
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

/// What was learnt, and how to use it.
fn summary(args: &CalibrateArgs, path: &std::path::Path, config: &Value) -> String {
    const WIDTH: usize = 90;
    let mut text = String::new();
    for (field, value) in config.as_object().into_iter().flatten() {
        let mut value = value.to_string();
        if let Some((end, _)) = value.char_indices().nth(WIDTH) {
            value.truncate(end);
            value.push('…');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{field:>14}  {value}");
    }
    let model = args.model.model.as_deref();
    let model = model.map_or_else(String::new, |model| format!(" --model {model}"));
    let path = path.display();
    let _ = writeln!(text, "\nTry it: smartkv eval --strategy {path}{model}");
    text
}
