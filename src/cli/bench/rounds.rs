//! Rounds in which weights and strategies take turns.

use super::settings::{Entry, Settings, UNTIMED_TOKENS};
use super::turn::{self, Stage, Stop};
use super::{BenchError, bandwidth, others, weights};
use crate::assets::Text;
use crate::experiment::resident;
use crate::progress::spinner;
use smartkv_eval::Progress;
use smartkv_host::{LoadOptions, LogitsFor, Model, WeightMode};
use std::path::Path;

/// Tokens prefilled before a strategy's first turn on freshly loaded weights.
const WARM_UP_TOKENS: usize = 64;

/// What is measured.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) path: &'a Path,
    pub(super) modes: &'a [WeightMode],
    pub(super) text: &'a Text,
    pub(super) settings: &'a Settings,
}

/// One turn of one strategy.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) round: usize,
    /// Index of the weight mode.
    pub(super) mode: usize,
    /// Index of the strategy.
    pub(super) entry: usize,
    pub(super) stops: Vec<Stop>,
    /// Processors busy with other work meanwhile, where the system tells.
    pub(super) others: Option<f64>,
    /// Reading rates right after the turn, one size for each stop.
    pub(super) rates: bandwidth::Rates,
}

/// Everything measured, in the order it was.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) turns: Vec<Turn>,
    pub(super) weights: Vec<WeightBytes>,
    pub(super) text_tokens: usize,
    pub(super) far_bytes: usize,
    /// Most bytes resident at any time, where no stop has its own.
    pub(super) peak_rss_bytes: Option<u64>,
}

/// Bytes of the weights in one mode.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WeightBytes {
    pub(super) held: u64,
    pub(super) read_a_token: u64,
}

/// Weights as loaded for some turns.
struct Loaded {
    mode: usize,
    model: Model,
    tokens: Vec<u32>,
    weights: WeightBytes,
}

impl Subject<'_> {
    fn load(&self, mode: usize) -> anyhow::Result<Loaded> {
        let weights = self.modes[mode];
        let model = Model::load(self.path, LoadOptions { weights })?;
        let tokens = model.tokenizer().encode(&self.text.text, true)?;
        self.check(&model, tokens.len())?;
        let weights = WeightBytes {
            held: model.weight_bytes() as u64,
            read_a_token: weights::bytes_a_token(&model, self.path)?,
        };
        for entry in &self.settings.entries {
            warm_up(&model, entry, self.settings, &tokens)?;
        }
        Ok(Loaded {
            mode,
            model,
            tokens,
            weights,
        })
    }

    fn check(&self, model: &Model, available: usize) -> Result<(), BenchError> {
        let (needed, what) = self.settings.reach();
        let limit = model.description().context_length;
        if needed > limit {
            return Err(BenchError::TooLong {
                what,
                needed,
                limit,
            });
        }
        if needed > available {
            return Err(BenchError::TextTooShort {
                what,
                needed,
                text: self.text.source.clone(),
                available,
            });
        }
        Ok(())
    }
}

/// Touches weights, kernels and the thread pool; refuses budgets that cannot be held.
fn warm_up(
    model: &Model,
    entry: &Entry,
    settings: &Settings,
    tokens: &[u32],
) -> anyhow::Result<()> {
    let mut cache = entry.spec.build(model)?;
    let (longest, _) = settings.reach();
    let prompt = WARM_UP_TOKENS
        .min(longest.saturating_sub(UNTIMED_TOKENS))
        .max(1);
    model.prefill(
        &[&tokens[..prompt]],
        &mut cache,
        settings.chunk,
        LogitsFor::Last,
    )?;
    for token in tokens[prompt..].iter().take(UNTIMED_TOKENS) {
        model.forward(&[&[*token]], &mut cache, LogitsFor::Last, false)?;
    }
    Ok(())
}

/// Forwards in even rounds, backwards in odd ones: nobody always follows the same neighbour.
fn order(round: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if !round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

pub(super) fn measure(subject: &Subject<'_>, progress: &dyn Progress) -> anyhow::Result<Measured> {
    let settings = subject.settings;
    let far = bandwidth::far_bytes(bandwidth::last_level_cache());
    let mut measured = Measured {
        turns: Vec::new(),
        weights: vec![WeightBytes::default(); subject.modes.len()],
        text_tokens: 0,
        far_bytes: far,
        peak_rss_bytes: None,
    };
    let spinner = spinner("loading the model and warming up");
    let mut loaded = subject.load(0)?;
    spinner.finish_and_clear();
    let turns = settings.rounds * subject.modes.len() * settings.entries.len();
    progress.begin(turns * turn::tokens(settings));
    for round in 0..settings.rounds {
        for mode in order(round, subject.modes.len()) {
            if loaded.mode != mode {
                // One at a time, so that no strategy's memory holds the weights of another turn.
                drop(loaded);
                progress.message(&format!("loading {} weights", subject.modes[mode]));
                loaded = subject.load(mode)?;
            }
            measured.weights[mode] = loaded.weights;
            measured.text_tokens = loaded.tokens.len();
            for entry in order(round, settings.entries.len()) {
                let strategy = &settings.entries[entry];
                progress.message(&strategy.label());
                let stage = Stage {
                    model: &loaded.model,
                    text: &loaded.tokens,
                    settings,
                    // Allocators keep much of the weights that were loaded before these.
                    own_mark: subject.modes.len() == 1,
                };
                let clock = others::Clock::now();
                let stops = turn::run(&stage, strategy, progress)?;
                let others = others::since(clock);
                let read = loaded.weights.read_a_token;
                let sizes: Vec<u64> = stops.iter().map(|stop| read + stop.live_bytes()).collect();
                measured.turns.push(Turn {
                    round,
                    mode,
                    entry,
                    stops,
                    others,
                    rates: bandwidth::measure(far, &sizes),
                });
            }
        }
    }
    let mut stops = measured.turns.iter().flat_map(|turn| &turn.stops);
    if stops.all(|stop| stop.peak_rss_bytes.is_none()) {
        measured.peak_rss_bytes = resident::peak();
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_alternate() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [2, 1, 0]);
        assert_eq!(order(2, 1), [0]);
    }
}
