//! From turns to a record: medians over rounds, ratios within them.

use super::machine::Environment;
use super::record::{
    BandwidthRecord, BenchRecord, DecodeRecord, PeakRecord, PrefillRecord, ProtocolRecord, Row,
    SCHEMA, SlopeRow, StrategyRecord, TokenTimes, TurnRecord,
};
use super::rounds::{Measured, Subject, Turn, WeightBytes};
use super::settings::UNTIMED_TOKENS;
use super::spread::{Spread, slope};
use super::turn::Stop;
use crate::experiment::CacheRecord;
use smartkv_core::Prefill;
use smartkv_eval::stats::{Quantiles, median};

/// The strategy that the others are compared with.
const FIRST: usize = 0;

/// Turns of one weight mode, by strategy and in the order of rounds.
struct Mode<'a> {
    turns: Vec<Vec<&'a Turn>>,
    weights: WeightBytes,
}

impl<'a> Mode<'a> {
    fn new(measured: &'a Measured, mode: usize, entries: usize) -> Self {
        let of = |entry| {
            let all = measured.turns.iter();
            // Alternating order within rounds, but rounds one after the other.
            all.filter(|turn| turn.mode == mode && turn.entry == entry)
                .collect()
        };
        Self {
            turns: (0..entries).map(of).collect(),
            weights: measured.weights[mode],
        }
    }

    /// One value a round, at stop `index` of a strategy.
    fn each<T>(&self, entry: usize, index: usize, pick: impl Fn(&Turn, &Stop) -> T) -> Vec<T> {
        let turns = self.turns[entry].iter();
        turns.map(|turn| pick(turn, &turn.stops[index])).collect()
    }

    fn bytes(&self, stop: &Stop) -> f64 {
        float(self.weights.read_a_token + stop.live_bytes())
    }

    fn prefill(&self, entry: usize, index: usize) -> Option<PrefillRecord> {
        let speed = |entry| {
            self.each(entry, index, |_, stop| {
                float(stop.context as u64) / stop.prefill_s
            })
        };
        Some(PrefillRecord {
            tokens_per_s: Spread::of(&speed(entry))?,
            first_token_s: Spread::of(&self.each(entry, index, |_, stop| stop.first_token_s))?,
            speed_to_first: Spread::ratio(&speed(entry), &speed(FIRST))?,
        })
    }

    fn decode(&self, entry: usize, index: usize) -> Option<DecodeRecord> {
        let all: Vec<f64> = self
            .each(entry, index, |_, stop| stop.decode_s.clone())
            .concat();
        let times = Quantiles::of(&all)?;
        let speed = |entry| {
            self.each(entry, index, |_, stop| {
                float(stop.decode_s.len() as u64) / stop.decode_s.iter().sum::<f64>()
            })
        };
        let rate = self.each(entry, index, |_, stop| {
            self.bytes(stop) / median(&stop.decode_s).unwrap_or(f64::NAN) / 1e9
        });
        let same = self.each(entry, index, |turn, _| turn.rates.sizes[index]);
        let memory = self.each(entry, index, |turn, _| turn.rates.memory);
        let live = self.each(entry, index, |_, stop| stop.live_bytes()).pop()?;
        Some(DecodeRecord {
            tokens_per_s: Spread::of(&speed(entry))?,
            speed_to_first: Spread::ratio(&speed(entry), &speed(FIRST))?,
            token_ms: TokenTimes {
                mean: times.mean * 1e3,
                p50: times.median * 1e3,
                p95: times.p95 * 1e3,
                p99: times.p99 * 1e3,
                max: times.max * 1e3,
                n: times.n,
            },
            weight_bytes_a_token: self.weights.read_a_token,
            cache_bytes_a_token: live,
            bytes_a_token: self.weights.read_a_token + live,
            gb_per_s: Spread::of(&rate)?,
            same_size_gb_per_s: Spread::of(&same)?,
            share_of_same_size: Spread::ratio(&rate, &same)?,
            share_of_memory: Spread::ratio(&rate, &memory)?,
        })
    }

    /// Milliseconds for 1000 tokens of context more, round by round.
    fn slopes(&self, entry: usize) -> Vec<f64> {
        let of = |turn: &&Turn| {
            let point = |stop: &Stop| {
                let token_s = median(&stop.decode_s)?;
                Some((float(stop.context as u64) / 1e3, token_s * 1e3))
            };
            let points: Vec<_> = turn.stops.iter().filter_map(point).collect();
            slope(&points)
        };
        self.turns[entry].iter().filter_map(of).collect()
    }
}

/// The record of what was measured.
pub(super) fn record(
    model: &str,
    subject: &Subject<'_>,
    environment: Environment,
    measured: Measured,
) -> BenchRecord {
    let settings = subject.settings;
    let mut rows = Vec::new();
    let mut slopes = Vec::new();
    for (mode, weights) in subject.modes.iter().enumerate() {
        let turns = Mode::new(&measured, mode, settings.entries.len());
        for index in 0..settings.depths().len() {
            for (entry, strategy) in settings.entries.iter().enumerate() {
                let last = turns.turns[entry].last().map(|turn| &turn.stops[index]);
                let Some((last, prefill)) = last.zip(turns.prefill(entry, index)) else {
                    continue;
                };
                let peaks = turns.each(entry, index, |_, stop| {
                    peak(stop, settings.prefill, turns.weights.held)
                });
                let peak = peaks.into_iter().flatten().max_by_key(|peak| peak.bytes);
                rows.push(Row {
                    weights: weights.to_string(),
                    entry,
                    strategy: strategy.spec.strategy.name.clone(),
                    budget: strategy.budget(),
                    context: last.context,
                    weight_bytes: turns.weights.held,
                    prefill,
                    decode: turns.decode(entry, index),
                    cache: CacheRecord::new(&last.cache, None),
                    peak_rss_bytes: peak.map(|peak| peak.bytes),
                    peak,
                });
            }
        }
        let first = turns.slopes(FIRST);
        for (entry, strategy) in settings.entries.iter().enumerate() {
            let own = turns.slopes(entry);
            // Next to no slope, or less, is nothing to divide by.
            let meant = first.iter().all(|slope| *slope > 0.0);
            let cost_to_first = Spread::ratio(&own, &first).filter(|_| meant);
            slopes.extend(Spread::of(&own).map(|ms_a_1k_tokens| SlopeRow {
                weights: weights.to_string(),
                entry,
                strategy: strategy.spec.strategy.name.clone(),
                budget: strategy.budget(),
                ms_a_1k_tokens,
                cost_to_first,
            }));
        }
    }
    let strategies = settings.entries.iter().map(|entry| StrategyRecord {
        strategy: entry.spec.strategy.name.clone(),
        budget: entry.budget(),
        config: entry.spec.strategy.config.clone(),
        simulated: entry.spec.strategy.is_simulated(),
    });
    BenchRecord {
        schema: SCHEMA,
        model: model.to_string(),
        strategies: strategies.collect(),
        rows,
        slopes,
        memory_bandwidth: memory_bandwidth(&measured),
        process_peak_rss_bytes: measured.peak_rss_bytes,
        others_processors: others_processors(&measured),
        protocol: protocol(subject, measured.text_tokens),
        environment,
        samples: samples(subject, measured.turns),
    }
}

/// The parts of a stop's peak, if it has one of its own.
fn peak(stop: &Stop, prefill: Prefill, weight_bytes: u64) -> Option<PeakRecord> {
    let bytes = stop.peak_rss_bytes?;
    let file_bytes = stop.file_rss_bytes?;
    let cache_bytes = stop.cache.peak_bytes;
    Some(PeakRecord {
        prefill,
        bytes,
        weight_bytes,
        cache_bytes,
        file_bytes,
        other_bytes: bytes.saturating_sub(weight_bytes + cache_bytes + file_bytes),
    })
}

fn memory_bandwidth(measured: &Measured) -> BandwidthRecord {
    let rates: Vec<f64> = measured
        .turns
        .iter()
        .map(|turn| turn.rates.memory)
        .collect();
    let nothing = Spread {
        median: f64::NAN,
        min: f64::NAN,
        max: f64::NAN,
        n: 0,
    };
    BandwidthRecord {
        buffer_bytes: measured.far_bytes as u64,
        gb_per_s: Spread::of(&rates).unwrap_or(nothing),
    }
}

fn others_processors(measured: &Measured) -> Option<Spread> {
    let others = measured.turns.iter().filter_map(|turn| turn.others);
    Spread::of(&others.collect::<Vec<f64>>())
}

fn protocol(subject: &Subject<'_>, text_tokens: usize) -> ProtocolRecord {
    let settings = subject.settings;
    ProtocolRecord {
        contexts: settings.contexts.clone(),
        prefill_tokens: settings.prefill_tokens,
        decode_tokens: settings.tokens,
        untimed_tokens: UNTIMED_TOKENS,
        rounds: settings.rounds,
        chunk: settings.chunk,
        prefill: settings.prefill,
        text: subject.text.source.clone(),
        text_sha256: subject.text.sha256.clone(),
        text_tokens,
        seed: settings.seed,
        order: "as given in even rounds, reversed in odd ones, counted from 0",
    }
}

fn samples(subject: &Subject<'_>, turns: Vec<Turn>) -> Vec<TurnRecord> {
    let record = |turn: Turn| TurnRecord {
        round: turn.round,
        weights: subject.modes[turn.mode].to_string(),
        entry: turn.entry,
        others_processors: turn.others,
        memory_gb_per_s: turn.rates.memory,
        same_size_gb_per_s: turn.rates.sizes,
        stops: turn.stops,
    };
    turns.into_iter().map(record).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "byte and token counts are far below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}
