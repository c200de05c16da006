//! Greedy on the convex hull: the best damage saved per byte first.

// Relative to this folder: the build script names this file by its path.
#[path = "marginal/hulls.rs"]
mod hulls;
#[path = "marginal/table.rs"]
mod table;

use hulls::{Edge, Hulls};
use rayon::prelude::*;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};
use std::cmp::Ordering;

/// Spends the budget where a byte saves the most expected damage.
///
/// The upgrades of a row on the lower convex hull of its (bytes, damage) points have falling
/// returns, so taking the upgrades of all rows in order of return until the budget is used is
/// optimal up to one row. Which offers lie on a row's hull depends on the menu and on how its key
/// and value damages compare, so hulls are computed once for all rows.
///
/// After the first plan nearly all rows keep their best offer, and only what newer rows take has
/// to be saved: rows whose last upgrade returns more than enough others need no second look. Of
/// the rest nothing is sorted but the upgrades whose return is close to that of the last one
/// taken. So a plan is O(rows), with little to do for most of them.
#[config]
pub struct Marginal;

#[allocator("marginal")]
impl Allocator for Marginal {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let cheapest = cheapest_bytes(problem)?;
        if !problem.damages.is_empty() {
            return Ok(table::allocate(problem, cheapest));
        }
        let hulls = Hulls::new(problem.menu);
        let last = LastUpgrades::new(problem, &hulls);
        let open = last.open(problem.budget);
        Ok(spend(problem, &hulls, &open, last.full))
    }
}

/// Rows that one task looks at.
const ROWS_A_TASK: usize = 1 << 14;

/// Rows that are looked at together: their numbers stay in a first-level cache.
const ROWS_AT_ONCE: usize = 1 << 8;

/// Buckets of returns.
const BUCKETS: usize = 1 << 11;

/// Bucket of a return by its leading bits, which keep the order of floats that are not negative.
fn bucket(gain: f32) -> usize {
    (gain.max(0.0).to_bits() >> 20) as usize
}

/// Parts of a bucket.
const PARTS: usize = 1 << 12;

/// Part of its bucket that a return lies in.
fn part(gain: f32) -> usize {
    (gain.to_bits() >> 8) as usize % PARTS
}

/// The last upgrade of every row: the first that it loses.
struct LastUpgrades {
    /// What it returns.
    gains: Vec<f32>,
    /// Bytes that losing it saves at least, by bucket of its return.
    saved: Vec<u64>,
    /// Bytes of all rows at their best offers.
    full: u64,
}

impl LastUpgrades {
    fn new(problem: &Problem<'_>, hulls: &Hulls) -> Self {
        let mut gains = vec![0.0; problem.best.len()];
        let (full, saved) = gains
            .par_chunks_mut(ROWS_A_TASK)
            .enumerate()
            .map(|(task, gains)| {
                let (mut full, mut saved) = (0, vec![0; BUCKETS]);
                let mut row = task * ROWS_A_TASK;
                let best = problem.best[row..row + gains.len()].chunk_by(|a, b| a == b);
                let mut rest = gains;
                for (best, rows) in best.map(|run| (run[0], run.len())) {
                    let gains;
                    (gains, rest) = rest.split_at_mut(rows);
                    let (own, at) = (row..row + rows, usize::from(best));
                    row += rows;
                    let price = |offer: usize| u64::from(problem.menu[offer].bytes);
                    full += price(at) * rows as u64;
                    if at + 1 == problem.menu.len() {
                        gains.fill(f32::INFINITY);
                        continue;
                    }
                    let step = price(at) - price(at + 1);
                    let gains = gains.chunks_mut(ROWS_AT_ONCE);
                    let key = problem.key_damage[own.clone()].chunks(ROWS_AT_ONCE);
                    let value = problem.value_damage[own].chunks(ROWS_AT_ONCE);
                    for ((gains, key), value) in gains.zip(key).zip(value) {
                        hulls.last_gains(best, key, value, gains);
                        for &gain in &*gains {
                            saved[bucket(gain)] += step;
                        }
                    }
                }
                (full, saved)
            })
            .reduce(|| (0, vec![0; BUCKETS]), |a, b| (a.0 + b.0, add(a.1, &b.1)));
        Self { gains, saved, full }
    }

    /// Rows that may have to lose upgrades to meet the budget, of each task; all others keep their
    /// best offer. Losing last upgrades in order of return saves enough when it has come to the
    /// `border`, and rows that lose more upgrades than one only save more.
    fn open(&self, budget: u64) -> Vec<Vec<u32>> {
        let mut excess = self.full.saturating_sub(budget);
        let enough = |saved: &u64| {
            excess = excess.saturating_sub(*saved);
            excess == 0
        };
        let border = self.saved.iter().position(enough).unwrap_or(bucket(f32::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "one of 2048 buckets")]
        let above = f32::from_bits((border as u32 + 1) << 20);
        self.gains
            .par_chunks(ROWS_A_TASK)
            .enumerate()
            .map(|(task, gains)| {
                let mut open = Vec::new();
                let mut row = task * ROWS_A_TASK;
                for gains in gains.chunks(ROWS_AT_ONCE) {
                    // Mostly none: counting has no branch, so it runs on whole vectors.
                    if gains.iter().filter(|gain| **gain < above).count() > 0 {
                        let rows = (0u32..).zip(gains).filter(|(_, gain)| **gain < above);
                        #[expect(clippy::cast_possible_truncation, reason = "rows are u32")]
                        open.extend(rows.map(|(index, _)| row as u32 + index));
                    }
                    row += gains.len();
                }
                open
            })
            .collect()
    }
}

fn add(mut a: Vec<u64>, b: &[u64]) -> Vec<u64> {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}

/// Gives the rows that are `open` what the others leave of the budget, and those their best
/// offers, which for all rows take `full` bytes.
fn spend(problem: &Problem<'_>, hulls: &Hulls, open: &[Vec<u32>], full: u64) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
    let cheapest = problem.menu.len() as u8 - 1;
    let price = |offer: u8| u64::from(problem.menu[usize::from(offer)].bytes);
    let (back, wanted) = open
        .par_iter()
        .map(|open| {
            let (mut back, mut wanted) = (0, vec![0; BUCKETS]);
            for row in open.iter().map(|&row| row as usize) {
                back += price(problem.best[row]) - price(cheapest);
                for (edge, gain) in hulls.upgrades(problem, row) {
                    wanted[bucket(gain)] += u64::from(edge.bytes);
                }
            }
            (back, wanted)
        })
        .reduce(|| (0, vec![0; BUCKETS]), |a, b| (a.0 + b.0, add(a.1, &b.1)));
    let (border, left) = last_bucket(&wanted, problem.budget - (full - back));

    let mut offers = problem.best.to_vec();
    let contested: Vec<Vec<Contested>> = offers
        .par_chunks_mut(ROWS_A_TASK)
        .zip(open)
        .enumerate()
        .map(|(task, (offers, open))| {
            let mut contested = Vec::new();
            for row in open.iter().map(|&row| row as usize) {
                let offer = &mut offers[row - task * ROWS_A_TASK];
                *offer = cheapest;
                for (edge, gain) in hulls.upgrades(problem, row) {
                    match bucket(gain).cmp(&border) {
                        Ordering::Greater => *offer = edge.to,
                        Ordering::Equal => contested.push(Contested { gain, row, edge: *edge }),
                        Ordering::Less => break,
                    }
                }
            }
            contested
        })
        .collect();
    settle(&contested.concat(), left, &mut offers);
    offers
}

/// The first bucket from above that does not fit whole, or the lowest, and what is left for it.
fn last_bucket(wanted: &[u64], mut left: u64) -> (usize, u64) {
    let mut border = wanted.len() - 1;
    while border > 0 && wanted[border] <= left {
        left -= wanted[border];
        border -= 1;
    }
    (border, left)
}

/// An upgrade whose return is close to that of the last one taken.
#[derive(Clone, Copy)]
struct Contested {
    gain: f32,
    row: usize,
    edge: Edge,
}

/// Takes upgrades of one bucket in order of return until `left` bytes are spent.
fn settle(contested: &[Contested], left: u64, offers: &mut [u8]) {
    let mut wanted = vec![0; PARTS];
    for c in contested {
        wanted[part(c.gain)] += u64::from(c.edge.bytes);
    }
    let (border, mut left) = last_bucket(&wanted, left);
    // Only the last part is sorted.
    let mut last = Vec::new();
    for c in contested {
        match part(c.gain).cmp(&border) {
            Ordering::Greater => offers[c.row] = c.edge.to,
            Ordering::Equal => last.push(c),
            Ordering::Less => {}
        }
    }
    last.sort_by(|a, b| {
        b.gain.total_cmp(&a.gain).then(a.row.cmp(&b.row)).then(b.edge.to.cmp(&a.edge.to))
    });
    let mut stopped = std::collections::BTreeSet::new();
    for Contested { row, edge, .. } in last {
        // A row whose next upgrade did not fit must not skip it.
        if u64::from(edge.bytes) <= left && !stopped.contains(row) {
            left -= u64::from(edge.bytes);
            offers[*row] = edge.to;
        } else {
            stopped.insert(*row);
        }
    }
}

/// Bytes of all rows at their cheapest offer.
///
/// # Errors
/// [`Infeasible`] when that is over budget.
pub(super) fn cheapest_bytes(problem: &Problem<'_>) -> Result<u64, Infeasible> {
    let rows = problem.best.len();
    let needed = rows as u64 * problem.menu.last().map_or(0, |offer| u64::from(offer.bytes));
    if needed > problem.budget {
        return Err(Infeasible { rows, needed, budget: problem.budget });
    }
    Ok(needed)
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smartkv_core::Offer;

    /// Damage of a row under an offer.
    fn damage(problem: &Problem<'_>, row: usize, offer: &Offer) -> f32 {
        problem.key_damage[row] * offer.key_loss + problem.value_damage[row] * offer.value_loss
    }

    fn total(problem: &Problem<'_>, offers: &[u8]) -> (u64, f64) {
        offers.iter().enumerate().fold((0, 0.0), |(bytes, loss), (row, &o)| {
            let offer = &problem.menu[usize::from(o)];
            (bytes + u64::from(offer.bytes), loss + f64::from(damage(problem, row, offer)))
        })
    }

    /// Least damage over every assignment.
    fn exhaustive(problem: &Problem<'_>) -> f64 {
        fn go(problem: &Problem<'_>, row: usize, left: u64) -> f64 {
            if row == problem.best.len() {
                return 0.0;
            }
            let offers = usize::from(problem.best[row])..problem.menu.len();
            offers
                .filter(|&o| u64::from(problem.menu[o].bytes) <= left)
                .map(|o| {
                    let offer = &problem.menu[o];
                    f64::from(damage(problem, row, offer))
                        + go(problem, row + 1, left - u64::from(offer.bytes))
                })
                .fold(f64::INFINITY, f64::min)
        }
        go(problem, 0, problem.budget)
    }

    const MENU: [Offer; 4] = [
        Offer { bytes: 140, key_loss: 0.001, value_loss: 0.001 },
        Offer { bytes: 108, key_loss: 0.001, value_loss: 0.37 },
        Offer { bytes: 76, key_loss: 0.37, value_loss: 0.37 },
        Offer { bytes: 44, key_loss: 9.3, value_loss: 9.3 },
    ];

    proptest! {
        #[test]
        fn holds_the_budget_and_is_within_one_row_of_the_optimum(
            rows in proptest::collection::vec((0.0f32..10.0, 0.0f32..10.0, 0u8..4), 1..7),
            share in 0.0f64..1.2,
        ) {
            let key: Vec<f32> = rows.iter().map(|r| r.0).collect();
            let value: Vec<f32> = rows.iter().map(|r| r.1).collect();
            let best: Vec<u8> = rows.iter().map(|r| r.2).collect();
            let n = rows.len() as f64;
            let budget = (44.0 * n + share * 96.0 * n) as u64;
            let problem = Problem {
                key_damage: &key, value_damage: &value, best: &best, menu: &MENU, budget,
                ..Problem::default()
            };
            let offers = Marginal::default().allocate(&problem).unwrap();
            let (bytes, loss) = total(&problem, &offers);
            prop_assert!(bytes <= budget);
            prop_assert!(offers.iter().zip(&best).all(|(o, b)| o >= b));
            // One row's worst damage bounds the gap.
            let row = (0..rows.len()).map(|r| damage(&problem, r, &MENU[3])).fold(0.0, f32::max);
            let optimum = exhaustive(&problem);
            prop_assert!(loss <= optimum + f64::from(row) + 1e-4, "{loss} {optimum} {row}");
            // More budget never hurts by more than a row either.
            let richer = Problem { budget: budget + 200, ..problem };
            let (_, less) = total(&richer, &Marginal::default().allocate(&richer).unwrap());
            prop_assert!(less <= loss + f64::from(row) + 1e-4);
        }
    }

    /// Rows of very different magnitudes, so that the budget may end anywhere.
    fn many_rows() -> impl Strategy<Value = Vec<(f32, f32, u8)>> {
        let damage = (0.0f32..1.0, -20i32..20).prop_map(|(x, e)| x * 2f32.powi(e));
        proptest::collection::vec((damage.clone(), damage, 0u8..4), 200..2000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn looking_at_few_rows_changes_nothing(rows in many_rows(), share in 0.0f64..1.1) {
            let key: Vec<f32> = rows.iter().map(|r| r.0).collect();
            let value: Vec<f32> = rows.iter().map(|r| r.1).collect();
            let best: Vec<u8> = rows.iter().map(|r| r.2).collect();
            let budget = ((44.0 + share * 96.0) * rows.len() as f64) as u64;
            let problem = Problem {
                key_damage: &key, value_damage: &value, best: &best, menu: &MENU, budget,
                ..Problem::default()
            };
            let offers = Marginal::default().allocate(&problem).unwrap();

            // All upgrades sorted by return.
            let hulls = Hulls::new(&MENU);
            let mut upgrades: Vec<(f32, usize, Edge)> = (0..rows.len())
                .flat_map(|row| hulls.upgrades(&problem, row).map(move |(e, g)| (g, row, *e)))
                .collect();
            upgrades.sort_by(|a, b| {
                b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(b.2.to.cmp(&a.2.to))
            });
            let mut expected = vec![3; rows.len()];
            let mut left = budget - cheapest_bytes(&problem).unwrap();
            for (_, row, edge) in upgrades {
                if u64::from(edge.bytes) > left {
                    break;
                }
                left -= u64::from(edge.bytes);
                expected[row] = edge.to;
            }
            // Beyond the first that does not fit, smaller ones may still.
            prop_assert!(offers.iter().zip(&expected).all(|(o, e)| o <= e));
            let (bytes, _) = total(&problem, &offers);
            prop_assert!(bytes <= budget);
        }
    }

    #[test]
    fn says_what_is_missing() {
        let problem = Problem {
            key_damage: &[1.0; 3], value_damage: &[1.0; 3], best: &[0; 3], menu: &MENU,
            budget: 100, ..Problem::default()
        };
        let error = Marginal::default().allocate(&problem).unwrap_err();
        assert_eq!(error, Infeasible { rows: 3, needed: 132, budget: 100 });
    }
}
