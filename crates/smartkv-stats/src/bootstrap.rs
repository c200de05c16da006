//! The paired bootstrap of a mean.

use super::{float, mean, quantile::of_sorted, sign_flip};
use crate::error::{Result, StatsError};
use crate::random::Draws;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// Resamples to draw.
    pub resamples: usize,
    /// Coverage of the interval, between 0 and 1.
    pub level: f64,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            level: 0.95,
            seed: 0,
        }
    }
}

impl Bootstrap {
    /// Checks both parameters.
    ///
    /// # Errors
    /// No resamples, or a level outside `0..1`.
    pub fn check(&self) -> Result<()> {
        if self.resamples == 0 {
            return Err(StatsError::parameter(
                "bootstrap.resamples",
                0,
                "at least 1",
            ));
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(StatsError::parameter(
                "bootstrap.level",
                self.level,
                "between 0 and 1",
            ));
        }
        Ok(())
    }
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Nominal coverage.
    pub level: f64,
}

impl Interval {
    /// The interval of a monotonically increasing function of the quantity.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            low: f(self.low),
            high: f(self.high),
            ..self
        }
    }

    /// Whether `value` lies inside, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A mean over units with its percentile bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean over the units.
    pub mean: f64,
    /// Percentile interval; absent with fewer than two units of some population.
    pub interval: Option<Interval>,
    /// Units resampled: windows or prompts.
    pub units: usize,
}

/// A mean paired difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The mean of the differences and its interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Two-sided p-value of the [sign-flip test](super::sign_flip) against no difference.
    pub p_two_sided: f64,
}

/// The mean of `units` with a percentile bootstrap interval over them.
///
/// The percentile interval is somewhat too narrow below about 20 units; one unit has none.
///
/// # Errors
/// No units, units that are not finite, parameters that do not [`check`](Bootstrap::check).
pub fn bootstrap_mean(units: &[f64], how: &Bootstrap) -> Result<Estimate> {
    bootstrap_mean_within(units, &[], how)
}

/// [`bootstrap_mean`] of units that come from several populations: `strata` names that of each, and
/// units are resampled among their own. Without strata all are of one. A population with a single
/// unit shows no spread: then there is no interval.
///
/// # Errors
/// Strata for another number of units, and those of [`bootstrap_mean`].
pub fn bootstrap_mean_within(units: &[f64], strata: &[usize], how: &Bootstrap) -> Result<Estimate> {
    let (centre, means) = resampled_means(units, strata, how)?;
    let tail = (1.0 - how.level) / 2.0;
    let interval = of_sorted(&means, tail)
        .zip(of_sorted(&means, 1.0 - tail))
        .map(|(low, high)| Interval {
            low,
            high,
            level: how.level,
        });
    Ok(Estimate {
        mean: centre,
        interval,
        units: units.len(),
    })
}

/// The mean, and the sorted means of all resamples; none where a stratum has fewer than two units.
/// Each unit is drawn among those of its own stratum.
pub(super) fn resampled_means(
    units: &[f64],
    strata: &[usize],
    how: &Bootstrap,
) -> Result<(f64, Vec<f64>)> {
    how.check()?;
    if !strata.is_empty() && strata.len() != units.len() {
        return Err(StatsError::Input(format!(
            "{} strata for {} units",
            strata.len(),
            units.len()
        )));
    }
    if let Some(value) = units.iter().find(|value| !value.is_finite()) {
        return Err(StatsError::Input(format!(
            "bootstrap of a value that is {value}"
        )));
    }
    let Some(centre) = mean(units) else {
        return Err(StatsError::Input("bootstrap of no values".into()));
    };
    let n = units.len();
    let mut own: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (index, &unit) in units.iter().enumerate() {
        let stratum = strata.get(index).copied().unwrap_or(0);
        own.entry(stratum).or_default().push(unit);
    }
    let mut means: Vec<f64> = Vec::new();
    if own.values().all(|own| own.len() > 1) {
        let mut draws = Draws::keyed([how.seed, 0, 0, 0]);
        let mut draw = |_| {
            let all = own.values().map(|own| {
                let drawn = (0..own.len()).map(|_| own[draws.below(own.len())]);
                drawn.sum::<f64>()
            });
            all.sum::<f64>() / float(n)
        };
        means.extend((0..how.resamples).map(&mut draw));
        means.sort_by(f64::total_cmp);
    }
    Ok((centre, means))
}

/// [`bootstrap_mean`] of `b - a`, unit by unit, with the p-value of a sign-flip test.
///
/// # Errors
/// Different numbers of units, and those of [`bootstrap_mean`].
pub fn paired_difference(a: &[f64], b: &[f64], how: &Bootstrap) -> Result<Difference> {
    if a.len() != b.len() {
        return Err(StatsError::Input(format!(
            "paired comparison of {} with {} units",
            a.len(),
            b.len()
        )));
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let estimate = bootstrap_mean(&differences, how)?;
    Ok(Difference {
        estimate,
        p_two_sided: sign_flip(&differences, how.resamples, how.seed),
    })
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_has_no_mean() {
        let how = Bootstrap::default();
        assert!(bootstrap_mean(&[], &how).is_err());
        assert!(bootstrap_mean(&[1.0, f64::NAN], &how).is_err());
        assert!(paired_difference(&[1.0], &[1.0, 2.0], &how).is_err());
        assert!(bootstrap_mean(&[1.0], &Bootstrap { level: 1.0, ..how }).is_err());
        assert!(
            bootstrap_mean(
                &[1.0],
                &Bootstrap {
                    resamples: 0,
                    ..how
                }
            )
            .is_err()
        );
    }

    #[test]
    fn one_unit_has_no_interval() {
        let estimate = bootstrap_mean(&[3.0], &Bootstrap::default()).unwrap();
        assert_eq!(
            (estimate.mean, estimate.interval, estimate.units),
            (3.0, None, 1)
        );
    }

    #[test]
    fn same_seed_same_interval() {
        let units: Vec<f64> = (0..12).map(|i| f64::from(i % 5) - 1.0).collect();
        let how = Bootstrap {
            resamples: 500,
            ..Bootstrap::default()
        };
        assert_eq!(
            bootstrap_mean(&units, &how).unwrap(),
            bootstrap_mean(&units, &how).unwrap()
        );
        let other = bootstrap_mean(&units, &Bootstrap { seed: 1, ..how }).unwrap();
        assert_ne!(
            bootstrap_mean(&units, &how).unwrap().interval,
            other.interval
        );
    }

    #[test]
    fn equal_units_have_a_point_interval() {
        let difference = paired_difference(&[1.0; 9], &[1.0; 9], &Bootstrap::default()).unwrap();
        let interval = difference.estimate.interval.unwrap();
        assert_eq!(
            (difference.estimate.mean, interval.low, interval.high),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(difference.p_two_sided, 1.0);
    }
}
