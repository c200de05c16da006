//! Accuracies: the Wilson interval of one, the exact `McNemar` test between two.

use super::{Interval, float};
use crate::error::{Result, StatsError};
use serde::{Deserialize, Serialize};

/// Normal quantile of a two-sided 95% interval.
pub const Z_95: f64 = 1.959_963_984_540_054;
/// Normal quantile of a two-sided 99% interval.
pub const Z_99: f64 = 2.575_829_303_548_900_4;

/// A share of successes with its 95% Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Successes.
    pub successes: usize,
    /// Trials.
    pub trials: usize,
    /// Successes divided by trials.
    pub share: f64,
    /// Wilson score interval.
    pub interval: Interval,
}

impl Proportion {
    /// Counts the true outcomes; `None` of nothing.
    #[must_use]
    pub fn of(outcomes: impl IntoIterator<Item = bool>) -> Option<Self> {
        let (successes, trials) = outcomes
            .into_iter()
            .fold((0, 0), |(hits, n), hit| (hits + usize::from(hit), n + 1));
        let interval = wilson(successes, trials, Z_95, 0.95).ok()?;
        Some(Self {
            successes,
            trials,
            share: float(successes) / float(trials),
            interval,
        })
    }
}

/// Wilson score interval without continuity correction; `z` is the normal quantile of `level`.
///
/// # Errors
/// No trials, or more successes than trials.
pub fn wilson(successes: usize, trials: usize, z: f64, level: f64) -> Result<Interval> {
    if trials == 0 || successes > trials {
        return Err(StatsError::Input(format!(
            "Wilson interval of {successes} successes in {trials} trials"
        )));
    }
    let (n, share) = (float(trials), float(successes) / float(trials));
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    // At the ends the formula is exact, rounding is not.
    let low = if successes == 0 {
        0.0
    } else {
        (centre - half).max(0.0)
    };
    let high = if successes == trials {
        1.0
    } else {
        (centre + half).min(1.0)
    };
    Ok(Interval { low, high, level })
}

/// The exact `McNemar` test of two paired sets of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Pairs where only the first succeeded.
    pub only_first: usize,
    /// Pairs where only the second succeeded.
    pub only_second: usize,
    /// Two-sided exact p-value; 1 without discordant pairs.
    pub p_two_sided: f64,
}

/// Exact `McNemar` test from the two discordant counts.
#[must_use]
pub fn mcnemar_exact(only_first: usize, only_second: usize) -> McNemar {
    let (few, n) = (only_first.min(only_second), only_first + only_second);
    // ln C(n, k), built up term by term.
    let mut ln_choose = 0.0;
    let mut tail = 0.0;
    for k in 0..=few {
        tail += (ln_choose - float(n) * std::f64::consts::LN_2).exp();
        ln_choose += (float(n - k) / float(k + 1)).ln();
    }
    McNemar {
        only_first,
        only_second,
        // No p-value is 0, whatever underflows.
        p_two_sided: (2.0 * tail).clamp(f64::MIN_POSITIVE, 1.0),
    }
}

/// [`mcnemar_exact`] of paired outcomes.
///
/// # Errors
/// Different numbers of outcomes.
pub fn mcnemar_paired(first: &[bool], second: &[bool]) -> Result<McNemar> {
    if first.len() != second.len() {
        return Err(StatsError::Input(format!(
            "paired comparison of {} with {} outcomes",
            first.len(),
            second.len()
        )));
    }
    let count = |a: bool, b: bool| {
        first
            .iter()
            .zip(second)
            .filter(|&(&x, &y)| (x, y) == (a, b))
            .count()
    };
    Ok(mcnemar_exact(count(true, false), count(false, true)))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    #[test]
    fn no_trials_have_no_interval() {
        assert!(wilson(0, 0, Z_95, 0.95).is_err());
        assert!(wilson(3, 2, Z_95, 0.95).is_err());
        assert_eq!(Proportion::of([]), None);
    }

    #[test]
    fn certain_outcomes_keep_an_open_end() {
        let all = Proportion::of([true; 10]).unwrap();
        assert_eq!((all.share, all.interval.high), (1.0, 1.0));
        assert!(all.interval.low > 0.7 && all.interval.low < 0.73);
        let none = Proportion::of([false; 10]).unwrap();
        assert_eq!((none.share, none.interval.low), (0.0, 0.0));
    }

    #[test]
    fn mcnemar_counts_discordant_pairs() {
        let test = mcnemar_paired(&[true, true, false, true], &[true, false, true, false]).unwrap();
        assert_eq!(
            (test.only_first, test.only_second, test.p_two_sided),
            (2, 1, 1.0)
        );
        assert_eq!(mcnemar_exact(0, 0).p_two_sided, 1.0);
        assert!(mcnemar_paired(&[true], &[]).is_err());
    }

    #[test]
    fn mcnemar_is_symmetric_and_survives_large_counts() {
        assert_eq!(
            mcnemar_exact(4, 19).p_two_sided,
            mcnemar_exact(19, 4).p_two_sided
        );
        let p = mcnemar_exact(5_000, 5_200).p_two_sided;
        assert!(p > 0.04 && p < 0.06, "{p}");
    }
}
