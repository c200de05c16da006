//! Runs a model over text for a strategy that learns its parameters.

use crate::assets::Text;
use crate::config::{CalibrationOrigin, StrategySpec};
use anyhow::Context as _;
use serde_json::Value;
use smartkv_core::calibration::draw_windows;
use smartkv_core::registry::{self, Kind};
use smartkv_core::{Cache, Sampler, Samples};
use smartkv_eval::{EvalError, Progress};
use smartkv_host::{LogitsFor, Model};

/// Tokens per forward pass.
const CHUNK: usize = 256;

/// What a calibration runs on.
#[derive(Debug)]
pub struct CalibrationRun<'a> {
    /// The loaded model.
    pub model: &'a Model,
    /// What the user called it.
    pub model_name: &'a str,
    /// Its digest.
    pub model_sha256: String,
    /// The text to learn from.
    pub text: &'a Text,
    /// The strategy to calibrate.
    pub strategy: &'a StrategySpec,
    /// Tokens to read, in windows.
    pub tokens: usize,
    /// Tokens of a window, at most.
    pub window_tokens: usize,
    /// Queries sampled in each window.
    pub queries: usize,
    /// Seed of windows and queries.
    pub seed: u64,
}

/// The configuration of the strategy with what it learnt, and under `calibration` what from: it can
/// be given to `--strategy`.
///
/// # Errors
/// A strategy that learns nothing, a text or context too short for the windows, and whatever model
/// and strategy refuse.
pub fn calibrate(run: &CalibrationRun<'_>, progress: &dyn Progress) -> anyhow::Result<Value> {
    let calibration = run.strategy.strategy.calibration();
    let calibration = calibration.with_context(|| nothing_to_learn(&run.strategy.name))?;
    let (samples, windows) = sample(run, progress)?;
    progress.message("fitting");
    let learnt = calibration.calibrate(&samples)?;
    let mut config = run.strategy.config.clone();
    for (field, value) in learnt.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    // What is written must be usable.
    registry::strategy(&config)?.layout(&samples.shape)?;
    let origin = CalibrationOrigin {
        model: run.model_name.to_string(),
        model_sha256: run.model_sha256.clone(),
        text: run.text.source.clone(),
        text_sha256: run.text.sha256.clone(),
        windows,
        tokens: (0..windows).map(|window| samples.tokens(window)).sum(),
        queries: run.queries,
        seed: run.seed,
        smartkv: env!("CARGO_PKG_VERSION").to_string(),
    };
    config["calibration"] = serde_json::to_value(origin)?;
    Ok(config)
}

/// What to say of a strategy without a calibration; knows those that have one.
fn nothing_to_learn(name: &str) -> String {
    let learns = |entry: &&registry::Entry| {
        let strategy = (entry.example)()
            .ok()
            .map(|config| registry::strategy(&config));
        strategy.is_some_and(|built| built.is_ok_and(|s| s.calibration().is_some()))
    };
    let known = registry::entries(Kind::Strategy).into_iter().filter(learns);
    let known: Vec<&str> = known.map(|entry| entry.name).collect();
    format!(
        "`{name}` has nothing to calibrate: strategies that have are {}",
        known.join(", ")
    )
}

/// Refuses a strategy that learns nothing, before a model is loaded for it.
///
/// # Errors
/// The names of those that learn.
pub fn check_calibratable(strategy: &StrategySpec) -> anyhow::Result<()> {
    let learns = strategy.strategy.calibration().is_some();
    anyhow::ensure!(learns, nothing_to_learn(&strategy.name));
    Ok(())
}

/// Runs windows of the text and keeps their keys, values and some queries.
fn sample(run: &CalibrationRun<'_>, progress: &dyn Progress) -> anyhow::Result<(Samples, usize)> {
    let model = run.model;
    let prefix: Vec<u32> = model.tokenizer().bos().into_iter().collect();
    let length = run.window_tokens.min(run.tokens);
    let limit = model.description().context_length;
    let needed = length + prefix.len();
    if needed > limit {
        let what = "a calibration window".to_string();
        return Err(EvalError::ContextTooLong {
            what,
            needed,
            limit,
        }
        .into());
    }
    let tokens = model.tokenizer().encode(&run.text.text, false)?;
    let windows = run.tokens / length;
    let starts = draw_windows(tokens.len(), windows, length, run.seed).with_context(|| {
        format!(
            "the text `{}` has {} tokens: {windows} windows need {}; give a longer text or fewer \
             --tokens",
            run.text.source,
            tokens.len(),
            windows * length
        )
    })?;
    let shape = model.cache_shape(1)?;
    let f16 = StrategySpec::resolve("f16", &[])?.strategy;
    let mut cache = Cache::builder(shape, f16)
        .kernels(smartkv_kernels::best())
        .build()?;
    let mut sampler = Sampler::new(&mut cache, model.ropes(), run.queries, run.seed)?;
    progress.begin(windows * needed);
    progress.message("sampling");
    for start in starts {
        let window = [&prefix, &tokens[start..start + length]].concat();
        sampler.begin(window.len());
        model.prefill(&[&window], &mut sampler, CHUNK, LogitsFor::None)?;
        progress.advance(window.len());
    }
    Ok((sampler.finish(), windows))
}
