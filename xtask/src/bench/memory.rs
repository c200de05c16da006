//! Peak memory of a long prompt under a small budget, in a process of its own.

use super::ours::Smartkv;
use anyhow::Context as _;
use serde_json::Value;

/// Tokens of the prompt and the ones decoded after it, as far as the model goes.
const TOKENS: usize = 8192;

/// Tokens `smartkv bench` decodes with `--tokens 1`: two untimed, one timed.
const DECODED: usize = 3;

const STRATEGY: &str = "smartkv@0.25";

/// What the process held at most, and what it had to hold.
#[derive(Debug)]
pub(super) struct Peak {
    pub(super) context: usize,
    pub(super) strategy: &'static str,
    /// Megabytes beyond weights and live cache; `None` where the system does not count.
    pub(super) beyond_mb: Option<f64>,
    pub(super) row: Value,
}

pub(super) fn measure(smartkv: &Smartkv<'_>) -> anyhow::Result<Peak> {
    let context = TOKENS.min(smartkv.context_length()).saturating_sub(DECODED);
    eprintln!("peak memory of {STRATEGY} at {context} tokens");
    let row = smartkv.row(STRATEGY, context)?;
    let weights = row["weight_bytes"]
        .as_f64()
        .context("a row without weight bytes")?;
    let live = row["cache"]["live_bytes"]
        .as_f64()
        .context("a row without live bytes")?;
    let peak = row["peak_rss_bytes"].as_f64();
    Ok(Peak {
        context,
        strategy: STRATEGY,
        beyond_mb: peak.map(|peak| (peak - weights - live) / 1e6),
        row,
    })
}
