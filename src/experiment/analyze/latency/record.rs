//! The record of an analysis of times.

use super::super::super::record::Environment;
use super::super::passage::TextRecord;
use super::variants::{Role, Variant};
use serde::Serialize;
use serde_json::Value;
use smartkv_core::{Budget, Cache, MeasuredHook as _, Memory, PlanWork, Prefill};
use smartkv_eval::stats::{mean, median, quantile};
use std::time::Duration;

/// Version of the record. A field that changes its meaning or goes raises the number.
pub(super) const SCHEMA: &str = "smartkv.latency/1";

/// Bins of a histogram.
const BINS: usize = 40;
/// Nanoseconds of a millisecond.
const MS: f64 = 1e6;

/// What `smartkv analyze latency --json` prints. See `docs/analyze.md`.
#[derive(Debug, Serialize)]
pub struct LatencyRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the user called the model.
    pub model: String,
    /// What was read.
    pub text: TextRecord,
    /// When prompts were compressed.
    pub prefill: Prefill,
    /// Tokens of the prompt, the prefix counted.
    pub prompt_tokens: usize,
    /// Tokens timed in a round.
    pub decode_tokens: usize,
    /// Tokens decoded before those.
    pub untimed_tokens: usize,
    /// Rounds in which the variants took turns.
    pub round_count: usize,
    /// The variants.
    pub variants: Vec<VariantRecord>,
    /// What tracking and reallocation take.
    pub overheads: Vec<Overhead>,
    /// Times of all tokens in common bins.
    pub histogram: Histogram,
    /// Every time, in the order of the turns.
    pub rounds: Vec<Round>,
    /// Seed of everything random.
    pub seed: u64,
    /// What it was run with.
    pub environment: Environment,
}

/// One variant's times.
#[derive(Debug, Serialize)]
pub struct VariantRecord {
    /// What it is for.
    pub role: Role,
    /// Its strategy.
    pub strategy: String,
    /// Its complete configuration.
    pub config: Value,
    /// The budget in force.
    pub budget: Option<Budget>,
    /// Whether its rows are stored in f16, so that its times are of f16 and of simulating.
    pub simulated: bool,
    /// The cache after the prompt.
    pub cache: Memory,
    /// Times of a token, all rounds together.
    pub token: Milliseconds,
    /// Mean time of a token, round by round.
    pub mean_ms: Spread,
    /// Of that, in attention, tracking included.
    pub attention_ms: Spread,
    /// Of that, at the ends of steps: plans, and moving rows.
    pub planning_ms: Spread,
    /// By what a step had to do besides.
    pub kinds: Vec<Kind>,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Milliseconds {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 95% quantile.
    pub p95: f64,
    /// 99% quantile.
    pub p99: f64,
    /// Least.
    pub min: f64,
    /// Most.
    pub max: f64,
    /// Tokens.
    pub n: usize,
}

/// Steps of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kind {
    /// `plain`: nothing left the window; `planned`: rows left it and were placed; `reallocated`: stored
    /// rows moved too.
    pub kind: &'static str,
    /// Share of the steps.
    pub share: f64,
    /// Times of these steps.
    pub token: Milliseconds,
    /// Median time at their ends.
    pub planning_p50_ms: f64,
    /// Mean rows that left the window, all layers and heads together.
    pub flushed_rows: f64,
    /// Mean rows that were stored already and moved.
    pub lowered_rows: f64,
}

/// What one part costs: the difference of two variants, round by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overhead {
    /// `tracking`, `reallocation`, or both.
    pub of: &'static str,
    /// The variant that has it.
    pub with: Role,
    /// The variant that lacks it.
    pub without: Role,
    /// Difference of the mean times of a token.
    pub ms: Spread,
    /// That over the time of the variant that lacks it.
    pub share: Spread,
}

/// The median over rounds and the extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Median over rounds.
    pub median: f64,
    /// Least of any round.
    pub min: f64,
    /// Most of any round.
    pub max: f64,
    /// Rounds.
    pub n: usize,
}

impl Spread {
    /// Of one value a round; zeros of nothing.
    fn of(values: &[f64]) -> Self {
        let least = values.iter().copied().reduce(f64::min);
        let most = values.iter().copied().reduce(f64::max);
        Self {
            median: median(values).unwrap_or(0.0),
            min: least.unwrap_or(0.0),
            max: most.unwrap_or(0.0),
            n: values.len(),
        }
    }
}

/// How many tokens took how long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Ends of the bins in milliseconds, evenly spread over the logarithm: one more than bins.
    pub edges_ms: Vec<f64>,
    /// Of each variant, tokens in each bin.
    pub counts: Vec<Vec<usize>>,
}

/// One turn of one variant, token by token.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// Round, from 0.
    pub round: usize,
    /// Index of the variant.
    pub variant: usize,
    /// Nanoseconds of each token.
    pub ns: Vec<u64>,
    /// Of these, in attention.
    pub attention_ns: Vec<u64>,
    /// Of these, at the end of the step.
    pub planning_ns: Vec<u64>,
    /// Rows that left the window.
    pub flushed: Vec<u64>,
    /// Stored rows that moved.
    pub lowered: Vec<u64>,
}

/// One decoded token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    ns: u64,
    attention_ns: u64,
    planning_ns: u64,
    work: PlanWork,
}

impl Step {
    pub(super) fn new(total: Duration, attend: Duration, end: Duration, work: PlanWork) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            ns: ns(total),
            attention_ns: ns(attend),
            planning_ns: ns(end),
            work,
        }
    }
}

impl Round {
    pub(super) fn new(round: usize, variant: usize, steps: &[Step]) -> Self {
        let of = |pick: fn(&Step) -> u64| steps.iter().map(pick).collect();
        Self {
            round,
            variant,
            ns: of(|s| s.ns),
            attention_ns: of(|s| s.attention_ns),
            planning_ns: of(|s| s.planning_ns),
            flushed: of(|s| s.work.flushed),
            lowered: of(|s| s.work.lowered),
        }
    }

    fn kind(&self, token: usize) -> &'static str {
        match (self.flushed[token], self.lowered[token]) {
            (0, _) => KINDS[0],
            (_, 0) => KINDS[1],
            _ => KINDS[2],
        }
    }
}

/// What a step had to do.
const KINDS: [&str; 3] = ["plain", "planned", "reallocated"];

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds of a token, counts of rows"
)]
fn floats(values: &[u64]) -> impl Iterator<Item = f64> {
    values.iter().map(|value| *value as f64)
}

fn milliseconds(ns: &[f64]) -> Milliseconds {
    let at = |share| quantile(ns, share).unwrap_or(0.0) / MS;
    Milliseconds {
        mean: mean(ns).unwrap_or(0.0) / MS,
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        min: at(0.0),
        max: at(1.0),
        n: ns.len(),
    }
}

/// The rounds of one variant in order.
fn own(index: usize, rounds: &[Round]) -> Vec<&Round> {
    rounds
        .iter()
        .filter(|round| round.variant == index)
        .collect()
}

pub(super) fn variant_record(
    index: usize,
    variant: &Variant,
    cache: &Cache,
    rounds: &[Round],
) -> VariantRecord {
    let rounds = own(index, rounds);
    let all: Vec<f64> = rounds.iter().flat_map(|round| floats(&round.ns)).collect();
    let means = |pick: fn(&Round) -> &[u64]| {
        let mean =
            |round: &&Round| mean(&floats(pick(round)).collect::<Vec<_>>()).unwrap_or(0.0) / MS;
        Spread::of(&rounds.iter().map(mean).collect::<Vec<_>>())
    };
    VariantRecord {
        role: variant.role,
        strategy: variant.strategy.name.clone(),
        config: variant.strategy.config.clone(),
        budget: cache.budget(),
        simulated: variant.strategy.is_simulated(),
        cache: cache.memory(),
        token: milliseconds(&all),
        mean_ms: means(|round| &round.ns),
        attention_ms: means(|round| &round.attention_ns),
        planning_ms: means(|round| &round.planning_ns),
        kinds: KINDS
            .into_iter()
            .filter_map(|kind| of_kind(kind, &rounds, all.len()))
            .collect(),
    }
}

/// Steps of one kind; `None` if there are none.
#[expect(clippy::cast_precision_loss, reason = "counts of tokens")]
fn of_kind(kind: &'static str, rounds: &[&Round], all: usize) -> Option<Kind> {
    let pick = |column: fn(&Round) -> &[u64]| -> Vec<f64> {
        let of_round = |round: &&Round| {
            let values = floats(column(round)).enumerate();
            let own = values.filter(|(token, _)| round.kind(*token) == kind);
            own.map(|(_, value)| value).collect::<Vec<_>>()
        };
        rounds.iter().flat_map(of_round).collect()
    };
    let ns = pick(|round| &round.ns);
    (!ns.is_empty()).then(|| Kind {
        kind,
        share: ns.len() as f64 / all as f64,
        token: milliseconds(&ns),
        planning_p50_ms: median(&pick(|round| &round.planning_ns)).unwrap_or(0.0) / MS,
        flushed_rows: mean(&pick(|round| &round.flushed)).unwrap_or(0.0),
        lowered_rows: mean(&pick(|round| &round.lowered)).unwrap_or(0.0),
    })
}

/// What the variants tell of parts, where there are two that differ in them.
pub(super) fn overheads(variants: &[VariantRecord], rounds: &[Round]) -> Vec<Overhead> {
    let pairs = [
        ("tracking", Role::Steady, Role::Untracked),
        ("reallocation", Role::Given, Role::Steady),
        ("tracking and reallocation", Role::Given, Role::Untracked),
    ];
    let means = |role: Role| -> Option<Vec<f64>> {
        let index = variants.iter().position(|variant| variant.role == role)?;
        let rounds = own(index, rounds).into_iter();
        rounds
            .map(|round| mean(&floats(&round.ns).collect::<Vec<_>>()))
            .collect()
    };
    let overhead = |(of, with, without)| {
        let (has, lacks) = (means(with)?, means(without)?);
        let pairs = || has.iter().zip(&lacks);
        Some(Overhead {
            of,
            with,
            without,
            ms: Spread::of(&pairs().map(|(a, b)| (a - b) / MS).collect::<Vec<_>>()),
            share: Spread::of(&pairs().map(|(a, b)| a / b - 1.0).collect::<Vec<_>>()),
        })
    };
    pairs.into_iter().filter_map(overhead).collect()
}

/// All tokens in common bins.
pub(super) fn histogram(variants: usize, rounds: &[Round]) -> Histogram {
    let all = || rounds.iter().flat_map(|round| floats(&round.ns));
    let least = all().fold(f64::INFINITY, f64::min).max(1.0);
    let most = all().fold(least, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a few bins")]
    let edge = |bin: usize| least * (most / least).powf(bin as f64 / BINS as f64);
    let edges: Vec<f64> = (0..=BINS).map(edge).collect();
    let mut counts = vec![vec![0; BINS]; variants];
    for round in rounds {
        for ns in floats(&round.ns) {
            let bin = edges.partition_point(|edge| *edge <= ns).saturating_sub(1);
            counts[round.variant][bin.min(BINS - 1)] += 1;
        }
    }
    Histogram {
        edges_ms: edges.into_iter().map(|edge| edge / MS).collect(),
        counts,
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    fn round(round: usize, variant: usize, ns: &[u64], flushed: &[u64], lowered: &[u64]) -> Round {
        Round {
            round,
            variant,
            ns: ns.to_vec(),
            attention_ns: ns.iter().map(|ns| ns / 2).collect(),
            planning_ns: vec![0; ns.len()],
            flushed: flushed.to_vec(),
            lowered: lowered.to_vec(),
        }
    }

    #[test]
    fn steps_are_told_apart_by_what_they_moved() {
        let one = round(
            0,
            0,
            &[1_000_000, 2_000_000, 4_000_000],
            &[0, 8, 8],
            &[0, 0, 3],
        );
        let rounds = [&one];
        let kind = |name| of_kind(name, &rounds, 3).unwrap();
        assert_eq!(kind("plain").token.p50, 1.0);
        assert_eq!(kind("planned").token.p50, 2.0);
        let last = kind("reallocated");
        assert_eq!((last.token.mean, last.lowered_rows), (4.0, 3.0));
        let plain = round(0, 0, &[1], &[0], &[0]);
        assert!(of_kind("planned", &[&plain], 1).is_none());
    }

    #[test]
    fn every_token_is_in_a_bin() {
        let rounds = [
            round(0, 0, &[10, 20, 400], &[0; 3], &[0; 3]),
            round(0, 1, &[7, 7, 1000], &[0; 3], &[0; 3]),
        ];
        let histogram = histogram(2, &rounds);
        assert_eq!(histogram.edges_ms.len(), BINS + 1);
        assert!(histogram.edges_ms.is_sorted());
        let totals: Vec<usize> = histogram.counts.iter().map(|c| c.iter().sum()).collect();
        assert_eq!(totals, [3, 3]);
        assert_eq!(
            (histogram.counts[1][0], histogram.counts[1][BINS - 1]),
            (2, 1)
        );
    }

    #[test]
    fn equal_times_are_one_bin() {
        let histogram = histogram(1, &[round(0, 0, &[5, 5], &[0; 2], &[0; 2])]);
        assert_eq!(histogram.counts[0].iter().sum::<usize>(), 2);
    }
}
