//! Times, kept apart from results: results repeat to the bit, times do not.

use crate::stats::{float, median};
use serde::{Deserialize, Serialize};

/// The time of one phase of one window or prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Tokens run through the model.
    pub tokens: usize,
    /// Forward passes they took.
    pub forwards: usize,
    /// Wall-clock time of those passes in seconds, the cache's work included.
    pub seconds: f64,
}

/// The times of one cache, an entry per window or prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Prompts.
    pub prefill: Vec<PhaseTime>,
    /// Teacher-forced or generated tokens; with `chunked:N` not the speed of generation.
    pub decode: Vec<PhaseTime>,
}

/// Tokens per second over repeated runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Median over the runs.
    pub median_tokens_per_second: f64,
    /// Slowest run.
    pub min_tokens_per_second: f64,
    /// Fastest run.
    pub max_tokens_per_second: f64,
    /// Mean tokens in one forward pass.
    pub tokens_per_forward: f64,
    /// Runs.
    pub n: usize,
}

/// Speed of prefill and decode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Prompts; absent when nothing was prefilled.
    pub prefill: Option<Rate>,
    /// Teacher-forced or generated tokens.
    pub decode: Option<Rate>,
}

impl Rate {
    /// The rate over these runs; runs without tokens or time are left out. `None` of nothing.
    #[must_use]
    pub fn of(runs: &[PhaseTime]) -> Option<Self> {
        let runs = || {
            runs.iter()
                .filter(|run| run.tokens > 0 && run.seconds > 0.0)
        };
        let rates: Vec<f64> = runs().map(|run| float(run.tokens) / run.seconds).collect();
        let forwards: usize = runs().map(|run| run.forwards).sum();
        let tokens: usize = runs().map(|run| run.tokens).sum();
        Some(Self {
            median_tokens_per_second: median(&rates)?,
            min_tokens_per_second: rates.iter().copied().fold(f64::INFINITY, f64::min),
            max_tokens_per_second: rates.iter().copied().fold(0.0, f64::max),
            tokens_per_forward: float(tokens) / float(forwards.max(1)),
            n: rates.len(),
        })
    }
}

impl Timing {
    /// Tokens per second of both phases.
    #[must_use]
    pub fn speed(&self) -> Speed {
        Speed {
            prefill: Rate::of(&self.prefill),
            decode: Rate::of(&self.decode),
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    #[test]
    fn the_median_run_is_reported() {
        let run = |seconds| PhaseTime {
            tokens: 100,
            forwards: 50,
            seconds,
        };
        let idle = PhaseTime::default();
        let rate = Rate::of(&[run(1.0), run(10.0), run(2.0), idle]).unwrap();
        assert_eq!((rate.median_tokens_per_second, rate.n), (50.0, 3));
        assert_eq!(
            (rate.min_tokens_per_second, rate.max_tokens_per_second),
            (10.0, 100.0)
        );
        assert_eq!(rate.tokens_per_forward, 2.0);
        assert_eq!(
            Timing::default().speed(),
            Speed {
                prefill: None,
                decode: None
            }
        );
    }
}
