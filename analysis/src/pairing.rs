//! Whether two rows were measured on the same windows or samples.

use crate::group::Row;
use crate::measure::{Kind, Measurement, Metric};
use crate::pooled::{Pooled, common_seeds};
use std::collections::BTreeSet;

/// Whether both rows have a metric, but of other windows or samples: then their difference is as
/// much one of texts as of rows, and is none. Bytes and times stand for themselves.
///
/// Where the metric is a mean over windows or samples, some must be common. Quantiles over the
/// tokens of all windows are of the same tokens or of others: all windows must be common.
#[must_use]
pub fn unpaired(baseline: &Row<'_>, row: &Row<'_>, metric: &Metric) -> bool {
    if metric.kind != Kind::Quality {
        return false;
    }
    let rows = [baseline, row];
    let (mut sampled, mut moved) = (false, false);
    for seed in common_seeds(&rows) {
        let measured = |name: &str| rows.map(|row| measured(row, seed, name));
        let [Some(from), Some(to)] = measured(&metric.name) else {
            return false;
        };
        sampled |= !from.samples.is_empty() || !to.samples.is_empty();
        let [from, to] = measured(OF_WINDOWS).map(keys);
        moved |= from != to;
    }
    if sampled {
        Pooled::of(&rows, metric).is_none()
    } else {
        moved
    }
}

/// A metric of every evaluation whose samples are its windows.
const OF_WINDOWS: &str = "kl_mean";

fn measured<'a>(row: &Row<'a>, seed: u64, metric: &str) -> Option<&'a Measurement> {
    let cell = row.cells.iter().find(|cell| cell.spec.seed == seed)?;
    cell.measurement(metric)
}

fn keys(measured: Option<&Measurement>) -> BTreeSet<&str> {
    let samples = measured.into_iter().flat_map(|one| &one.samples);
    samples.map(|sample| sample.key.as_str()).collect()
}
