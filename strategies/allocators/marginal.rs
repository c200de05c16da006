//! Greedy on the convex hull: the best damage saved per byte first.

use smartkv_core::{Allocator, Infeasible, Offer, Problem, allocator, config};

/// Spends the budget where a byte saves the most expected damage.
///
/// Every row starts at its cheapest offer. The upgrades on the lower convex hull of its (bytes,
/// damage) points have falling returns, so taking all upgrades in order of return until the budget
/// is used is optimal up to one row. Instead of a heap, returns are bucketed by their leading
/// floating-point bits and only the bucket in which the budget ends is sorted: O(rows · offers).
#[config]
pub struct Marginal;

#[allocator("marginal")]
impl Allocator for Marginal {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let cheapest = cheapest_bytes(problem)?;
        let mut left = problem.budget - cheapest;
        let last = problem.menu.len() - 1;

        // Pass 1: bytes wanted per bucket of returns.
        let mut wanted = vec![0u64; BUCKETS];
        for row in 0..problem.best.len() {
            hull(problem, row, |_, bytes, gain| wanted[bucket(gain)] += u64::from(bytes));
        }
        // Buckets above `border` fit whole.
        let mut border = BUCKETS - 1;
        while border > 0 && wanted[border] <= left {
            left -= wanted[border];
            border -= 1;
        }

        // Pass 2: take whole buckets, collect the border.
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        let mut offers = vec![last as u8; problem.best.len()];
        let mut contested = Vec::new();
        for (row, offer) in offers.iter_mut().enumerate() {
            hull(problem, row, |to, bytes, gain| match bucket(gain).cmp(&border) {
                std::cmp::Ordering::Greater => *offer = to,
                std::cmp::Ordering::Equal => contested.push((gain, row, bytes, to)),
                std::cmp::Ordering::Less => {}
            });
        }
        contested.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(b.3.cmp(&a.3)));
        let mut stopped = std::collections::BTreeSet::new();
        for (_, row, bytes, to) in contested {
            // A row whose next upgrade did not fit must not skip it.
            if u64::from(bytes) <= left && !stopped.contains(&row) {
                left -= u64::from(bytes);
                offers[row] = to;
            } else {
                stopped.insert(row);
            }
        }
        Ok(offers)
    }
}

/// Leading bits of a non-negative float keep its order.
const BUCKETS: usize = 1 << 16;

fn bucket(gain: f32) -> usize {
    (gain.to_bits() >> 16) as usize
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

/// Damage of a row under an offer.
pub(super) fn damage(problem: &Problem<'_>, row: usize, offer: &Offer) -> f32 {
    problem.key_damage[row] * offer.key_loss + problem.value_damage[row] * offer.value_loss
}

/// Calls `upgrade(offer, extra bytes, damage saved per byte)` along the lower convex hull of a
/// row's offers, from the cheapest up; the saving per byte falls from call to call.
fn hull(problem: &Problem<'_>, row: usize, mut upgrade: impl FnMut(u8, u32, f32)) {
    let menu = problem.menu;
    let best = usize::from(problem.best[row]);
    let mut at = menu.len() - 1;
    while at > best {
        let here = damage(problem, row, &menu[at]);
        let mut next: Option<(usize, f32)> = None;
        for offer in (best..at).rev() {
            let bytes = menu[offer].bytes - menu[at].bytes;
            #[expect(clippy::cast_precision_loss, reason = "bytes of one row")]
            let gain = (here - damage(problem, row, &menu[offer])) / bytes as f32;
            // At equal returns the larger step: it is the same hull edge.
            if gain > 0.0 && next.is_none_or(|(_, g)| gain >= g) {
                next = Some((offer, gain));
            }
        }
        let Some((offer, gain)) = next else { return };
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        upgrade(offer as u8, menu[offer].bytes - menu[at].bytes, gain);
        at = offer;
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
                key_damage: &key, value_damage: &value, best: &best, menu: &MENU, budget, seed: 0,
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

    #[test]
    fn says_what_is_missing() {
        let problem = Problem {
            key_damage: &[1.0; 3], value_damage: &[1.0; 3], best: &[0; 3], menu: &MENU,
            budget: 100, seed: 0,
        };
        let error = Marginal::default().allocate(&problem).unwrap_err();
        assert_eq!(error, Infeasible { rows: 3, needed: 132, budget: 100 });
    }
}
