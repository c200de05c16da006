//! `smartkv analyze latency`: how long tokens take, and why.

use super::passage::{PassageArgs, with_bar};
use crate::assets::Policy;
use crate::cli::output;
use crate::cli::session::{StrategyArgs, check_calibration, parse_prefill};
use crate::experiment::analyze::{
    LatencyAnalysis, LatencyRecord, Role, Spread, VariantRecord, analyze_latency, variants,
};
use smartkv_core::Prefill;
use smartkv_eval::Windows;
use std::fmt::Write as _;

/// Most rounds of a run.
const MOST_ROUNDS: usize = 10_000;

/// Decode tokens with a strategy, with less and less of it, and time every one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv analyze latency --strategy smartkv --budget 0.3125
  smartkv analyze latency --prefill-tokens 4096 --tokens 256 --rounds 7 --out latency.json

Strategies take turns, round after round, from copies of the cache after the same prompt: f16; the
strategy as given; steady, which moves a stored row only where the budget demands it (drift 0.99);
and untracked, which watches no attention either (tracker position). Differences of the mean time
of a token are taken within a round. Run nothing else meanwhile.")]
pub(super) struct LatencyArgs {
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    passage: PassageArgs,
    /// Tokens of the prompt.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1024,
        allow_negative_numbers = true
    )]
    prefill_tokens: usize,
    /// Tokens decoded in a round; the first 4 are not timed.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 128,
        allow_negative_numbers = true
    )]
    tokens: usize,
    /// Rounds.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        allow_negative_numbers = true
    )]
    rounds: usize,
    /// Compress the prompt at its end (exact), or chunk by chunk (quantized).
    #[arg(long, value_name = "WHEN", default_value = "exact", value_parser = parse_prefill)]
    prefill: Prefill,
}

pub(super) fn run(args: &LatencyArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let (strategy, budget) = args.strategy.resolve()?;
    anyhow::ensure!(
        (1..=MOST_ROUNDS).contains(&args.rounds),
        "--rounds {}: expected 1 to {MOST_ROUNDS}",
        args.rounds
    );
    let all = variants(&strategy)?;
    let opened = args.passage.open(policy)?;
    check_calibration(&strategy, args.passage.model(), &opened.loaded.path)?;
    let windows = Windows {
        count: 1.into(),
        prefill: args.prefill_tokens,
        score: args.tokens,
    };
    let passage = args.passage.passage(&opened, windows, args.prefill)?;
    let analysis = LatencyAnalysis {
        passage: &passage,
        variants: &all,
        budget,
        rounds: args.rounds,
    };
    let record = with_bar(|bar| analyze_latency(&analysis, bar))?;
    args.passage.give(&record, as_json, render)
}

fn render(record: &LatencyRecord) -> String {
    let mut text = times(record);
    text += &kinds(record);
    text += &overheads(record);
    let _ = writeln!(
        text,
        "{} tokens after a prompt of {}, {} rounds: median [least, most] of the rounds. Attention \
         includes tracking;\nplanning is the end of a step, where rows leave the window, are \
         placed and move.",
        record.decode_tokens, record.prompt_tokens, record.round_count
    );
    if let Some(simulated) = record.variants.iter().find(|variant| variant.simulated) {
        let _ = writeln!(
            text,
            "`{}` is simulated: its rows are stored in f16, and its times say nothing of a real \
             one.",
            simulated.strategy
        );
    }
    text
}

fn name(variant: &VariantRecord) -> String {
    let budget = variant
        .budget
        .map_or(String::new(), |budget| format!(" @ {budget}"));
    match variant.role {
        Role::F16 => "f16".to_string(),
        Role::Given => format!("{}{budget}", variant.strategy),
        role => role.name().to_string(),
    }
}

fn ms(spread: &Spread) -> String {
    format!(
        "{:.3} [{:.3}, {:.3}]",
        spread.median, spread.min, spread.max
    )
}

fn times(record: &LatencyRecord) -> String {
    let rows = record.variants.iter().map(|variant| {
        let token = &variant.token;
        vec![
            name(variant),
            ms(&variant.mean_ms),
            format!("{:.3}", token.p50),
            format!("{:.3}", token.p95),
            format!("{:.3}", token.p99),
            ms(&variant.attention_ms),
            ms(&variant.planning_ms),
        ]
    });
    let header = [
        "ms a token",
        "mean",
        "p50",
        "p95",
        "p99",
        "attention",
        "planning",
    ];
    output::table(&header, rows.collect())
}

fn kinds(record: &LatencyRecord) -> String {
    let of = |variant: &VariantRecord| -> Vec<Vec<String>> {
        let row = |kind: &crate::experiment::analyze::Kind| {
            vec![
                name(variant),
                kind.kind.to_string(),
                format!("{:.1}", 100.0 * kind.share),
                format!("{:.3}", kind.token.p50),
                format!("{:.3}", kind.token.p95),
                format!("{:.3}", kind.planning_p50_ms),
                format!("{:.0}", kind.flushed_rows),
                format!("{:.0}", kind.lowered_rows),
            ]
        };
        variant.kinds.iter().map(row).collect()
    };
    let rows = record.variants.iter().flat_map(of).collect();
    let header = [
        "by step",
        "",
        "steps %",
        "p50 ms",
        "p95 ms",
        "planning p50",
        "rows placed",
        "rows moved",
    ];
    format!("\n{}", output::table(&header, rows))
}

fn overheads(record: &LatencyRecord) -> String {
    if record.overheads.is_empty() {
        return String::new();
    }
    let rows = record.overheads.iter().map(|overhead| {
        let share = &overhead.share;
        vec![
            overhead.of.to_string(),
            format!("{} - {}", overhead.with.name(), overhead.without.name()),
            ms(&overhead.ms),
            format!(
                "{:.1} [{:.1}, {:.1}]",
                100.0 * share.median,
                100.0 * share.min,
                100.0 * share.max
            ),
        ]
    });
    let header = ["overhead", "difference", "ms a token", "% of a token"];
    format!("\n{}", output::table(&header, rows.collect()))
}
