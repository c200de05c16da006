//! The record as a person reads it: speed, bytes, what a longer context costs.

use super::others::IDLE_PROCESSORS;
use super::record::{BenchRecord, Row, StrategyRecord};
use super::spread::Spread;
use crate::cli::output;
use crate::cli::session::prefill_name;
use smartkv_core::Budget;
use std::fmt::Write as _;

/// Three tables, and below them how they were made.
pub(super) fn render(record: &BenchRecord) -> String {
    let mut text = speed(record);
    text += &bytes(record);
    text += &peaks(record);
    text += &slopes(record);
    text += &notes(record);
    text
}

fn speed(record: &BenchRecord) -> String {
    let to_first = format!("to {}", first(record));
    let header = [
        "speed",
        "context",
        "prefill tok/s",
        &to_first,
        "first token s",
        "decode tok/s",
        &to_first,
        "p50 ms",
        "p95 ms",
        "p99 ms",
    ];
    let row = |row: &Row| {
        let prefill = &row.prefill;
        let mut cells = vec![
            name(record, &row.weights, &row.strategy, row.budget),
            row.context.to_string(),
            spread(&prefill.tokens_per_s, 1),
            number(prefill.speed_to_first.median, 2),
            number(prefill.first_token_s.median, 3),
        ];
        match &row.decode {
            Some(decode) => cells.extend([
                spread(&decode.tokens_per_s, 1),
                number(decode.speed_to_first.median, 2),
                number(decode.token_ms.p50, 2),
                number(decode.token_ms.p95, 2),
                number(decode.token_ms.p99, 2),
            ]),
            None => cells.extend(std::iter::repeat_n(dash(), 5)),
        }
        cells
    };
    output::table(&header, record.rows.iter().map(row).collect())
}

fn bytes(record: &BenchRecord) -> String {
    let header = [
        "bytes",
        "context",
        "live cache",
        "to f16",
        "peak cache",
        "weights",
        "read a token",
        "GB/s",
        "of same size",
        "of memory",
    ];
    let row = |row: &Row| {
        let mut cells = vec![
            name(record, &row.weights, &row.strategy, row.budget),
            row.context.to_string(),
            own(row, output::bytes(row.cache.live_bytes)),
            own(row, row.cache.ratio.map_or_else(dash, |r| number(r, 4))),
            own(row, output::bytes(row.cache.peak_bytes)),
            output::bytes(row.weight_bytes),
        ];
        match &row.decode {
            Some(decode) => cells.extend([
                own(row, output::bytes(decode.bytes_a_token)),
                number(decode.gb_per_s.median, 2),
                percent(decode.share_of_same_size.median),
                percent(decode.share_of_memory.median),
            ]),
            None => cells.extend(std::iter::repeat_n(dash(), 4)),
        }
        cells
    };
    output::table(&header, record.rows.iter().map(row).collect())
}

fn peaks(record: &BenchRecord) -> String {
    let header = [
        "peak memory",
        "context",
        "prefill",
        "in all",
        "weights",
        "cache",
        "files",
        "other",
        "beyond live",
    ];
    let row = |row: &Row| {
        let peak = row.peak?;
        let live = peak.weight_bytes + row.cache.live_bytes;
        let sizes = [
            peak.bytes,
            peak.weight_bytes,
            peak.cache_bytes,
            peak.file_bytes,
            peak.other_bytes,
            peak.bytes.saturating_sub(live),
        ];
        let mut cells = vec![
            name(record, &row.weights, &row.strategy, row.budget),
            row.context.to_string(),
            prefill_name(peak.prefill).to_string(),
        ];
        cells.extend(sizes.map(output::bytes));
        Some(cells)
    };
    let rows: Vec<_> = record.rows.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    output::table(&header, rows)
}

fn slopes(record: &BenchRecord) -> String {
    if record.slopes.is_empty() {
        return String::new();
    }
    let to_first = format!("to {}", first(record));
    let header = ["context", "ms a token for 1k tokens more", &to_first];
    let rows = record.slopes.iter().map(|slope| {
        vec![
            name(record, &slope.weights, &slope.strategy, slope.budget),
            spread(&slope.ms_a_1k_tokens, 3),
            slope
                .cost_to_first
                .map_or_else(dash, |cost| number(cost.median, 2)),
        ]
    });
    output::table(&header, rows.collect())
}

fn notes(record: &BenchRecord) -> String {
    let (protocol, environment) = (&record.protocol, &record.environment);
    let bandwidth = &record.memory_bandwidth;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "Medians [least, most] of {}; strategies take turns, ratios within a round. {} tokens \
         decoded at each context, {} prefill in chunks of {}.",
        match protocol.rounds {
            1 => "1 round".to_string(),
            rounds => format!("{rounds} rounds"),
        },
        protocol.decode_tokens,
        prefill_name(protocol.prefill),
        protocol.chunk,
    );
    let _ = writeln!(
        text,
        "This machine reads {} GB/s from {} with {} threads; kernels {}, `{}` on `{}`.",
        spread(&bandwidth.gb_per_s, 1),
        output::bytes(bandwidth.buffer_bytes),
        environment.threads,
        environment.kernels,
        record.model,
        protocol.text,
    );
    if record.strategies.iter().any(|strategy| strategy.simulated) {
        text += "Simulated strategies keep their rows in f16: their speeds are those of f16.\n";
    }
    if let Some(peak) = record.process_peak_rss_bytes {
        let _ = writeln!(
            text,
            "Peak memory of the whole process: {}.",
            output::bytes(peak)
        );
    }
    if environment.build == "debug" {
        text += "This is a debug build: its speeds mean nothing.\n";
    }
    let others = record.others_processors;
    if let Some(others) = others.filter(|others| others.max > IDLE_PROCESSORS) {
        let _ = writeln!(
            text,
            "Other work kept {} processors busy meanwhile: trust ratios, not speeds.",
            spread(&others, 2)
        );
    }
    text
}

/// A number of bytes, where it is that of what the strategy stores.
fn own(row: &Row, bytes: String) -> String {
    if row.cache.is_simulated() {
        "simulated".to_string()
    } else {
        bytes
    }
}

/// The strategy, and the weights where there are several.
fn name(record: &BenchRecord, weights: &str, strategy: &str, budget: Option<Budget>) -> String {
    let simulated = |s: &StrategyRecord| s.simulated && s.strategy == strategy;
    let title = budget.map_or_else(
        || {
            let simulated = record.strategies.iter().any(simulated);
            format!("{strategy}{}", if simulated { " (simulated)" } else { "" })
        },
        |budget| format!("{strategy} @ {budget}"),
    );
    if record.rows.iter().all(|row| row.weights == weights) {
        return title;
    }
    format!("{weights} · {title}")
}

fn first(record: &BenchRecord) -> String {
    let first = record.strategies.first();
    first.map_or_else(dash, |first| first.strategy.clone())
}

fn spread(spread: &Spread, digits: usize) -> String {
    let Spread {
        median,
        min,
        max,
        n,
        ..
    } = spread;
    if *n == 1 {
        return number(*median, digits);
    }
    format!("{median:.digits$} [{min:.digits$}, {max:.digits$}]")
}

fn number(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn dash() -> String {
    "-".to_string()
}
