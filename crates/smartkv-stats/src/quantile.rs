//! Means, quantiles and the summary that tables print.

use super::float;
use serde::{Deserialize, Serialize};

/// Arithmetic mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / float(values.len()))
}

/// Median; the mean of the middle two when their number is even. `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Quantile with linear interpolation between order statistics, as `NumPy` does by default.
///
/// `share` is clamped to `0..=1`; NaN values sort last. `None` of nothing.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    of_sorted(&sorted, share)
}

/// [`quantile`] of values that are sorted already.
pub(super) fn of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * float(last);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0..=last"
    )]
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let part = place - float(below);
    Some(sorted[below] + (sorted[above] - sorted[below]) * part)
}

/// Mean and the quantiles that matter for a quantity with a heavy upper tail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Arithmetic mean.
    pub mean: f64,
    /// 50% quantile.
    pub median: f64,
    /// 95% quantile.
    pub p95: f64,
    /// 99% quantile.
    pub p99: f64,
    /// Largest value.
    pub max: f64,
    /// How many values.
    pub n: usize,
}

impl Quantiles {
    /// The summary of these values; `None` of nothing.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            mean: mean(values)?,
            median: of_sorted(&sorted, 0.5)?,
            p95: of_sorted(&sorted, 0.95)?,
            p99: of_sorted(&sorted, 0.99)?,
            max: *sorted.last()?,
            n: values.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(mean(&[]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(Quantiles::of(&[]), None);
    }

    #[test]
    fn order_does_not_matter() {
        let up = Quantiles::of(&[1.0, 2.0, 3.0, 10.0]).unwrap();
        let down = Quantiles::of(&[10.0, 3.0, 2.0, 1.0]).unwrap();
        assert_eq!(up, down);
        assert_eq!((up.median, up.max, up.n), (2.5, 10.0, 4));
    }

    #[test]
    fn one_value_is_every_quantile() {
        for share in [-1.0, 0.0, 0.3, 1.0, 2.0] {
            assert_eq!(quantile(&[4.0], share), Some(4.0));
        }
    }
}
