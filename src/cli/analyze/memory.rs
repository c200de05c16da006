//! `smartkv analyze memory`: measured against predicted bytes, by part and over time.

use super::passage::{PassageArgs, with_bar};
use crate::assets::Policy;
use crate::cli::output::{self, bytes};
use crate::cli::session::{StrategyArgs, check_calibration, parse_prefill, prefill_name};
use crate::experiment::analyze::{MemoryAnalysis, MemoryRecord, Parts, Point, analyze_memory};
use smartkv_core::Prefill;
use smartkv_eval::Windows;
use std::fmt::Write as _;

/// Rows of the table over time.
const SHOWN: usize = 12;

/// Run a prompt, decode, and count the bytes of the cache on the way.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv analyze memory --strategy smartkv --budget 0.25
  smartkv analyze memory --strategy kivi --prefill-tokens 1024 --tokens 512 --every 16 --json
  smartkv analyze memory --strategy smartkv --budget 0.25 --prefill quantized --out memory.json

Measured bytes are the lengths of live buffers. Predicted bytes are arithmetic over the formats of
the layout and the number of rows in each place, and look at no buffer.")]
pub(super) struct MemoryArgs {
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    passage: PassageArgs,
    /// Tokens of the prompt.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 512,
        allow_negative_numbers = true
    )]
    prefill_tokens: usize,
    /// Tokens decoded after it.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 256,
        allow_negative_numbers = true
    )]
    tokens: usize,
    /// Decoded tokens from one point of the record to the next; every one is checked.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    every: usize,
    /// Compress the prompt at its end (exact), or chunk by chunk (quantized).
    #[arg(long, value_name = "WHEN", default_value = "exact", value_parser = parse_prefill)]
    prefill: Prefill,
}

pub(super) fn run(args: &MemoryArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let (strategy, budget) = args.strategy.resolve()?;
    anyhow::ensure!(args.every > 0, "--every 0: expected at least 1");
    let opened = args.passage.open(policy)?;
    check_calibration(&strategy, args.passage.model(), &opened.loaded.path)?;
    let windows = Windows {
        count: 1.into(),
        prefill: args.prefill_tokens,
        score: args.tokens,
    };
    let passage = args.passage.passage(&opened, windows, args.prefill)?;
    let analysis = MemoryAnalysis {
        passage: &passage,
        strategy: &strategy,
        budget,
        every: args.every,
    };
    let record = with_bar(|bar| analyze_memory(&analysis, bar))?;
    args.passage.give(&record, as_json, render)
}

fn render(record: &MemoryRecord) -> String {
    let budget = record
        .budget
        .map_or(String::new(), |budget| format!(" @ {budget}"));
    let mut text = over_time(record, &format!("{}{budget}", record.strategy));
    text += &parts(record);
    text += &places(record);
    let differs = match record.largest_difference_bytes {
        0 => {
            "Measured and predicted bytes agree to the byte in every part after every step.".into()
        }
        bytes => format!("Measured and predicted bytes differ by up to {bytes} bytes in a part."),
    };
    let bits = &record.bits;
    let _ = writeln!(
        text,
        "{differs}\nBits of an element at the end: {:.2} of codes and f16 rows, {:.2} with scales \
         and positions, {:.2} live, {:.2} allocated.\nPeak {} with {} prefill, {} after the \
         prompt's end.",
        bits.elements,
        bits.stored,
        bits.live,
        bits.allocated,
        bytes(record.peak_bytes),
        prefill_name(record.prefill),
        bytes(record.decode_peak_bytes),
    );
    text
}

/// Some of the points, evenly spread.
fn over_time(record: &MemoryRecord, title: &str) -> String {
    let points = &record.points;
    let step = points.len().div_ceil(SHOWN).max(1);
    let shown = |index: usize, point: &Point| {
        let ends = point.tokens == record.prompt_tokens || index + 1 == points.len();
        point.phase == "prefill" || index.is_multiple_of(step) || ends
    };
    let rows = points
        .iter()
        .enumerate()
        .filter(|(index, point)| shown(*index, point))
        .map(|(_, point)| {
            vec![
                point.tokens.to_string(),
                point.phase.to_string(),
                bytes(point.live_bytes),
                ratio(point.live_bytes, point.f16_bytes),
                point.budget_bytes.map_or("-".into(), bytes),
                bytes(point.predicted.live_bytes()),
                bytes(point.allocated_bytes),
            ]
        });
    let header = [
        "tokens",
        "",
        "live",
        "of f16",
        "budget",
        "predicted",
        "allocated",
    ];
    format!("{title}\n{}", output::table(&header, rows.collect()))
}

#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
fn ratio(part: u64, of: u64) -> String {
    format!("{:.4}", part as f64 / of.max(1) as f64)
}

/// One part out of the four, or all.
type Part = fn(&Parts) -> u64;

/// The end, part by part.
fn parts(record: &MemoryRecord) -> String {
    let Some(last) = record.points.last() else {
        return String::new();
    };
    let parts: [(&str, Part); 5] = [
        ("codes", |p| p.payload_bytes),
        ("scales, positions", |p| p.metadata_bytes),
        ("f16 window", |p| p.window_bytes),
        ("scores, statistics", |p| p.policy_bytes),
        ("all", Parts::live_bytes),
    ];
    let rows = parts.map(|(name, part)| {
        let (measured, predicted) = (part(&last.parts), part(&last.predicted));
        vec![
            name.to_string(),
            measured.to_string(),
            predicted.to_string(),
            (i128::from(measured) - i128::from(predicted)).to_string(),
            ratio(measured, last.f16_bytes),
        ]
    });
    let title = format!("bytes at {} tokens", last.tokens);
    let header = [&title, "measured", "predicted", "difference", "of f16"];
    format!("\n{}", output::table(&header, rows.to_vec()))
}

fn places(record: &MemoryRecord) -> String {
    let all: u64 = record.places.iter().map(|p| p.predicted.live_bytes()).sum();
    let rows = record.places.iter().map(|place| {
        vec![
            place.place.clone(),
            format!("{}/{}", place.bits[0], place.bits[1]),
            place.rows.to_string(),
            bytes(place.predicted.live_bytes()),
            ratio(place.predicted.live_bytes(), all),
        ]
    });
    let header = ["place", "K/V bits", "rows", "bytes", "share"];
    format!("\n{}", output::table(&header, rows.collect()))
}
