//! What metrics, axes and labels are called in print.

use crate::figure::{Axis, AxisFormat, AxisScale};
use crate::label::Label;
use crate::measure::Metric;

/// Metrics with a name of their own: in records, in print, and whether their axis is logarithmic.
const METRICS: [(&str, &str, bool); 21] = [
    ("ratio", "Live bytes (share of f16)", false),
    ("max_ratio", "Most live bytes (share of f16)", false),
    ("live_bytes", "Live bytes", false),
    ("bytes_per_token", "Live bytes of a token", false),
    ("peak_bytes", "Peak bytes", false),
    ("allocated_bytes", "Allocated bytes", false),
    ("kl_mean", "Mean KL divergence (nats)", true),
    ("kl_median", "Median KL divergence (nats)", true),
    ("kl_p95", "95% quantile of KL divergence (nats)", true),
    ("kl_p99", "99% quantile of KL divergence (nats)", true),
    ("kl_max", "Largest KL divergence (nats)", true),
    ("top1_agreement", "Same first choice as f16", false),
    (
        "top5_overlap",
        "Overlap of five first choices with f16",
        false,
    ),
    (
        "confident_top1_agreement",
        "Same first choice where f16 is sure",
        false,
    ),
    ("needle_accuracy", "Needles found", false),
    (
        "needle_log_prob",
        "Log-probability of needles (nats/token)",
        false,
    ),
    ("perplexity", "Perplexity", false),
    ("perplexity_f16", "Perplexity of f16", false),
    ("perplexity_ratio", "Perplexity (ratio to f16)", false),
    ("decode_speedup", "Speed of decoding (ratio to f16)", false),
    ("peak_resident_bytes", "Peak memory of the process", false),
];

/// Metrics of tasks: what their names begin with, and what stands before the task in print.
const OF_TASKS: [(&str, &str, bool); 4] = [
    ("score.", "Score", false),
    ("difference.", "Score less that of f16", false),
    ("gold_nll.", "NLL of the answer (nats/token)", false),
    ("gold_kl.", "KL divergence on the answer (nats)", true),
];

/// Metrics that are shares from 0 to 1.
const SHARES: [&str; 6] = [
    "ratio",
    "max_ratio",
    "top1_agreement",
    "top5_overlap",
    "confident_top1_agreement",
    "needle_accuracy",
];

/// The axis of a metric.
pub(super) fn metric_axis(metric: &Metric) -> Axis {
    let name = metric.name.as_str();
    let known = METRICS.iter().find(|(known, ..)| *known == name);
    let of_task = OF_TASKS
        .iter()
        .find_map(|(start, words, log)| Some((name.strip_prefix(start)?, words, log)));
    let (label, log) = match (known, of_task) {
        (Some((_, words, log)), _) => ((*words).to_string(), *log),
        (None, Some((task, words, log))) => (format!("{words}, {}", task.replace('_', " ")), *log),
        (None, None) if metric.unit.is_empty() => (capital(&name.replace('_', " ")), false),
        (None, None) => (
            format!("{} ({})", capital(&name.replace('_', " ")), metric.unit),
            false,
        ),
    };
    let share = SHARES.contains(&name) || name.starts_with("score.");
    let format = match metric.unit {
        _ if share => AxisFormat::Percent,
        "bytes" => AxisFormat::Bytes,
        _ => AxisFormat::Number,
    };
    let scale = if log {
        AxisScale::Log
    } else {
        AxisScale::Linear
    };
    Axis {
        scale,
        ..Axis::linear(label).with_format(format)
    }
}

/// What a metric is called within a sentence: without its unit.
pub(super) fn metric_phrase(metric: &Metric) -> String {
    let label = metric_axis(metric).label;
    let plain = label.split(" (").next().unwrap_or(&label);
    // A name that is all capitals stays.
    let mut letters = plain.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + &plain[first.len_utf8()..]
        }
        _ => plain.to_string(),
    }
}

/// The last part of an axis, as people read it: `strategy.tracker.decay` is `decay`.
pub(super) fn axis_word(axis: &str) -> String {
    axis.rsplit('.').next().unwrap_or(axis).replace('_', " ")
}

/// The axis along which cells were swept.
pub(super) fn swept_axis(axis: &str, values: &[f64]) -> Axis {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let word = axis_word(axis);
    if axis == "budget" && most <= 1.0 {
        return Axis::linear("Budget (share of f16)").with_format(AxisFormat::Percent);
    }
    let tokens = ["context", "tokens", "prefill", "score", "length"];
    if tokens.iter().any(|known| word.contains(known)) && least >= 1.0 {
        let scale = if most >= 4.0 * least {
            AxisScale::Log2
        } else {
            AxisScale::Linear
        };
        let format = AxisFormat::Tokens;
        return Axis {
            scale,
            ..Axis::linear(format!("{} (tokens)", capital(&word))).with_format(format)
        };
    }
    let whole = values.iter().all(|value| value.fract() == 0.0);
    let format = if whole {
        AxisFormat::Whole
    } else {
        AxisFormat::Number
    };
    Axis::linear(capital(&word)).with_format(format)
}

/// Axes whose values name a thing by themselves.
pub(super) const NAMING: [&str; 4] = ["strategy", "variant", "model", "task"];

/// A value of an axis as people read it, on its own: `SmartKV`, `decay 0.9`.
pub(super) fn label(axis: &str, label: &Label) -> String {
    let word = axis_word(axis);
    match (axis, label) {
        ("strategy", Label::Text(name)) => strategy(name),
        (_, Label::Text(text)) if NAMING.contains(&axis) => text.replace('_', " "),
        (_, Label::Switch(true)) => word,
        (_, Label::Switch(false) | Label::None) => format!("no {word}"),
        _ => format!("{word} {label}"),
    }
}

/// Methods as their authors write them.
const METHODS: [(&str, &str); 20] = [
    ("smartkv", "SmartKV"),
    ("kivi", "KIVI"),
    ("h2o", "H2O"),
    ("snapkv", "SnapKV"),
    ("pyramidkv", "PyramidKV"),
    ("adakv", "AdaKV"),
    ("ada-pyramidkv", "Ada-PyramidKV"),
    ("kvquant", "KVQuant"),
    ("kvtuner", "KVTuner"),
    ("turboquant", "TurboQuant"),
    ("zipcache", "ZipCache"),
    ("streaming_llm", "StreamingLLM"),
    ("gear", "GEAR"),
    ("tova", "TOVA"),
    ("lagkv", "LagKV"),
    ("keydiff", "KeyDiff"),
    ("quest", "Quest"),
    ("expected_attention", "Expected Attention"),
    ("k8v4", "K8V4"),
    ("knorm", "Knorm"),
];

/// A strategy as people read it: `kivi-2-r32` is `KIVI-2-r32`.
pub(super) fn strategy(name: &str) -> String {
    let known = METHODS.iter().find_map(|(own, written)| {
        let rest = name.strip_prefix(own)?;
        (rest.is_empty() || rest.starts_with(['-', '@', ' '])).then(|| format!("{written}{rest}"))
    });
    known.unwrap_or_else(|| name.replace('_', " "))
}

/// With a capital, unless the word has its own way.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_those_of_print() {
        assert_eq!(strategy("smartkv-random"), "SmartKV-random");
        assert_eq!(strategy("ada-pyramidkv"), "Ada-PyramidKV");
        assert_eq!(strategy("smartkvx"), "smartkvx");
        assert_eq!(strategy("random_eviction"), "random eviction");
        let own = |value: serde_json::Value| serde_json::from_value::<Label>(value).unwrap();
        assert_eq!(
            label("strategy.tracker.decay", &own(json!(0.9))),
            "decay 0.9"
        );
        assert_eq!(label("sinks", &own(json!(false))), "no sinks");
        assert_eq!(label("budget", &own(json!(null))), "no budget");
        assert_eq!(label("variant", &own(json!("no_window"))), "no window");
    }

    #[test]
    fn axes_say_what_they_count() {
        let budget = swept_axis("budget", &[0.2, 0.5]);
        assert_eq!(
            (budget.label.as_str(), budget.format),
            ("Budget (share of f16)", AxisFormat::Percent)
        );
        let length = swept_axis("windows.prefill", &[512.0, 4096.0]);
        assert_eq!(
            (length.label.as_str(), length.scale),
            ("Prefill (tokens)", AxisScale::Log2)
        );
        assert_eq!(
            swept_axis("strategy.tracker.decay", &[0.8, 0.9]).label,
            "Decay"
        );
    }
}
