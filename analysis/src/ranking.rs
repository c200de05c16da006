//! Which rows can be ranked together: those that were measured under the same seeds.
//!
//! Windows may be drawn anew under each seed. A row that lacks a seed, as its cell failed, is a
//! mean over other windows than the rest, and may look better or worse for that alone.

use crate::group::Row;
use crate::measure::Metric;
use std::collections::BTreeSet;

/// Whether each row lacks a number of one of `metrics` under a seed under which another of the rows
/// has them all. Rows without any such number, as simulated ones have no bytes, do not count.
#[must_use]
pub fn incomplete(rows: &[&Row<'_>], metrics: &[&Metric]) -> Vec<bool> {
    let seeds: Vec<BTreeSet<u64>> = rows.iter().map(|row| seeds(row, metrics)).collect();
    let all: BTreeSet<u64> = seeds.iter().flatten().copied().collect();
    seeds
        .iter()
        .map(|own| !own.is_empty() && own.len() < all.len())
        .collect()
}

/// The seeds under which a row has a number of each metric.
fn seeds(row: &Row<'_>, metrics: &[&Metric]) -> BTreeSet<u64> {
    let whole = row.cells.iter().filter(|cell| {
        metrics.iter().all(|metric| {
            let found = cell.measurement(&metric.name);
            found.is_some_and(|found| found.reading.number().is_some())
        })
    });
    whole.map(|cell| cell.spec.seed).collect()
}
