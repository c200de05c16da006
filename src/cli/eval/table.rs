//! The record as a researcher reads it: the f16 cache beside the strategy.

use crate::cli::output;
use crate::cli::session::prefill_name;
use crate::experiment::{EvalRecord, NeedleRecord, SpeedRecord};
use smartkv_eval::WindowCount;
use smartkv_eval::stats::Interval;
use std::fmt::Write as _;

/// Stands where a number would be that a simulation does not have.
const SIMULATED: &str = "simulated";

/// One speed out of a record.
type Pick = fn(&SpeedRecord) -> Option<f64>;

/// The table, and below it what the numbers mean.
pub(super) fn render(record: &EvalRecord) -> String {
    let (cache, f16) = (&record.cache, &record.reference.cache);
    let quality = &record.quality;
    let row = |name: &str, f16: String, here: String| vec![name.to_string(), f16, here];
    let number = |value: f64, digits: usize| format!("{value:.digits$}");
    let simulated = cache.is_simulated();
    // Bytes and speeds of a simulation are those of f16.
    let bytes = |value: Option<f64>, digits: usize| {
        if simulated {
            SIMULATED.to_string()
        } else {
            measured(value, digits)
        }
    };

    let mut rows = vec![
        row(
            "cache bytes per token",
            measured(f16.bytes_per_token, 0),
            bytes(cache.bytes_per_token, 0),
        ),
        row(
            "ratio to f16",
            measured(f16.ratio, 4),
            bytes(cache.ratio, 4),
        ),
        row(
            "  largest at any step",
            measured(f16.max_ratio, 4),
            bytes(cache.max_ratio, 4),
        ),
        row(
            "perplexity",
            number(quality.perplexity_f16, 3),
            number(quality.perplexity, 3),
        ),
        row(
            "  ratio to f16",
            "1".to_string(),
            with_interval(
                quality.perplexity_ratio,
                quality.perplexity_ratio_interval,
                4,
            ),
        ),
        row(
            "KL from f16, mean (nats)",
            "0".to_string(),
            with_interval(quality.kl_mean, quality.kl_mean_interval, 4),
        ),
        row(
            "  99th percentile",
            "0".to_string(),
            number(quality.kl_p99, 4),
        ),
        row(
            "top-1 agreement",
            "1".to_string(),
            with_interval(quality.top1_agreement, quality.top1_agreement_interval, 4),
        ),
    ];
    if let Some(layers) = &quality.attention {
        let errors: Vec<f64> = layers.iter().map(|layer| layer.relative).collect();
        let mean = smartkv_eval::stats::mean(&errors).unwrap_or(0.0);
        let worst = layers
            .iter()
            .max_by(|a, b| a.relative.total_cmp(&b.relative));
        let worst = worst.map_or(String::new(), |worst| {
            format!("{:.4} (layer {})", worst.relative, worst.layer)
        });
        let zero = || "0".to_string();
        rows.push(row(
            "attention error, mean of layers",
            zero(),
            number(mean, 4),
        ));
        rows.push(row("  worst layer", zero(), worst));
    }
    if let (Some(full), Some(here)) = (&record.reference.tasks.needle, &record.tasks.needle) {
        rows.push(row("needles found", needle(full), needle(here)));
    }
    let speeds: [(&str, Pick); 2] = [
        ("prefill tokens/s", |s| s.prefill_tokens_per_s),
        ("decode tokens/s", |s| s.decode_tokens_per_s),
    ];
    for (name, pick) in speeds {
        rows.push(row(
            name,
            measured(pick(&record.reference.speed), 1),
            bytes(pick(&record.speed), 1),
        ));
    }
    let title = match record.budget {
        Some(budget) => format!("{} @ {budget}", record.strategy),
        None if simulated => format!("{} ({SIMULATED})", record.strategy),
        None => record.strategy.clone(),
    };
    let mut text = output::table(&[record.model.as_str(), "f16", title.as_str()], rows);
    text += &notes(record);
    text
}

fn notes(record: &EvalRecord) -> String {
    let protocol = &record.protocol;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", contents(record));
    let _ = writeln!(
        text,
        "Protocol {}: {} windows of `{}`, {} tokens prefilled and {} scored in each ({} in all); \
         [95% intervals: paired bootstrap over windows].",
        protocol.name,
        protocol.windows,
        protocol.text,
        protocol.prefill_tokens,
        protocol.score_tokens,
        record.quality.tokens,
    );
    if let WindowCount::UpTo(asked) = protocol.windows_asked
        && protocol.windows < asked
    {
        let _ = writeln!(
            text,
            "The text has room for {} of the {asked} windows asked for.",
            protocol.windows
        );
    }
    if let Some(origin) = &record.calibration {
        let _ = writeln!(
            text,
            "Calibrated on {} tokens of `{}`{}.",
            origin.tokens,
            origin.text,
            if origin.text_sha256 == protocol.text_sha256 {
                ": THE SAME TEXT, so that the strategy may have seen what it is measured on"
            } else {
                ""
            },
        );
    }
    if let Some(needle) = &record.tasks.needle {
        let _ = writeln!(
            text,
            "Needles: {} prompts, 7-digit numbers in `{}`, question after compression.",
            needle.n, protocol.text
        );
    }
    text
}

fn measured(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.digits$}"))
}

/// What the cache holds, part by part; of a simulation, what it says it would hold.
fn contents(record: &EvalRecord) -> String {
    let (cache, protocol) = (&record.cache, &record.protocol);
    if let Some(claimed) = cache.logical_bytes {
        return format!(
            "Simulated: rows are changed as `{}` would store them and kept in f16. By its own count \
             it would hold {} of f16's {} at {} tokens: a claim, not a measurement.",
            record.strategy,
            output::bytes(claimed),
            output::bytes(cache.f16_bytes),
            cache.tokens,
        );
    }
    format!(
        "Cache at {} tokens: {} = payload {} + metadata {} + window {} + policy {}; peak {} \
         ({} prefill).",
        cache.tokens,
        output::bytes(cache.live_bytes),
        output::bytes(cache.payload_bytes),
        output::bytes(cache.metadata_bytes),
        output::bytes(cache.window_bytes),
        output::bytes(cache.policy_bytes),
        output::bytes(cache.peak_bytes),
        prefill_name(protocol.prefill),
    )
}

fn with_interval(value: f64, interval: Option<Interval>, digits: usize) -> String {
    match interval {
        Some(Interval { low, high, .. }) => {
            format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
        }
        None => format!("{value:.digits$}"),
    }
}

fn needle(record: &NeedleRecord) -> String {
    let Interval { low, high, .. } = record.accuracy_interval;
    format!("{}/{} [{low:.2}, {high:.2}]", record.correct, record.n)
}
