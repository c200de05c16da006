//! What every command that runs a model needs: threads, the model, a cache.

use crate::assets::{Policy, Progress, resolve_model, sha256_file, sha256_model};
use crate::config::{Assignment, StrategySpec};
use crate::experiment::Environment;
use crate::progress;
use anyhow::Context as _;
use smartkv_core::{Budget, Cache, Prefill};
use smartkv_host::{LoadOptions, Model, WeightMode};
use std::path::{Path, PathBuf};

pub(super) use crate::experiment::DEFAULT_MODEL;

/// Options of every command that runs a model.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ModelArgs {
    /// A name of `smartkv models`, a `.gguf` file, a folder with safetensors, or `owner/name` on
    /// the Hugging Face hub [default: smollm2-135m-instruct].
    #[arg(long, value_name = "MODEL", env = "SMARTKV_MODEL")]
    pub(super) model: Option<String>,
    /// How weights are held: auto (as stored, which is fastest), quantized (the same), f32 (exact),
    /// f16 or bf16 [default: auto].
    #[arg(long, value_name = "MODE", env = "SMARTKV_WEIGHTS")]
    pub(super) weights: Option<String>,
}

/// Options of every command that builds a cache.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StrategyArgs {
    /// A strategy or shipped configuration (see `smartkv strategies`), or a YAML file
    /// [default: smartkv].
    #[arg(short, long, value_name = "STRATEGY", env = "SMARTKV_STRATEGY")]
    pub(super) strategy: Option<String>,
    /// Limit on the cache's live bytes, metadata included: a share of f16 such as 0.5, or 64MiB,
    /// 512tok, 4bit.
    #[arg(
        short,
        long,
        value_name = "BUDGET",
        env = "SMARTKV_BUDGET",
        allow_hyphen_values = true
    )]
    pub(super) budget: Option<String>,
    /// Change one field of the strategy, such as tracker.decay=0.95; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub(super) sets: Vec<Assignment>,
}

impl StrategyArgs {
    /// The strategy, by default SmartKV, and the budget it is given.
    pub(super) fn resolve(&self) -> anyhow::Result<(StrategySpec, Option<Budget>)> {
        let name = self.strategy.as_deref().unwrap_or("smartkv");
        let strategy = StrategySpec::resolve(name, &self.sets)?;
        let budget = self.budget.as_deref().map(str::parse).transpose()?;
        Ok((strategy, budget))
    }
}

/// When a prompt is compressed, as written on the command line.
pub(super) fn parse_prefill(text: &str) -> Result<Prefill, String> {
    match text {
        "exact" => Ok(Prefill::Exact),
        "quantized" => Ok(Prefill::Quantized),
        _ => Err("expected exact or quantized".to_string()),
    }
}

/// The same, as tables write it.
pub(super) fn prefill_name(prefill: Prefill) -> &'static str {
    match prefill {
        Prefill::Exact => "exact",
        Prefill::Quantized => "quantized",
    }
}

/// Sizes the one thread pool before anything uses it.
pub(super) fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    let Some(threads) = threads else {
        return Ok(());
    };
    anyhow::ensure!(threads > 0, "--threads 0: expected at least 1");
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .context("thread pool")
}

/// A loaded model and where it came from.
pub(super) struct Loaded {
    pub(super) model: Model,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) weights: WeightMode,
}

impl Loaded {
    pub(super) fn load(name: &str, weights: &str, policy: &Policy) -> anyhow::Result<Self> {
        let weights: WeightMode = weights.parse()?;
        let path = resolve_model(name, policy, &Progress::Stderr)?;
        let spinner = progress::spinner(&format!("loading {name}"));
        let model = Model::load(&path, LoadOptions { weights })?;
        spinner.finish_and_clear();
        Ok(Self {
            model,
            name: name.to_string(),
            path,
            weights,
        })
    }

    /// What a record says it was measured with.
    pub(super) fn environment(&self) -> anyhow::Result<Environment> {
        let is_file = self.path.is_file();
        let digest = is_file.then(|| sha256_file(&self.path)).transpose()?;
        Ok(Environment::new(self.weights, digest))
    }
}

/// Refuses a strategy that was calibrated for another model than the one at `path`.
pub(super) fn check_calibration(
    spec: &StrategySpec,
    model: &str,
    path: &Path,
) -> anyhow::Result<()> {
    let Some(origin) = &spec.calibration else {
        return Ok(());
    };
    Ok(origin.check(&spec.name, model, &digest(path)?)?)
}

/// What identifies the model at `path`.
pub(super) fn digest(path: &Path) -> anyhow::Result<String> {
    sha256_model(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Everything a cache is built from.
#[derive(Debug, Clone)]
pub(super) struct CacheSpec {
    pub(super) strategy: StrategySpec,
    pub(super) budget: Option<Budget>,
    pub(super) prefill: Prefill,
    pub(super) seed: u64,
}

impl CacheSpec {
    /// The empty cache of one sequence.
    pub(super) fn build(&self, model: &Model) -> anyhow::Result<Cache> {
        let builder = Cache::builder(model.cache_shape(1)?, self.strategy.strategy.clone())
            .rope(model.ropes())
            .budget(self.budget)
            .prefill(self.prefill)
            .seed(self.seed)
            .kernels(smartkv_kernels::best());
        Ok(builder.build()?)
    }
}
