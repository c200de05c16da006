//! Peak memory of a long prompt under a small budget, each time in a process of its own.

use super::ours::Smartkv;
use anyhow::Context as _;
use serde_json::Value;
use std::fmt;

/// Tokens of the prompt and the ones decoded after it, as far as the model goes.
const TOKENS: usize = 8192;

/// Tokens `smartkv bench` decodes with `--tokens 1`: two untimed, one timed.
const DECODED: usize = 3;

const STRATEGY: &str = "smartkv@0.25";

/// With exact prefill the prompt is held in f16 until its end, so its peak is another.
const PREFILLS: [&str; 2] = ["exact", "quantized"];

/// What a process held at most, and what it had to hold.
#[derive(Debug)]
pub(super) struct Peak {
    pub(super) context: usize,
    pub(super) strategy: &'static str,
    pub(super) prefill: &'static str,
    /// `None` where the system does not count.
    parts: Option<Parts>,
    /// As smartkv printed it.
    pub(super) row: Value,
}

/// Megabytes.
#[derive(Debug)]
struct Parts {
    all: f64,
    weights: f64,
    /// The cache at its own peak, and what is left of it at the end.
    cache: f64,
    live: f64,
    files: f64,
    other: f64,
}

impl Peak {
    /// Megabytes beyond the weights and the cache that is left at the end.
    pub(super) fn beyond_mb(&self) -> Option<f64> {
        let parts = self.parts.as_ref()?;
        Some(parts.all - parts.weights - parts.live)
    }

    fn new(context: usize, prefill: &'static str, row: Value) -> anyhow::Result<Self> {
        let megabytes = |bytes: &Value| bytes.as_f64().map(|bytes| bytes / 1e6);
        let live = megabytes(&row["cache"]["live_bytes"]).context("a row without live bytes")?;
        let peak = &row["peak"];
        let parts = || {
            Some(Parts {
                all: megabytes(&peak["bytes"])?,
                weights: megabytes(&peak["weight_bytes"])?,
                cache: megabytes(&peak["cache_bytes"])?,
                live,
                files: megabytes(&peak["file_bytes"])?,
                other: megabytes(&peak["other_bytes"])?,
            })
        };
        Ok(Self {
            context,
            strategy: STRATEGY,
            prefill,
            parts: parts(),
            row,
        })
    }
}

/// The parts, in a sentence.
impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            context,
            strategy,
            prefill,
            ..
        } = self;
        write!(
            f,
            "Peak of {context} tokens, {strategy}, {prefill} prefill: "
        )?;
        let Some(parts) = &self.parts else {
            return write!(f, "not counted by this system.");
        };
        let Parts {
            all,
            weights,
            cache,
            live,
            files,
            other,
        } = parts;
        write!(
            f,
            "{all:.0} MB = weights {weights:.0} + cache {cache:.0} ({live:.0} at the end) + pages \
             of files {files:.0} + other {other:.0}."
        )
    }
}

pub(super) fn measure(smartkv: &Smartkv<'_>) -> anyhow::Result<Vec<Peak>> {
    let context = TOKENS.min(smartkv.context_length()).saturating_sub(DECODED);
    let measure = |prefill| {
        eprintln!("peak memory of {STRATEGY} at {context} tokens, {prefill} prefill");
        Peak::new(context, prefill, smartkv.row(STRATEGY, context, prefill)?)
    };
    PREFILLS.into_iter().map(measure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_parts_of_a_peak() {
        let mut row = json!({ "cache": { "live_bytes": 20e6 }, "peak": {
            "bytes": 200e6, "weight_bytes": 90e6, "cache_bytes": 60e6, "file_bytes": 30e6,
            "other_bytes": 20e6,
        } });
        let peak = Peak::new(8, "exact", row.clone()).unwrap();
        assert_eq!(peak.beyond_mb(), Some(90.0));
        assert!(peak.to_string().ends_with(
            "200 MB = weights 90 + cache 60 (20 at the end) + pages of files 30 + other 20."
        ));
        row["peak"] = Value::Null;
        assert_eq!(Peak::new(8, "exact", row).unwrap().beyond_mb(), None);
    }
}
