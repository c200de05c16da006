//! One metric of one row: mean, spread over seeds, interval over windows or samples.

use crate::error::Result;
use crate::group::Row;
use crate::measure::{Metric, Reading};
use crate::pooled::Pooled;
use smartkv_stats::special::normal_quantile;
use smartkv_stats::{Bootstrap, Interval, mean, standard_deviation, wilson};

/// What a row says of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Summary {
    /// A number.
    Estimate(Estimate),
    /// The strategy is simulated and has no number of this kind.
    Simulated,
    /// No cell has it.
    Absent,
}

/// A metric over the seeds of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Mean over the seeds.
    pub mean: f64,
    /// Standard deviation over the seeds; absent with one.
    pub sd: Option<f64>,
    /// Seeds.
    pub seeds: usize,
    /// Interval of the mean over windows or samples; absent where the metric is no mean
    /// over them, or there are fewer than two.
    pub interval: Option<Interval>,
    /// Windows or samples.
    pub units: Option<usize>,
}

/// Sums up one metric of a row.
///
/// # Errors
/// Parameters of the bootstrap that do not check.
pub fn summarise(row: &Row<'_>, metric: &Metric, how: &Bootstrap) -> Result<Summary> {
    let found = row
        .cells
        .iter()
        .filter_map(|cell| cell.measurement(&metric.name));
    let readings: Vec<Reading> = found.map(|one| one.reading).collect();
    let values: Vec<f64> = readings.iter().filter_map(|one| one.number()).collect();
    let Some(centre) = mean(&values) else {
        return Ok(if readings.is_empty() {
            Summary::Absent
        } else {
            Summary::Simulated
        });
    };
    let pooled = Pooled::of(&[row], metric);
    let interval = match &pooled {
        Some(pooled) => interval(pooled, metric, how)?,
        None => None,
    };
    Ok(Summary::Estimate(Estimate {
        mean: centre,
        sd: standard_deviation(&values),
        seeds: values.len(),
        interval,
        units: pooled.map(|pooled| pooled.len()),
    }))
}

/// A bootstrap interval; of shares of right answers Wilson's, which does not vanish where all are
/// right.
fn interval(pooled: &Pooled, metric: &Metric, how: &Bootstrap) -> Result<Option<Interval>> {
    if let Some((right, all)) = pooled.outcomes(0).filter(|_| metric.answers) {
        let z = normal_quantile(0.5 + how.level / 2.0);
        return Ok(Some(wilson(right, all, z, how.level)?));
    }
    let resampled = pooled.resample(how, |places| pooled.metric(places)[0])?;
    Ok(resampled.interval())
}
