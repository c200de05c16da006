//! The bias-corrected and accelerated bootstrap of a mean, and the bootstrap's p-value.

use super::bootstrap::resampled_means;
use super::special::{normal_cdf, normal_quantile};
use super::{Bootstrap, Interval, float, quantile::of_sorted};
use crate::error::Result;

/// The interval known as `BCa` (Efron 1987) of the mean of `units`: percentiles of the resampled
/// means, shifted for their bias and for a skewed distribution. `None` with fewer than two units.
///
/// For paired samples, `units` are the differences. It covers better than the percentile interval
/// of [`bootstrap_mean`](super::bootstrap_mean) where units are skewed, as losses of an evicting
/// cache are; it draws the same resamples. Equal units have a point interval.
///
/// # Errors
/// Those of [`bootstrap_mean`](super::bootstrap_mean).
pub fn bca_interval(units: &[f64], how: &Bootstrap) -> Result<Option<Interval>> {
    let (centre, means) = resampled_means(units, &[], how)?;
    // Leaving out unit i moves the mean by -(x_i - mean) / (n - 1).
    let acceleration = acceleration(units.iter().map(|unit| unit - centre));
    Ok(corrected(centre, &means, acceleration, how.level))
}

/// Percentiles of the sorted `resamples` of a statistic that is `centre` of all units, shifted for
/// bias and skewness. `None` without resamples.
pub(super) fn corrected(
    centre: f64,
    resamples: &[f64],
    acceleration: f64,
    level: f64,
) -> Option<Interval> {
    let b = float(resamples.len());
    let below = resamples.partition_point(|&value| value < centre);
    let up_to = resamples.partition_point(|&value| value <= centre);
    // Half of the ties count as below: discrete units tie often.
    let bias = normal_quantile(0.5 * (float(below) + float(up_to)) / b);
    let corrected = |tail: f64| {
        let z = bias + normal_quantile(tail);
        let share = normal_cdf(bias + z / (1.0 - acceleration * z));
        // All resamples on one side: there is nothing to correct with.
        if bias.is_finite() && !share.is_nan() {
            share
        } else {
            tail
        }
    };
    let tail = (1.0 - level) / 2.0;
    let low = of_sorted(resamples, corrected(tail));
    let high = of_sorted(resamples, corrected(1.0 - tail));
    low.zip(high)
        .map(|(low, high)| Interval { low, high, level })
}

/// Skewness over 6 of what leaving out each unit takes from a statistic, centred; 0 where it takes
/// nothing.
pub(super) fn acceleration(taken: impl Iterator<Item = f64>) -> f64 {
    let (squares, cubes) = taken.fold((0.0, 0.0), |(squares, cubes): (f64, f64), m| {
        (squares + m * m, cubes + m * m * m)
    });
    if squares > 0.0 {
        cubes / (6.0 * squares.powf(1.5))
    } else {
        0.0
    }
}

/// Two-sided bootstrap p-value of a mean of zero: `2 min(P(d* <= 0), P(d* >= 0))`, each share
/// counted with the +1 correction, at most 1. 1 for a single unit.
///
/// Below about 20 units it claims too much: prefer [`sign_flip`](super::sign_flip), which is
/// exact there.
///
/// # Errors
/// Those of [`bootstrap_mean`](super::bootstrap_mean).
pub fn bootstrap_p(units: &[f64], how: &Bootstrap) -> Result<f64> {
    let (_, means) = resampled_means(units, &[], how)?;
    let negative = means.partition_point(|&mean| mean <= 0.0);
    let positive = means.len() - means.partition_point(|&mean| mean < 0.0);
    let few = negative.min(positive);
    Ok((2.0 * float(few + 1) / float(means.len() + 1)).min(1.0))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;
    use crate::{bootstrap_mean, mean};

    #[test]
    fn degenerate_units() {
        let how = Bootstrap::default();
        assert!(bca_interval(&[], &how).is_err());
        assert!(bca_interval(&[f64::INFINITY, 1.0], &how).is_err());
        assert_eq!(bca_interval(&[2.0], &how).unwrap(), None);
        assert_eq!(bootstrap_p(&[2.0], &how).unwrap(), 1.0);
        let point = bca_interval(&[2.0; 7], &how).unwrap().unwrap();
        assert_eq!((point.low, point.high), (2.0, 2.0));
        assert_eq!(bootstrap_p(&[2.0; 7], &how).unwrap(), 2.0 / 10_001.0);
        assert_eq!(bootstrap_p(&[0.0; 7], &how).unwrap(), 1.0);
    }

    #[test]
    fn skew_moves_the_interval_towards_the_long_tail() {
        let units: Vec<f64> = (1..=15).map(|i| 1.0 / f64::from(i)).collect();
        let how = Bootstrap::default();
        let bca = bca_interval(&units, &how).unwrap().unwrap();
        let plain = bootstrap_mean(&units, &how).unwrap();
        let plain = plain.interval.unwrap();
        assert!(bca.low > plain.low && bca.high > plain.high, "{bca:?}");
        assert!(bca.contains(mean(&units).unwrap()));
    }
}
