//! A median and how far the rounds lie apart.

use serde::Serialize;
use smartkv_eval::stats::median;

/// The median over rounds and the extremes: with a handful of rounds, an interval would claim more
/// than is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Median over rounds.
    pub(super) median: f64,
    /// Least of any round.
    pub(super) min: f64,
    /// Most of any round.
    pub(super) max: f64,
    /// Rounds.
    pub(super) n: usize,
}

impl Spread {
    /// The spread of one value a round; `None` of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            median: median(values)?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            n: values.len(),
        })
    }

    /// The spread of `values[i] / of[i]`: both from the same round.
    pub(super) fn ratio(values: &[f64], of: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = values.iter().zip(of).map(|(a, b)| a / b).collect();
        Self::of(&ratios)
    }
}

/// Slope of `y` over `x` by least squares; `None` below two different `x`.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mean = |pick: fn(&(f64, f64)) -> f64| {
        let values: Vec<f64> = points.iter().map(pick).collect();
        smartkv_eval::stats::mean(&values)
    };
    let (x0, y0) = (mean(|p| p.0)?, mean(|p| p.1)?);
    let spread: f64 = points.iter().map(|(x, _)| (x - x0).powi(2)).sum();
    let joint: f64 = points.iter().map(|(x, y)| (x - x0) * (y - y0)).sum();
    (spread > 0.0).then(|| joint / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_rounds() {
        // A round twice as slow for both changes no ratio.
        let spread = Spread::ratio(&[10.0, 5.0, 20.0], &[20.0, 10.0, 40.0]).unwrap();
        assert_eq!(
            (spread.min, spread.median, spread.max, spread.n),
            (0.5, 0.5, 0.5, 3)
        );
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_line_has_its_slope() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert_eq!(slope(&[]), None);
    }
}
