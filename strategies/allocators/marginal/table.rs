//! The same for damages that are given row by row: every row has a hull of its own.

use rayon::prelude::*;
use smartkv_core::Problem;
use std::collections::BTreeSet;

/// A step up along the hull of a row.
struct Upgrade {
    /// Damage saved per byte.
    gain: f32,
    row: usize,
    /// The better offer.
    to: u8,
    bytes: u64,
}

/// Takes the upgrades of all rows in order of return; the cheapest offers must fit.
pub(super) fn allocate(problem: &Problem<'_>, cheapest_bytes: u64) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
    let cheapest = problem.menu.len().saturating_sub(1) as u8;
    let rows = (0..problem.rows()).into_par_iter();
    let mut all: Vec<Upgrade> = rows.flat_map_iter(|row| upgrades(problem, row)).collect();
    all.par_sort_unstable_by(|a, b| {
        b.gain.total_cmp(&a.gain).then(a.row.cmp(&b.row)).then(b.to.cmp(&a.to))
    });
    let mut offers = vec![cheapest; problem.rows()];
    let mut left = problem.budget - cheapest_bytes;
    let mut stopped = BTreeSet::new();
    for Upgrade { row, to, bytes, .. } in all {
        // A row whose next upgrade did not fit must not skip it.
        if bytes <= left && !stopped.contains(&row) {
            left -= bytes;
            offers[row] = to;
        } else {
            stopped.insert(row);
        }
    }
    offers
}

/// Upgrades of a row along the lower convex hull of its (bytes, damage) points, cheapest first.
fn upgrades(problem: &Problem<'_>, row: usize) -> Vec<Upgrade> {
    let best = usize::from(problem.best[row]);
    let mut at = problem.menu.len() - 1;
    let mut found = Vec::new();
    let mut least = f32::INFINITY;
    while at > best {
        let mut next: Option<(usize, f32)> = None;
        for to in (best..at).rev() {
            #[expect(clippy::cast_precision_loss, reason = "bytes of one row")]
            let bytes = (problem.menu[to].bytes - problem.menu[at].bytes) as f32;
            let gain = (problem.damage(row, at) - problem.damage(row, to)) / bytes;
            // At equal returns the larger step: it is the same edge.
            if gain > 0.0 && next.is_none_or(|(_, g)| gain >= g) {
                next = Some((to, gain));
            }
        }
        let Some((to, gain)) = next else { break };
        // Rounding must not make returns rise.
        least = least.min(gain);
        found.push(Upgrade {
            gain: least,
            row,
            #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
            to: to as u8,
            bytes: u64::from(problem.menu[to].bytes - problem.menu[at].bytes),
        });
        at = to;
    }
    found
}
