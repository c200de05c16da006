//! The record of one evaluation: what `--json` prints. See `docs/eval-record.md`.

use crate::config::CalibrationOrigin;
use serde::Serialize;
use serde_json::Value;
use smartkv_core::{Budget, Memory, Prefill};
use smartkv_eval::stats::Interval;
use smartkv_eval::task::Stop;
use smartkv_eval::{LayerError, MemorySummary, Protocol, Rate, Speed, WindowCount, WindowFidelity};
use smartkv_host::WeightMode;

/// Version of the record. A field that changes its meaning or goes raises the number; new fields
/// do not.
pub(super) const SCHEMA: &str = "smartkv.eval/1";

/// One evaluation of one strategy on one model.
#[derive(Debug, Clone, Serialize)]
pub struct EvalRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the user called the strategy.
    pub strategy: String,
    /// Its complete configuration, defaults included.
    pub config: Value,
    /// What it was calibrated with, `null` if it was not.
    pub calibration: Option<CalibrationOrigin>,
    /// The budget in force, `null` if the strategy has none.
    pub budget: Option<Budget>,
    /// What the user called the model.
    pub model: String,
    /// What the cache held.
    pub cache: CacheRecord,
    /// What was lost.
    pub quality: QualityRecord,
    /// How fast it was; not part of what repeats.
    pub speed: SpeedRecord,
    /// Scores of the tasks.
    pub tasks: Tasks,
    /// The f16 cache on the same tokens.
    pub reference: ReferenceRecord,
    /// How it was measured.
    pub protocol: ProtocolRecord,
    /// What it was measured with.
    pub environment: Environment,
    /// Per-sample results.
    pub samples: Samples,
}

/// Live buffers of the cache after the last scored token, in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct CacheRecord {
    /// `packed`: what is stored is what is counted. `simulated`: all rows are kept in f16, and the
    /// bytes below are those of f16; what would compare them with it is `null`.
    pub storage: &'static str,
    /// What a simulated strategy says it would hold; a claim. `null` where rows are packed.
    pub logical_bytes: Option<u64>,
    /// Tokens seen.
    pub tokens: u64,
    /// All live bytes.
    pub live_bytes: u64,
    /// K and V of the same tokens in f16.
    pub f16_bytes: u64,
    /// `live_bytes / f16_bytes`; `null` where simulated, and so are the next two.
    pub ratio: Option<f64>,
    /// Largest ratio after any scored step.
    pub max_ratio: Option<f64>,
    /// `live_bytes / tokens`.
    pub bytes_per_token: Option<f64>,
    /// Packed codes.
    pub payload_bytes: u64,
    /// Scales, zero points, positions.
    pub metadata_bytes: u64,
    /// Full-precision rows.
    pub window_bytes: u64,
    /// Scores and statistics of the strategy.
    pub policy_bytes: u64,
    /// Highest live bytes at any time; with exact prefill that is the prompt in f16.
    pub peak_bytes: u64,
    /// Bytes allocated for the same buffers.
    pub allocated_bytes: u64,
}

impl CacheRecord {
    /// The record of a cache as it is, and over the steps of a measurement.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
    pub fn new(memory: &Memory, summary: Option<&MemorySummary>) -> Self {
        let packed = memory.logical_bytes.is_none();
        let compared = |value: f64| packed.then_some(value);
        Self {
            storage: if packed { "packed" } else { "simulated" },
            logical_bytes: memory.logical_bytes,
            tokens: memory.tokens,
            live_bytes: memory.live_bytes,
            f16_bytes: memory.f16_bytes,
            ratio: compared(memory.ratio()),
            max_ratio: summary.and_then(|s| compared(s.max_ratio)),
            bytes_per_token: compared(memory.live_bytes as f64 / memory.tokens.max(1) as f64),
            payload_bytes: memory.payload_bytes,
            metadata_bytes: memory.metadata_bytes,
            window_bytes: memory.window_bytes,
            policy_bytes: memory.policy_bytes,
            peak_bytes: summary.map_or(memory.peak_bytes, |s| s.peak_bytes.max(memory.peak_bytes)),
            allocated_bytes: memory.allocated_bytes,
        }
    }

    /// Whether the bytes are those of f16 in the place of what the strategy would hold.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.logical_bytes.is_some()
    }
}

/// Predictions against the f16 cache on the same tokens. Intervals are 95%, from a paired
/// bootstrap over windows; `null` with a single window.
#[derive(Debug, Clone, Serialize)]
pub struct QualityRecord {
    /// Perplexity with the strategy.
    pub perplexity: f64,
    /// Perplexity with the f16 cache.
    pub perplexity_f16: f64,
    /// Their ratio.
    pub perplexity_ratio: f64,
    /// Interval of the ratio.
    pub perplexity_ratio_interval: Option<Interval>,
    /// Mean `KL(f16 || strategy)` in nats.
    pub kl_mean: f64,
    /// Interval of the mean.
    pub kl_mean_interval: Option<Interval>,
    /// Median over tokens.
    pub kl_median: f64,
    /// 95% quantile over tokens.
    pub kl_p95: f64,
    /// 99% quantile over tokens.
    pub kl_p99: f64,
    /// Largest of any token.
    pub kl_max: f64,
    /// Share of tokens with the same first choice.
    pub top1_agreement: f64,
    /// Interval of that share.
    pub top1_agreement_interval: Option<Interval>,
    /// Mean share of the five most likely tokens that both have.
    pub top5_overlap: f64,
    /// Agreement where f16 gives its first choice more than one half.
    pub confident_top1_agreement: Option<f64>,
    /// Tokens scored.
    pub tokens: usize,
    /// Windows they are in.
    pub windows: usize,
    /// Attention outputs against f16's, layer by layer; absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<LayerError>>,
}

/// Medians over windows.
#[derive(Debug, Clone, Serialize)]
pub struct SpeedRecord {
    /// Prompt tokens per second.
    pub prefill_tokens_per_s: Option<f64>,
    /// Scored tokens per second, one forward each under the `decode` protocol.
    pub decode_tokens_per_s: Option<f64>,
    /// Slowest, fastest and number of windows.
    pub prefill: Option<Rate>,
    /// Slowest, fastest and number of windows.
    pub decode: Option<Rate>,
}

impl From<Speed> for SpeedRecord {
    fn from(speed: Speed) -> Self {
        let median = |rate: Option<Rate>| rate.map(|rate| rate.median_tokens_per_second);
        Self {
            prefill_tokens_per_s: median(speed.prefill),
            decode_tokens_per_s: median(speed.decode),
            prefill: speed.prefill,
            decode: speed.decode,
        }
    }
}

/// Scores by task.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tasks {
    /// Needle in a haystack; absent if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needle: Option<NeedleRecord>,
}

/// Needle in a haystack.
#[derive(Debug, Clone, Serialize)]
pub struct NeedleRecord {
    /// Share of needles found.
    pub accuracy: f64,
    /// 95% Wilson interval.
    pub accuracy_interval: Interval,
    /// Needles found.
    pub correct: usize,
    /// Prompts.
    pub n: usize,
    /// Mean log-probability of the right digits, teacher-forced, in nats per token.
    pub gold_log_prob_per_token: Option<f64>,
    /// `length × depth` to share found.
    pub cells: Vec<NeedleCellRecord>,
}

/// One length and depth.
#[derive(Debug, Clone, Serialize)]
pub struct NeedleCellRecord {
    /// Prompt length in tokens.
    pub length_tokens: usize,
    /// Depth of the needle in percent.
    pub depth_percent: u32,
    /// Share of needles found.
    pub accuracy: f64,
}

/// The uncompressed cache on the same tokens.
#[derive(Debug, Clone, Serialize)]
pub struct ReferenceRecord {
    /// Always `f16`.
    pub strategy: String,
    /// What it held.
    pub cache: CacheRecord,
    /// How fast it was.
    pub speed: SpeedRecord,
    /// Scores of the tasks.
    pub tasks: Tasks,
}

/// How the numbers were made.
#[derive(Debug, Clone, Serialize)]
pub struct ProtocolRecord {
    /// How scored tokens pass through the caches.
    pub name: Protocol,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// Tokens prefilled at the start of each window, not scored.
    pub prefill_tokens: usize,
    /// Tokens scored in each window.
    pub score_tokens: usize,
    /// Windows measured.
    pub windows: usize,
    /// Windows asked for: a short text gives fewer.
    pub windows_asked: WindowCount,
    /// The seed that windows were drawn with; absent where they stand at equal distances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seed: Option<u64>,
    /// Tokens per forward pass while prefilling.
    pub prefill_chunk: usize,
    /// What was read.
    pub text: String,
    /// SHA-256 of the text.
    pub text_sha256: String,
    /// Its tokens.
    pub text_tokens: usize,
    /// Whether the cache saw the needle's question before it compressed.
    pub query_aware: bool,
    /// Whether needle prompts went through the chat template; `null` without needles.
    pub chat_template: Option<bool>,
    /// Seed of everything random.
    pub seed: u64,
    /// How intervals were made.
    pub intervals: &'static str,
}

/// What it was measured with.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// Version of smartkv.
    pub smartkv: &'static str,
    /// The commit it was built from, with `-dirty` if files differed; `null` outside a clone.
    pub commit: Option<&'static str>,
    /// Attention kernels.
    pub kernels: &'static str,
    /// How the weights were held.
    pub weights: String,
    /// SHA-256 of the model's file, if it is one file.
    pub model_sha256: Option<String>,
    /// Threads computed with.
    pub threads: usize,
}

impl Environment {
    /// This program on this machine, with the digest of the model's file, if it is one.
    #[must_use]
    pub fn new(weights: WeightMode, model_sha256: Option<String>) -> Self {
        Self {
            smartkv: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SMARTKV_COMMIT"),
            kernels: smartkv_kernels::best().name(),
            weights: weights.to_string(),
            model_sha256,
            threads: rayon::current_num_threads(),
        }
    }
}

/// Per-sample results, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Samples {
    /// One entry per window.
    pub windows: Vec<WindowSample>,
    /// One entry per needle prompt, with the strategy.
    pub needle: Vec<NeedleSample>,
    /// One entry per needle prompt, with the f16 cache.
    pub needle_f16: Vec<NeedleSample>,
}

/// One needle prompt and one cache's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeedleSample {
    /// Length of the cell in tokens.
    pub length_tokens: usize,
    /// Depth of the cell.
    pub depth_percent: u32,
    /// Index within the cell.
    pub sample: usize,
    /// The key asked for.
    pub key: String,
    /// The right answer.
    pub value: String,
    /// Tokens of the compressed context.
    pub context_tokens: usize,
    /// Tokens of the whole prompt.
    pub prompt_tokens: usize,
    /// Where the needle really starts, in percent of the context's tokens.
    pub needle_at_percent: f64,
    /// Greedy answer, special tokens left out.
    pub prediction: String,
    /// Tokens generated, an end token not counted.
    pub generated_tokens: usize,
    /// Why generation stopped.
    pub stop: Option<Stop>,
    /// Whether the answer contains the value.
    pub correct: bool,
    /// Mean log-probability of the value's tokens, teacher-forced.
    pub gold_log_prob_per_token_nats: Option<f64>,
}

/// One window of the text.
#[derive(Debug, Clone, Serialize)]
pub struct WindowSample {
    /// First token of the window in the text.
    pub start: usize,
    /// Mean negative log-likelihood with the f16 cache, in nats.
    pub nll_f16: f64,
    /// The strategy on the same tokens.
    pub fidelity: Option<WindowFidelity>,
}
