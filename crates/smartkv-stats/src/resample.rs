//! The bootstrap of any statistic of units.

use super::bca::{acceleration, corrected};
use super::random::Draws;
use super::{Bootstrap, Interval, Result, float, quantile::of_sorted};
use std::collections::BTreeMap;

/// A statistic and what it was of every resample of its units.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// Of all units as they are.
    pub value: f64,
    /// Of each resample, ascending; empty where nothing is [`drawable`].
    pub resamples: Vec<f64>,
    /// Skewness of the jackknife over 6; absent where units are of several strata.
    acceleration: Option<f64>,
    level: f64,
}

impl Resampled {
    /// Bootstraps `statistic`, which is given the places of drawn units. `strata` names the
    /// population of each unit, and units are drawn among their own: as many entries as units.
    ///
    /// What is paired stays paired: a place stands for everything measured on that unit.
    ///
    /// # Errors
    /// Parameters that do not [`check`](Bootstrap::check).
    pub fn of(
        strata: &[usize],
        how: &Bootstrap,
        mut statistic: impl FnMut(&[usize]) -> f64,
    ) -> Result<Self> {
        let value = statistic(&(0..strata.len()).collect::<Vec<_>>());
        let mut resamples = Vec::new();
        draw(strata, how, |places| resamples.push(statistic(places)))?;
        resamples.sort_by(f64::total_cmp);
        let single = strata.iter().all(|stratum| Some(stratum) == strata.first());
        let acceleration = (single && strata.len() > 1).then(|| {
            let without = |left: usize| {
                let rest: Vec<usize> = (0..strata.len()).filter(|&place| place != left).collect();
                statistic(&rest)
            };
            let jackknife: Vec<f64> = (0..strata.len()).map(without).collect();
            let centre = jackknife.iter().sum::<f64>() / float(jackknife.len());
            acceleration(jackknife.iter().map(|value| centre - value))
        });
        Ok(Self {
            value,
            resamples,
            acceleration,
            level: how.level,
        })
    }

    /// The interval: bias-corrected and accelerated (Efron 1987) where all units are of one
    /// population, the percentile interval where they are of several. `None` where nothing is
    /// [`drawable`], and where the statistic is not finite for some resample.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        let ends = [self.resamples.first(), self.resamples.last()];
        if !ends.into_iter().flatten().all(|end| end.is_finite()) {
            return None;
        }
        match self.acceleration {
            Some(skew) if skew.is_finite() => {
                corrected(self.value, &self.resamples, skew, self.level)
            }
            _ => self.percentiles(),
        }
    }

    /// The percentile interval, for statistics that are no smooth function of means.
    #[must_use]
    pub fn percentiles(&self) -> Option<Interval> {
        let tail = (1.0 - self.level) / 2.0;
        let low = of_sorted(&self.resamples, tail)?;
        let high = of_sorted(&self.resamples, 1.0 - tail)?;
        (low.is_finite() && high.is_finite()).then_some(Interval {
            low,
            high,
            level: self.level,
        })
    }
}

/// Whether units can be drawn: there are some, and none is the only one of its stratum. One unit
/// drawn among itself is always the same, which would pass for certainty.
#[must_use]
pub fn drawable(strata: &[usize]) -> bool {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for &stratum in strata {
        *counts.entry(stratum).or_default() += 1;
    }
    !counts.is_empty() && counts.values().all(|&count| count > 1)
}

/// Draws `how.resamples` times as many units as there are, each among those of its own stratum,
/// and hands their places to `see`. Nothing is drawn where nothing is [`drawable`].
///
/// Equal seeds draw equal places, whatever is computed from them.
///
/// # Errors
/// Parameters that do not [`check`](Bootstrap::check).
pub fn draw(strata: &[usize], how: &Bootstrap, mut see: impl FnMut(&[usize])) -> Result<()> {
    how.check()?;
    if !drawable(strata) {
        return Ok(());
    }
    let mut own: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, &stratum) in strata.iter().enumerate() {
        own.entry(stratum).or_default().push(place);
    }
    let mut draws = Draws::keyed([how.seed, 0, 0, 0]);
    let mut drawn = Vec::with_capacity(strata.len());
    for _ in 0..how.resamples {
        drawn.clear();
        for own in own.values() {
            drawn.extend((0..own.len()).map(|_| own[draws.below(own.len())]));
        }
        see(&drawn);
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;
    use crate::{bca_interval, bootstrap_mean_within};

    fn close(a: Option<Interval>, b: Option<Interval>) {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(
            (a.low - b.low).abs() < 1e-12 && (a.high - b.high).abs() < 1e-12,
            "{a:?} {b:?}"
        );
    }

    #[test]
    fn of_a_mean_it_is_the_interval_of_a_mean() {
        let units: Vec<f64> = (1..=15).map(|i| 1.0 / f64::from(i)).collect();
        let how = Bootstrap::default();
        let mean =
            |places: &[usize]| places.iter().map(|&i| units[i]).sum::<f64>() / float(places.len());
        let all = Resampled::of(&[0; 15], &how, mean).unwrap();
        close(all.interval(), bca_interval(&units, &how).unwrap());
        let strata: Vec<usize> = (0..15).map(|i| i % 2).collect();
        let within = Resampled::of(&strata, &how, mean).unwrap();
        let expected = bootstrap_mean_within(&units, &strata, &how).unwrap();
        close(within.interval(), expected.interval);
    }

    #[test]
    fn what_has_no_interval() {
        let how = Bootstrap::default();
        let one = Resampled::of(&[0], &how, |_| 3.0).unwrap();
        assert_eq!((one.interval(), one.percentiles()), (None, None));
        // A mean over no unit of the kind that is asked for.
        let units = [1.0, 0.0, 1.0];
        let inverse = |places: &[usize]| 1.0 / places.iter().map(|&i| units[i]).sum::<f64>();
        assert_eq!(
            Resampled::of(&[0; 3], &how, inverse).unwrap().interval(),
            None
        );
        let never = Bootstrap {
            resamples: 0,
            ..how
        };
        assert!(Resampled::of(&[0; 3], &never, inverse).is_err());
    }

    #[test]
    fn a_unit_alone_in_its_stratum_leaves_no_interval() {
        let how = Bootstrap::default();
        let units = [1.0, 2.0, 9.0];
        let mean =
            |places: &[usize]| places.iter().map(|&i| units[i]).sum::<f64>() / float(places.len());
        for strata in [[0, 1, 2], [0, 0, 1]] {
            let found = Resampled::of(&strata, &how, mean).unwrap();
            assert_eq!(found.value, 4.0);
            assert_eq!((found.interval(), found.percentiles()), (None, None));
            let within = bootstrap_mean_within(&units, &strata, &how).unwrap();
            assert_eq!(within.interval, None);
            assert!(!drawable(&strata));
        }
        assert!(drawable(&[3, 1, 3, 1]) && !drawable(&[]) && !drawable(&[7]));
    }

    #[test]
    fn units_stay_within_their_strata() {
        let strata = [7, 2, 7, 2, 2];
        let mut seen = 0;
        draw(&strata, &Bootstrap::default(), |places| {
            let of = |stratum| places.iter().filter(|&&i| strata[i] == stratum).count();
            assert_eq!((of(2), of(7)), (3, 2));
            seen += 1;
        })
        .unwrap();
        assert_eq!(seen, 10_000);
    }
}
