//! Windows and samples of rows, pooled over seeds: what is resampled.
//!
//! A unit is a window of a text or a sample of a task, by its contents. A unit that was measured
//! under several seeds is one unit with several values, not several units: repeating a
//! deterministic measurement adds nothing, and of a random one the repeats are of the same text.
//! Units that were drawn under different seeds come from the same text: any of them could have been
//! drawn under any seed, so they are one population, and only parts of a task are drawn apart.

use crate::group::Row;
use crate::measure::{Metric, Reading, Scale};
use smartkv_stats::{Bootstrap, Resampled, drawable, float};
use std::collections::BTreeMap;

/// The values of several rows on the same units.
#[derive(Debug, Clone)]
pub struct Pooled {
    units: Vec<Unit>,
    strata: Vec<usize>,
    /// What each part weighs against the heaviest.
    shares: Vec<f64>,
    /// Of each row: its metric, and the mean of its units.
    rows: Vec<(f64, f64)>,
    scale: Scale,
}

#[derive(Debug, Clone)]
struct Unit {
    part: usize,
    /// What it weighs against the heaviest of its part: 1 where all were measured as often.
    weight: f64,
    /// One value a row: the mean over the seeds that it was measured under.
    values: Vec<f64>,
}

impl Pooled {
    /// The units that all rows have, under seeds that all rows have. `None` if a row has no samples
    /// of the metric under one of them, or there is no common unit.
    #[must_use]
    pub fn of(rows: &[&Row<'_>], metric: &Metric) -> Option<Self> {
        let seeds = common_seeds(rows);
        let seen = observed(rows, metric, &seeds)?;
        let parts = 1 + seen.iter().map(|unit| unit.part).max()?;
        // Every seed weighs the same, of a seed every part, and of a part every unit.
        let mut counts = vec![vec![0_usize; parts]; seeds.len()];
        for unit in &seen {
            for &seed in unit.values.keys() {
                counts[seed][unit.part] += 1;
            }
        }
        let filled = |seed: &Vec<usize>| seed.iter().filter(|&&count| count > 0).count();
        let seeds = (0..seeds.len()).filter(|&seed| filled(&counts[seed]) > 0);
        let seeds: Vec<usize> = seeds.collect();
        let used = float(seeds.len());
        let mut shares = vec![0.0; parts];
        let mut heaviest = vec![0.0_f64; parts];
        let mut of_seeds = vec![vec![0.0; rows.len()]; counts.len()];
        let mut units = Vec::with_capacity(seen.len());
        for Observed { part, values } in seen {
            let mut unit = Unit {
                part,
                weight: 0.0,
                values: vec![0.0; rows.len()],
            };
            for (seed, values) in values {
                let of_seed = 1.0 / (float(filled(&counts[seed])) * float(counts[seed][part]));
                unit.weight += of_seed / used;
                for (row, value) in values.into_iter().enumerate() {
                    of_seeds[seed][row] += of_seed * value;
                    unit.values[row] += of_seed / used * value;
                }
            }
            unit.values
                .iter_mut()
                .for_each(|value| *value /= unit.weight);
            shares[part] += unit.weight;
            heaviest[part] = heaviest[part].max(unit.weight);
            units.push(unit);
        }
        for unit in &mut units {
            unit.weight /= heaviest[unit.part];
        }
        let most = shares.iter().copied().fold(0.0, f64::max);
        shares.iter_mut().for_each(|share| *share /= most);
        let mut pooled = Self {
            strata: units.iter().map(|unit| unit.part).collect(),
            units,
            shares,
            rows: Vec::new(),
            scale: metric.scale,
        };
        let means = pooled.linear(&pooled.places()).into_iter().enumerate();
        let metric = |row: usize, mean: f64| match metric.scale {
            Scale::Mean => mean,
            Scale::ExpMean => {
                let of_seed = |&seed: &usize| of_seeds[seed][row].exp();
                seeds.iter().map(of_seed).sum::<f64>() / used
            }
        };
        pooled.rows = means.map(|(row, mean)| (metric(row, mean), mean)).collect();
        Some(pooled)
    }

    /// How many units there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there are none, which [`Pooled::of`] excludes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The places of all units.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        (0..self.units.len()).collect()
    }

    /// What units are drawn within: their parts.
    #[must_use]
    pub fn strata(&self) -> &[usize] {
        &self.strata
    }

    /// Whether resamples can differ: no part has a single unit.
    #[must_use]
    pub fn is_drawable(&self) -> bool {
        drawable(&self.strata)
    }

    /// The metric of each row over the units at `places`. Over all it is the mean over seeds of the
    /// mean over parts of the mean over units, each seed's on the metric's scale. Where the metric
    /// is `exp` of a mean, other units multiply it by `exp` of what they add to the mean: a drawn
    /// resample has no seeds of its own.
    #[must_use]
    pub fn metric(&self, places: &[usize]) -> Vec<f64> {
        let means = self.linear(places);
        match self.scale {
            Scale::Mean => means,
            Scale::ExpMean => {
                let rows = self.rows.iter().zip(means);
                rows.map(|((metric, all), mean)| metric * (mean - all).exp())
                    .collect()
            }
        }
    }

    /// The mean over parts of the mean over units, on the scale that rows are compared on:
    /// logarithms where the metric is `exp` of a mean.
    #[must_use]
    pub fn linear(&self, places: &[usize]) -> Vec<f64> {
        let rows = self.units.first().map_or(0, |unit| unit.values.len());
        let mut sums = vec![0.0; rows * self.shares.len()];
        let mut weights = vec![0.0; self.shares.len()];
        for &place in places {
            let unit = &self.units[place];
            weights[unit.part] += unit.weight;
            let own = &mut sums[unit.part * rows..][..rows];
            for (sum, value) in own.iter_mut().zip(&unit.values) {
                *sum += unit.weight * value;
            }
        }
        let filled: Vec<usize> = (0..weights.len()).filter(|&p| weights[p] > 0.0).collect();
        let all: f64 = filled.iter().map(|&part| self.shares[part]).sum();
        let of_row = |row: usize| {
            let parts = filled
                .iter()
                .map(|&part| self.shares[part] * sums[part * rows + row] / weights[part]);
            parts.sum::<f64>() / all
        };
        (0..rows).map(of_row).collect()
    }

    /// Bootstraps a statistic of the rows' values on drawn units.
    ///
    /// # Errors
    /// Parameters of the bootstrap that do not check.
    pub fn resample(
        &self,
        how: &Bootstrap,
        statistic: impl FnMut(&[usize]) -> f64,
    ) -> smartkv_stats::Result<Resampled> {
        Resampled::of(&self.strata, how, statistic)
    }

    /// The values of one row, unit by unit, averaged over seeds.
    #[must_use]
    pub fn units(&self, row: usize) -> Vec<f64> {
        self.units.iter().map(|unit| unit.values[row]).collect()
    }

    /// Right answers and all of them, where every unit of a row is 0 or 1 and its metric is their
    /// plain share.
    #[must_use]
    pub fn outcomes(&self, row: usize) -> Option<(usize, usize)> {
        let units = self.units(row);
        let right = units.iter().filter(|value| **value > 0.5).count();
        let share = float(right) / float(units.len());
        let plain = (self.metric(&self.places())[row] - share).abs() < 1e-9;
        let binary = units.iter().all(|value| value.fract() == 0.0);
        (plain && binary).then_some((right, units.len()))
    }

    /// Factors with which the plain mean over units is that of [`Pooled::linear`]: all 1 where
    /// parts are equally large and units were measured equally often.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.shares.len()];
        for unit in &self.units {
            weights[unit.part] += unit.weight;
        }
        let all: f64 = self.shares.iter().sum();
        let count = float(self.units.len());
        let factor = |unit: &Unit| {
            let part = unit.part;
            count * self.shares[part] * unit.weight / (weights[part] * all)
        };
        self.units.iter().map(factor).collect()
    }
}

/// One unit as it was found: by the seed's place, one value a row.
struct Observed {
    part: usize,
    values: BTreeMap<usize, Vec<f64>>,
}

/// The units that every row has, with those seeds under which every row has them.
fn observed(rows: &[&Row<'_>], metric: &Metric, seeds: &[u64]) -> Option<Vec<Observed>> {
    // Units stand in the order of the records, as in the records' own intervals.
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found: Vec<Observed> = Vec::new();
    for (before, row) in rows.iter().enumerate() {
        for (index, &seed) in seeds.iter().enumerate() {
            let cell = row.cells.iter().find(|cell| cell.spec.seed == seed)?;
            let measured = cell.measurement(&metric.name)?;
            if measured.samples.is_empty() || measured.reading == Reading::Simulated {
                return None;
            }
            for sample in &measured.samples {
                let place = *places.entry(&sample.key).or_insert_with(|| {
                    found.push(Observed {
                        part: sample.part,
                        values: BTreeMap::new(),
                    });
                    found.len() - 1
                });
                let values = found[place].values.entry(index).or_default();
                // Nothing of a unit that an earlier row lacks.
                if values.len() == before {
                    values.push(sample.value);
                }
            }
        }
    }
    for unit in &mut found {
        unit.values.retain(|_, values| values.len() == rows.len());
    }
    found.retain(|unit| !unit.values.is_empty());
    Some(found)
}

/// Seeds that every row has, ascending.
#[must_use]
pub fn common_seeds(rows: &[&Row<'_>]) -> Vec<u64> {
    let has = |row: &Row<'_>, seed: u64| row.cells.iter().any(|cell| cell.spec.seed == seed);
    let first = rows.first().map(|row| row.cells.iter());
    let mut seeds: Vec<u64> = first
        .into_iter()
        .flatten()
        .map(|cell| cell.spec.seed)
        .filter(|&seed| rows.iter().all(|row| has(row, seed)))
        .collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}
