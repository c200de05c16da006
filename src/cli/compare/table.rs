//! The comparison as a researcher reads it: by bytes, the front marked.

use crate::cli::output;
use crate::experiment::{CompareRecord, Row, RowResult};
use smartkv_eval::MemorySummary;
use smartkv_eval::stats::Interval;
use std::fmt::Write as _;

/// The table, the failures, and what the numbers mean.
pub(super) fn render(record: &CompareRecord) -> String {
    let mut rows: Vec<&Row> = record.rows.iter().collect();
    let bytes = |row: &&Row| {
        let memory = row.result.as_ref().and_then(|r| r.memory.as_ref());
        memory.map_or(f64::MAX, |memory| memory.mean_ratio)
    };
    rows.sort_by(|a, b| bytes(a).total_cmp(&bytes(b)));
    let differences = rows.iter().any(|row| {
        let difference = row.result.as_ref().and_then(|r| r.kl_difference.as_ref());
        difference.is_some()
    });
    let mut header = vec![
        "strategy",
        "budget",
        "true ratio",
        "largest",
        "perplexity",
        "ratio to f16",
        "KL (nats)",
        "KL p99",
        "top-1",
    ];
    if differences {
        header.push("KL difference");
    }
    let cells = rows.iter().filter_map(|row| {
        let mut cells = measured(row, row.result.as_ref()?);
        if differences {
            cells.push(difference(row.result.as_ref()?));
        }
        Some(cells)
    });
    let mut text = output::table(&header, cells.collect());
    for row in &rows {
        if let Some(error) = &row.error {
            let _ = writeln!(text, "{} failed: {error}", label(row));
        }
    }
    let _ = writeln!(
        text,
        "f16: perplexity {:.3}. Protocol {}, {} prefill: {} windows of `{}`, {} tokens prefilled and \
         {} scored in each.\nTrue ratio: mean live bytes over scored steps to f16. \
         [95% intervals: paired bootstrap over windows]. * no row has fewer bytes and a smaller KL.",
        record.reference.perplexity,
        record.protocol,
        match record.prefill {
            smartkv_core::Prefill::Exact => "exact",
            smartkv_core::Prefill::Quantized => "quantized",
        },
        record.reference.windows,
        record.text,
        record.windows.prefill,
        record.windows.score,
    );
    text
}

fn label(row: &Row) -> String {
    match row.budget {
        Some(budget) => format!("{} @ {budget}", row.name),
        None => row.name.clone(),
    }
}

fn measured(row: &Row, result: &RowResult) -> Vec<String> {
    let star = if result.front { " *" } else { "" };
    let ratio = |pick: fn(&MemorySummary) -> f64| match &result.memory {
        Some(memory) => format!("{:.4}", pick(memory)),
        None => "simulated".to_string(),
    };
    vec![
        format!("{}{star}", row.name),
        row.budget
            .map_or_else(|| "-".to_string(), |b| b.to_string()),
        ratio(|memory| memory.mean_ratio),
        ratio(|memory| memory.max_ratio),
        format!("{:.3}", result.perplexity),
        with(result.perplexity_ratio, result.perplexity_ratio_interval),
        with(result.kl_mean, result.kl_mean_interval),
        format!("{:.3}", result.kl_p99),
        with(result.top1_agreement, result.top1_agreement_interval),
    ]
}

fn difference(result: &RowResult) -> String {
    result.kl_difference.as_ref().map_or_else(String::new, |d| {
        let Some(Interval { low, high, .. }) = d.estimate.interval else {
            return format!("{:+.4}", d.estimate.mean);
        };
        format!("{:+.4} [{low:+.4}, {high:+.4}]", d.estimate.mean)
    })
}

fn with(value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { low, high, .. }) => format!("{value:.4} [{low:.4}, {high:.4}]"),
        None => format!("{value:.4}"),
    }
}
