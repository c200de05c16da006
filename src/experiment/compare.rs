//! Several strategies on the same tokens, at several budgets: one table.

use super::record::Environment;
use crate::assets::Text;
use crate::config::StrategySpec;
use serde::Serialize;
use serde_json::Value;
use smartkv_core::{Budget, Cache, MeasuredHook, Prefill};
use smartkv_eval::stats::{Difference, Interval, paired_difference};
use smartkv_eval::{
    Bootstrap, Compared, LockstepOptions, MemorySummary, Perplexity, Progress, Protocol,
    WindowFidelity, Windows,
};
use smartkv_host::Model;

/// Version of the record.
const SCHEMA: &str = "smartkv.compare/1";

/// One strategy at one budget.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Name in the table.
    pub name: String,
    /// The strategy.
    pub strategy: StrategySpec,
    /// Its budget; its own default when `None`.
    pub budget: Option<Budget>,
}

/// What a comparison runs on.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The loaded model.
    pub model: &'a Model,
    /// What the user called it.
    pub model_name: &'a str,
    /// The text to measure on.
    pub text: &'a Text,
    /// What is compared.
    pub candidates: &'a [Candidate],
    /// Index of the candidate that all others are held against, if any.
    pub against: Option<usize>,
    /// How scored tokens pass through the caches.
    pub protocol: Protocol,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// Windows of the text.
    pub windows: Windows,
    /// The seed that windows are drawn with; at equal distances if absent.
    pub window_seed: Option<u64>,
    /// Caches that run at once; each holds its own keys and values.
    pub batch: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// What it is measured with.
    pub environment: Environment,
}

/// A comparison: what `smartkv compare --json` prints.
#[derive(Debug, Serialize)]
pub struct CompareRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the user called the model.
    pub model: String,
    /// Perplexity with the f16 cache.
    pub reference: Perplexity,
    /// One row a candidate, as given.
    pub rows: Vec<Row>,
    /// How scored tokens pass through the caches.
    pub protocol: Protocol,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// Windows of the text.
    pub windows: Windows,
    /// The seed that windows were drawn with; absent where they stand at equal distances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seed: Option<u64>,
    /// What was read.
    pub text: String,
    /// SHA-256 of the text.
    pub text_sha256: String,
    /// Seed of everything random.
    pub seed: u64,
    /// What it was measured with.
    pub environment: Environment,
}

/// One candidate.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name in the table.
    pub name: String,
    /// Its complete configuration.
    pub config: Value,
    /// The budget in force, `null` if the strategy has none.
    pub budget: Option<Budget>,
    /// What was measured; `null` if it failed.
    pub result: Option<RowResult>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was measured of one candidate. Intervals are 95%, from a paired bootstrap over windows.
#[derive(Debug, Serialize)]
pub struct RowResult {
    /// What the cache held while tokens were scored; `null` of a simulated strategy, which saves
    /// nothing.
    pub memory: Option<MemorySummary>,
    /// Perplexity.
    pub perplexity: f64,
    /// Divided by that of f16.
    pub perplexity_ratio: f64,
    /// Its interval.
    pub perplexity_ratio_interval: Option<Interval>,
    /// Mean `KL(f16 || strategy)` in nats.
    pub kl_mean: f64,
    /// Its interval.
    pub kl_mean_interval: Option<Interval>,
    /// 99% quantile over tokens.
    pub kl_p99: f64,
    /// Share of tokens with the same first choice.
    pub top1_agreement: f64,
    /// Its interval.
    pub top1_agreement_interval: Option<Interval>,
    /// Mean KL minus that of the candidate all are held against, paired by window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl_difference: Option<Difference>,
    /// Whether no other row holds fewer bytes on average at a smaller KL.
    pub front: bool,
    /// Window by window.
    pub windows: Vec<WindowFidelity>,
}

/// Measures all candidates. Equal inputs give equal records on any number of threads.
///
/// # Errors
/// A text or window that does not fit, and whatever the model refuses. A candidate that cannot be
/// built or fails on the way is a row with an error.
pub fn compare(run: &Comparison<'_>, progress: &dyn Progress) -> anyhow::Result<CompareRecord> {
    let tokens = run.model.tokenizer().encode(&run.text.text, false)?;
    let bootstrap = Bootstrap {
        seed: run.seed,
        ..Bootstrap::default()
    };
    let options = LockstepOptions {
        protocol: run.protocol,
        windows: run.windows,
        window_seed: run.window_seed,
        prefix: run.model.tokenizer().bos().into_iter().collect(),
        prefill_chunk: 256,
        keep_tokens: false,
        bootstrap,
    };
    let mut reference = None;
    let mut measured = Vec::with_capacity(run.candidates.len());
    for part in run.candidates.chunks(run.batch.max(1)) {
        let (perplexity, results) = together(run, &tokens, &options, part, progress)?;
        reference = Some(perplexity);
        measured.extend(results);
    }
    let reference = reference.ok_or_else(|| anyhow::anyhow!("nothing to compare"))?;

    let windows = |result: &Result<Compared, String>| -> Option<Vec<f64>> {
        let compared = result.as_ref().ok()?;
        Some(compared.windows.iter().map(|w| w.mean_kl_nats).collect())
    };
    let against = run.against.and_then(|index| windows(&measured[index]));
    let simulated = |c: &Candidate| c.strategy.strategy.simulation().is_some();
    let points: Vec<Option<(f64, f64)>> = run
        .candidates
        .iter()
        .zip(&measured)
        .map(|(candidate, result)| point(result).filter(|_| !simulated(candidate)))
        .collect();
    let mut rows = Vec::with_capacity(measured.len());
    for (index, (candidate, result)) in run.candidates.iter().zip(measured).enumerate() {
        let difference = match (&against, windows(&result), run.against) {
            (Some(theirs), Some(ours), Some(base)) if base != index => {
                Some(paired_difference(theirs, &ours, &bootstrap)?)
            }
            _ => None,
        };
        let own = candidate.strategy.strategy.default_budget();
        let (result, error) = match result {
            Ok(compared) => {
                let front = points[index].is_some_and(|own| on_front(own, &points));
                let mut row = row(compared, difference, front);
                if simulated(candidate) {
                    row.memory = None;
                }
                (Some(row), None)
            }
            Err(reason) => (None, Some(reason)),
        };
        rows.push(Row {
            name: candidate.name.clone(),
            config: candidate.strategy.config.clone(),
            budget: candidate.budget.or(own),
            result,
            error,
        });
    }
    Ok(CompareRecord {
        schema: SCHEMA,
        model: run.model_name.to_string(),
        reference,
        rows,
        protocol: run.protocol,
        prefill: run.prefill,
        windows: run.windows,
        window_seed: run.window_seed,
        text: run.text.source.clone(),
        text_sha256: run.text.sha256.clone(),
        seed: run.seed,
        environment: run.environment.clone(),
    })
}

/// Measures some candidates in one batch, beside an f16 cache.
fn together(
    run: &Comparison<'_>,
    tokens: &[u32],
    options: &LockstepOptions,
    candidates: &[Candidate],
    progress: &dyn Progress,
) -> anyhow::Result<(Perplexity, Vec<Result<Compared, String>>)> {
    let shape = run.model.cache_shape(1)?;
    let build = |spec: &StrategySpec, budget| {
        Cache::builder(shape, spec.strategy.clone())
            .rope(run.model.ropes())
            .budget(budget)
            .prefill(run.prefill)
            .seed(run.seed)
            .kernels(smartkv_kernels::best())
            .build()
    };
    let mut reference = build(&StrategySpec::resolve("f16", &[])?, None)?;
    let mut built: Vec<Result<Cache, String>> = candidates
        .iter()
        .map(|c| build(&c.strategy, c.budget).map_err(|error| error.to_string()))
        .collect();
    let mut caches: Vec<&mut dyn MeasuredHook> = vec![&mut reference];
    for cache in built.iter_mut().flatten() {
        caches.push(cache);
    }
    let result = smartkv_eval::compare(run.model, tokens, options, caches, progress)?;
    let mut measured = result.candidates.into_iter();
    let results = built
        .into_iter()
        .map(|cache| cache.and_then(|_| measured.next().unwrap_or(Err("not measured".into()))))
        .collect();
    Ok((result.reference, results))
}

fn row(compared: Compared, kl_difference: Option<Difference>, front: bool) -> RowResult {
    let Compared {
        fidelity,
        memory,
        windows,
    } = compared;
    RowResult {
        memory: Some(memory),
        perplexity: fidelity.perplexity.perplexity,
        perplexity_ratio: fidelity.perplexity_ratio,
        perplexity_ratio_interval: fidelity.perplexity_ratio_interval,
        kl_mean: fidelity.kl_nats.mean,
        kl_mean_interval: fidelity.mean_kl_nats.interval,
        kl_p99: fidelity.kl_nats.p99,
        top1_agreement: fidelity.top1_agreement.mean,
        top1_agreement_interval: fidelity.top1_agreement.interval,
        kl_difference,
        front,
        windows,
    }
}

/// Mean bytes (as a share of f16) and mean KL.
fn point(result: &Result<Compared, String>) -> Option<(f64, f64)> {
    let compared = result.as_ref().ok()?;
    Some((compared.memory.mean_ratio, compared.fidelity.kl_nats.mean))
}

/// Whether no other point is as good in both and better in one.
fn on_front((bytes, kl): (f64, f64), all: &[Option<(f64, f64)>]) -> bool {
    !all.iter()
        .flatten()
        .any(|&(b, k)| b <= bytes && k <= kl && (b < bytes || k < kl))
}
