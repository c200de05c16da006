//! The record of one benchmark: what `--json` prints. See `docs/benchmarks.md`.

use super::machine::Environment;
use super::spread::Spread;
use super::turn::Stop;
use crate::experiment::CacheRecord;
use serde::Serialize;
use serde_json::Value;
use smartkv_core::{Budget, Prefill};

/// Version of the record. A field that changes its meaning or goes raises the number; new fields
/// do not.
pub(super) const SCHEMA: &str = "smartkv.bench/1";

/// One benchmark of one model.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BenchRecord {
    /// [`SCHEMA`].
    pub(super) schema: &'static str,
    /// What the user called the model.
    pub(super) model: String,
    /// The strategies in the order given; the first is what the others are compared with.
    pub(super) strategies: Vec<StrategyRecord>,
    /// A row for every weight mode, strategy and length of prompt.
    pub(super) rows: Vec<Row>,
    /// What a longer context costs, for every weight mode and strategy.
    pub(super) slopes: Vec<SlopeRow>,
    /// Reading rate of a buffer far above the last-level cache.
    pub(super) memory_bandwidth: BandwidthRecord,
    /// Most bytes resident in the process, where rows cannot have marks of their own.
    pub(super) process_peak_rss_bytes: Option<u64>,
    /// Processors busy with other work during turns; above zero, speeds are too low.
    pub(super) others_processors: Option<Spread>,
    /// How the numbers were made.
    pub(super) protocol: ProtocolRecord,
    /// What they were made with.
    pub(super) environment: Environment,
    /// Every time that was taken, in the order it was.
    pub(super) samples: Vec<TurnRecord>,
}

/// A strategy as it was asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StrategyRecord {
    /// What the user called it.
    pub(super) strategy: String,
    /// The budget in force.
    pub(super) budget: Option<Budget>,
    /// Its complete configuration.
    pub(super) config: Value,
    /// Whether it is simulated: rows are kept in f16, and bytes and speeds are not its own.
    pub(super) simulated: bool,
}

/// One weight mode, strategy and length of prompt.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// How the weights were held.
    pub(super) weights: String,
    /// Index into `strategies`.
    pub(super) entry: usize,
    /// What the user called the strategy.
    pub(super) strategy: String,
    /// The budget in force.
    pub(super) budget: Option<Budget>,
    /// Tokens of the prompt.
    pub(super) context: usize,
    /// Bytes of all weights as held.
    pub(super) weight_bytes: u64,
    /// How fast the prompt went in.
    pub(super) prefill: PrefillRecord,
    /// How fast tokens came out; `null` where only prefill is measured.
    pub(super) decode: Option<DecodeRecord>,
    /// What the cache held after the last token of the last round.
    pub(super) cache: CacheRecord,
    /// Most bytes resident in the process, over rounds; `null` but at the deepest stop of a turn.
    pub(super) peak_rss_bytes: Option<u64>,
    /// What those bytes were; `null` where they are.
    pub(super) peak: Option<PeakRecord>,
}

/// The parts of the most bytes resident in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct PeakRecord {
    /// When prompts were compressed: with exact prefill the cache at its peak is the prompt in f16.
    pub(super) prefill: Prefill,
    /// The whole.
    pub(super) bytes: u64,
    /// Weights as held.
    pub(super) weight_bytes: u64,
    /// Live bytes of the cache at its own peak.
    pub(super) cache_bytes: u64,
    /// Pages of files: the program, and what is touched of the model.
    pub(super) file_bytes: u64,
    /// The rest: tokenizer, text, buffers of a step and of a plan, what an allocator keeps.
    pub(super) other_bytes: u64,
}

/// Speed of a prompt.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PrefillRecord {
    /// Prompt tokens per second.
    pub(super) tokens_per_s: Spread,
    /// Time to first token in seconds.
    pub(super) first_token_s: Spread,
    /// Speed divided by the first strategy's in the same round.
    pub(super) speed_to_first: Spread,
}

/// Speed of decoded tokens.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DecodeRecord {
    /// Tokens per second, total time of each round.
    pub(super) tokens_per_s: Spread,
    /// Speed divided by the first strategy's in the same round.
    pub(super) speed_to_first: Spread,
    /// Milliseconds a token, over the tokens of all rounds.
    pub(super) token_ms: TokenTimes,
    /// Weight bytes that a token reads.
    pub(super) weight_bytes_a_token: u64,
    /// Live bytes of the cache that a token reads.
    pub(super) cache_bytes_a_token: u64,
    /// Both.
    pub(super) bytes_a_token: u64,
    /// Those bytes divided by the median time of a token.
    pub(super) gb_per_s: Spread,
    /// Reading rate of a buffer of so many bytes, right after the turn.
    pub(super) same_size_gb_per_s: Spread,
    /// Share of that rate.
    pub(super) share_of_same_size: Spread,
    /// Share of the rate of a buffer far above the last-level cache.
    pub(super) share_of_memory: Spread,
}

/// Times of single tokens in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct TokenTimes {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
    /// Tokens timed.
    pub(super) n: usize,
}

/// What a longer context costs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SlopeRow {
    /// How the weights were held.
    pub(super) weights: String,
    /// Index into `strategies`.
    pub(super) entry: usize,
    /// What the user called the strategy.
    pub(super) strategy: String,
    /// The budget in force.
    pub(super) budget: Option<Budget>,
    /// Milliseconds a token more for every 1000 tokens of context: least squares over the median
    /// times at all contexts of a round.
    pub(super) ms_a_1k_tokens: Spread,
    /// That cost divided by the first strategy's in the same round; `null` where that is not
    /// above zero.
    pub(super) cost_to_first: Option<Spread>,
}

/// How fast this machine reads memory.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BandwidthRecord {
    /// Bytes of the buffer.
    pub(super) buffer_bytes: u64,
    /// All threads together, over turns.
    pub(super) gb_per_s: Spread,
}

/// How the numbers were made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ProtocolRecord {
    pub(super) contexts: Vec<usize>,
    pub(super) prefill_tokens: usize,
    pub(super) decode_tokens: usize,
    /// Decoded at every context before the timed ones.
    pub(super) untimed_tokens: usize,
    pub(super) rounds: usize,
    pub(super) chunk: usize,
    /// When prompts are compressed.
    pub(super) prefill: Prefill,
    /// What was read.
    pub(super) text: String,
    /// SHA-256 of the text.
    pub(super) text_sha256: String,
    /// Its tokens.
    pub(super) text_tokens: usize,
    /// Seed of everything random.
    pub(super) seed: u64,
    /// Order of strategies and weights within rounds.
    pub(super) order: &'static str,
}

/// One turn of one strategy, as measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TurnRecord {
    pub(super) round: usize,
    pub(super) weights: String,
    pub(super) entry: usize,
    /// Processors busy with other work meanwhile.
    pub(super) others_processors: Option<f64>,
    /// Reading rate of a buffer far above the last-level cache.
    pub(super) memory_gb_per_s: f64,
    /// Reading rate of a buffer of the bytes a token reads, for each stop.
    pub(super) same_size_gb_per_s: Vec<f64>,
    pub(super) stops: Vec<Stop>,
}
