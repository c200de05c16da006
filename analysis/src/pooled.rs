//! Windows and samples of rows, pooled over seeds: what is resampled.
//!
//! A unit is a window of a text or a sample of a task, by its contents. A unit that was measured
//! under several seeds is one unit with several values, not several units: repeating a
//! deterministic measurement adds nothing, and of a random one the repeats are of the same text.
//! Units are drawn among those that have the same seeds and are of the same part.

use crate::group::Row;
use crate::measure::{Metric, Reading, Scale};
use smartkv_stats::{Bootstrap, Resampled, float};
use std::collections::BTreeMap;

/// The values of several rows on the same units.
#[derive(Debug, Clone)]
pub struct Pooled {
    rows: usize,
    units: Vec<Unit>,
    strata: Vec<usize>,
    seeds: usize,
    parts: usize,
    scale: Scale,
}

#[derive(Debug, Clone)]
struct Unit {
    part: usize,
    /// By the seed's place, one value a row.
    values: Vec<(usize, Vec<f64>)>,
}

impl Pooled {
    /// The units that all rows have, under seeds that all rows have. `None` if a row has no samples
    /// of the metric under one of them, or there is no common unit.
    #[must_use]
    pub fn of(rows: &[&Row<'_>], metric: &Metric) -> Option<Self> {
        let seeds = common_seeds(rows);
        // Unit by unit, seed by seed: the values of the rows found so far. Units stand in the order
        // of the records, as in the records' own intervals.
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut found: Vec<(usize, BTreeMap<usize, Vec<f64>>)> = Vec::new();
        for (before, row) in rows.iter().enumerate() {
            for (index, &seed) in seeds.iter().enumerate() {
                let cell = row.cells.iter().find(|cell| cell.spec.seed == seed)?;
                let measured = cell.measurement(&metric.name)?;
                if measured.samples.is_empty() || measured.reading == Reading::Simulated {
                    return None;
                }
                for sample in &measured.samples {
                    let place = *places.entry(&sample.key).or_insert_with(|| {
                        found.push((sample.part, BTreeMap::new()));
                        found.len() - 1
                    });
                    let values = found[place].1.entry(index).or_default();
                    // Nothing of a unit that an earlier row lacks.
                    if values.len() == before {
                        values.push(sample.value);
                    }
                }
            }
        }
        let mut units: Vec<Unit> = Vec::new();
        let mut kinds: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut strata = Vec::new();
        for (part, values) in found {
            let whole = values
                .into_iter()
                .filter(|(_, all)| all.len() == rows.len());
            let values: Vec<(usize, Vec<f64>)> = whole.collect();
            if values.is_empty() {
                continue;
            }
            let kind = (part, values.iter().map(|(index, _)| *index).collect());
            let stratum = kinds.iter().position(|known| *known == kind);
            strata.push(stratum.unwrap_or(kinds.len()));
            if stratum.is_none() {
                kinds.push(kind);
            }
            units.push(Unit { part, values });
        }
        let parts = 1 + units.iter().map(|unit| unit.part).max()?;
        Some(Self {
            rows: rows.len(),
            units,
            strata,
            seeds: seeds.len(),
            parts,
            scale: metric.scale,
        })
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

    /// What units are drawn within.
    #[must_use]
    pub fn strata(&self) -> &[usize] {
        &self.strata
    }

    /// The metric of each row over the units at `places`: the mean over seeds of the mean over
    /// parts of the mean over units, each seed's on the metric's scale.
    #[must_use]
    pub fn metric(&self, places: &[usize]) -> Vec<f64> {
        self.over_seeds(places, |mean| match self.scale {
            Scale::Mean => mean,
            Scale::ExpMean => mean.exp(),
        })
    }

    /// The same on the scale that rows are compared on: logarithms where the metric is `exp` of a
    /// mean.
    #[must_use]
    pub fn linear(&self, places: &[usize]) -> Vec<f64> {
        self.over_seeds(places, |mean| mean)
    }

    fn over_seeds(&self, places: &[usize], scale: impl Fn(f64) -> f64) -> Vec<f64> {
        let slots = self.seeds * self.parts;
        let mut sums = vec![0.0; slots * self.rows];
        let mut counts = vec![0_usize; slots];
        for &place in places {
            let unit = &self.units[place];
            for (seed, values) in &unit.values {
                let slot = seed * self.parts + unit.part;
                counts[slot] += 1;
                let own = &mut sums[slot * self.rows..][..self.rows];
                own.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        let of_seed = |seed: usize| seed * self.parts..(seed + 1) * self.parts;
        let filled = |seed: usize| of_seed(seed).filter(|&slot| counts[slot] > 0);
        let seeds: Vec<usize> = (0..self.seeds).filter(|&s| filled(s).count() > 0).collect();
        let of_row = |row: usize| {
            let of_seed = seeds.iter().map(|&seed| {
                let means =
                    filled(seed).map(|slot| sums[slot * self.rows + row] / float(counts[slot]));
                scale(means.sum::<f64>() / float(filled(seed).count()))
            });
            of_seed.sum::<f64>() / float(seeds.len())
        };
        (0..self.rows).map(of_row).collect()
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
        let average = |unit: &Unit| {
            let values = unit.values.iter().map(|(_, values)| values[row]);
            values.sum::<f64>() / float(unit.values.len())
        };
        self.units.iter().map(average).collect()
    }

    /// Right answers and all of them, where every unit of a row is 0 or 1 and its metric is their
    /// plain share.
    #[must_use]
    pub fn outcomes(&self, row: usize) -> Option<(usize, usize)> {
        let units = self.units(row);
        let right = units.iter().filter(|value| **value > 0.5).count();
        let share = float(right) / float(units.len());
        let all: Vec<usize> = (0..units.len()).collect();
        let plain = (self.metric(&all)[row] - share).abs() < 1e-9;
        let binary = units.iter().all(|value| value.fract() == 0.0);
        (plain && binary).then_some((right, units.len()))
    }

    /// Factors that give parts equal weight in a plain mean over units.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        let mut counts = vec![0_usize; self.parts];
        for unit in &self.units {
            counts[unit.part] += 1;
        }
        let filled = counts.iter().filter(|count| **count > 0).count();
        let weight =
            |unit: &Unit| float(self.units.len()) / (float(filled) * float(counts[unit.part]));
        self.units.iter().map(weight).collect()
    }
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
