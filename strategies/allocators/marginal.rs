//! Greedy on the convex hull: the best damage saved per byte first.

use rayon::prelude::*;
use smartkv_core::{Allocator, Infeasible, Offer, Problem, allocator, config};
use std::cmp::Ordering;

/// Spends the budget where a byte saves the most expected damage.
///
/// Every row starts at its cheapest offer. The upgrades on the lower convex hull of its (bytes,
/// damage) points have falling returns, so taking all upgrades in order of return until the budget
/// is used is optimal up to one row. Instead of a heap, returns are bucketed by their leading
/// floating-point bits and only the bucket in which the budget ends is sorted. Which offers lie on
/// a row's hull depends on the menu and on how its key and value damages compare, so hulls are
/// computed once for all rows: O(rows · offers) in all.
#[config]
pub struct Marginal;

#[allocator("marginal")]
impl Allocator for Marginal {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let cheapest = cheapest_bytes(problem)?;
        let mut left = problem.budget - cheapest;
        let hulls = Hulls::new(problem.menu);
        let rows = problem.best.len();
        let parts = rows.div_ceil(ROWS_A_TASK);
        let part = |part: usize| part * ROWS_A_TASK..((part + 1) * ROWS_A_TASK).min(rows);

        // Pass 1: bytes wanted per bucket of returns.
        let wanted = (0..parts)
            .into_par_iter()
            .with_min_len(parts.div_ceil(rayon::current_num_threads()))
            .fold(Wanted::default, |mut wanted, index| {
                for row in part(index) {
                    for (edge, gain) in hulls.upgrades(problem, row) {
                        wanted.add(leading(gain), edge.bytes);
                    }
                }
                wanted
            })
            .reduce(Wanted::default, Wanted::join);
        let border = wanted.border(&mut left);

        // Pass 2: take whole buckets, collect the border.
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        let mut offers = vec![problem.menu.len() as u8 - 1; rows];
        let contested: Vec<Vec<(f32, usize, Edge)>> = offers
            .par_chunks_mut(ROWS_A_TASK)
            .enumerate()
            .map(|(index, offers)| {
                let mut contested = Vec::new();
                for (row, offer) in part(index).zip(offers) {
                    for (edge, gain) in hulls.upgrades(problem, row) {
                        match leading(gain).cmp(&border) {
                            Ordering::Greater => *offer = edge.to,
                            Ordering::Equal => contested.push((gain, row, edge)),
                            Ordering::Less => break,
                        }
                    }
                }
                contested
            })
            .collect();

        // The border again, in finer buckets: only the last of them is sorted.
        let mut wanted = Wanted::default();
        for (gain, _, edge) in contested.iter().flatten() {
            wanted.add(following(*gain), edge.bytes);
        }
        let border = wanted.border(&mut left);
        let mut last = Vec::new();
        for (gain, row, edge) in contested.into_iter().flatten() {
            match following(gain).cmp(&border) {
                Ordering::Greater => offers[row] = edge.to,
                Ordering::Equal => last.push((gain, row, edge)),
                Ordering::Less => {}
            }
        }
        last.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(b.2.to.cmp(&a.2.to)));
        let mut stopped = std::collections::BTreeSet::new();
        for (_, row, edge) in last {
            // A row whose next upgrade did not fit must not skip it.
            if u64::from(edge.bytes) <= left && !stopped.contains(&row) {
                left -= u64::from(edge.bytes);
                offers[row] = edge.to;
            } else {
                stopped.insert(row);
            }
        }
        Ok(offers)
    }
}

/// Rows that one task looks at.
const ROWS_A_TASK: usize = 1 << 14;

/// Buckets that stay in a first-level cache.
const BUCKETS: usize = 1 << 12;

/// Bucket of a return by its leading bits, which keep the order of floats that are not negative.
fn leading(gain: f32) -> usize {
    (gain.to_bits() >> 20) as usize
}

/// Bucket by the bits after those.
fn following(gain: f32) -> usize {
    (gain.to_bits() >> 8) as usize % BUCKETS
}

/// Bytes that upgrades take, by bucket of their returns.
struct Wanted(Vec<u64>);

impl Default for Wanted {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Wanted {
    fn add(&mut self, bucket: usize, bytes: u32) {
        self.0[bucket] += u64::from(bytes);
    }

    fn join(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
        self
    }

    /// The bucket in which `left` bytes run out; those above it fit whole, and are subtracted.
    fn border(&self, left: &mut u64) -> usize {
        let mut border = BUCKETS - 1;
        while border > 0 && self.0[border] <= *left {
            *left -= self.0[border];
            border -= 1;
        }
        border
    }
}

/// A step up along a hull.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Edge {
    /// The better offer.
    to: u8,
    /// What it costs more.
    bytes: u32,
    /// Damage saved per byte and unit of key damage.
    key: f32,
    /// Damage saved per byte and unit of value damage.
    value: f32,
}

/// The lower convex hulls of a menu, for every best offer a row may have and every share of key
/// damage in its damage.
struct Hulls {
    /// Per best offer: hulls in order of the share up to which they hold.
    of: Vec<Vec<(f32, Vec<Edge>)>>,
}

impl Hulls {
    fn new(menu: &[Offer]) -> Self {
        let shares = shares(menu);
        let of = (0..menu.len())
            .map(|best| {
                let mut hulls: Vec<(f32, Vec<Edge>)> = Vec::new();
                for pair in shares.windows(2) {
                    let edges = hull(menu, best, f64::midpoint(pair[0], pair[1]));
                    #[expect(clippy::cast_possible_truncation, reason = "a share")]
                    let upto = pair[1] as f32;
                    match hulls.last_mut() {
                        Some(last) if last.1 == edges => last.0 = upto,
                        _ => hulls.push((upto, edges)),
                    }
                }
                hulls
            })
            .collect();
        Self { of }
    }

    /// Upgrades of a row from its cheapest offer, with the damage each saves per byte: more than
    /// nothing, and falling.
    #[inline]
    fn upgrades(&self, problem: &Problem<'_>, row: usize) -> impl Iterator<Item = (Edge, f32)> {
        let (key, value) = (problem.key_damage[row], problem.value_damage[row]);
        let hulls = &self.of[usize::from(problem.best[row])];
        // `share <= upto` without a division, which would be 0/0 for a row that nothing damages.
        let total = key + value;
        let after = |(upto, _): &&(f32, Vec<Edge>)| key > *upto * total;
        let at = hulls.iter().take_while(after).count().min(hulls.len() - 1);
        let mut least = f32::INFINITY;
        hulls[at].1.iter().map_while(move |edge| {
            // Rounding at a boundary of hulls must not make returns rise.
            least = least.min(key * edge.key + value * edge.value);
            (least > 0.0).then_some((*edge, least))
        })
    }
}

/// Offers above which hulls are looked up at evenly spread shares only, not at every share where
/// one may change: there are as many of those as triples of offers.
const MANY_OFFERS: usize = 16;

/// Shares of key damage between which no hull of the menu changes, from 0 to 1.
fn shares(menu: &[Offer]) -> Vec<f64> {
    let mut shares = vec![0.0, 1.0];
    if menu.len() > MANY_OFFERS {
        shares.extend((1..1000).map(|share| f64::from(share) / 1000.0));
    } else {
        for (a, first) in menu.iter().enumerate() {
            for (b, second) in menu.iter().enumerate().skip(a + 1) {
                for third in &menu[b + 1..] {
                    // Where the three points lie on a line: linear in the share.
                    let bend = |loss: fn(&Offer) -> f32| {
                        let [l, m, r] = [first, second, third].map(|o| f64::from(loss(o)));
                        let [x, y, z] = [first, second, third].map(|o| f64::from(o.bytes));
                        (m - r) * (x - y) - (l - m) * (y - z)
                    };
                    let (keys, values) = (bend(|o| o.key_loss), bend(|o| o.value_loss));
                    let share = values / (values - keys);
                    if share > 0.0 && share < 1.0 {
                        shares.push(share);
                    }
                }
            }
        }
    }
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares
}

/// The lower convex hull of the offers from `best` on for a row with this share of key damage,
/// from the cheapest up.
fn hull(menu: &[Offer], best: usize, share: f64) -> Vec<Edge> {
    let damage =
        |o: &Offer| share * f64::from(o.key_loss) + (1.0 - share) * f64::from(o.value_loss);
    let mut edges = Vec::new();
    let mut at = menu.len() - 1;
    while at > best {
        let mut next: Option<(usize, f64)> = None;
        for offer in (best..at).rev() {
            let bytes = f64::from(menu[offer].bytes - menu[at].bytes);
            let gain = (damage(&menu[at]) - damage(&menu[offer])) / bytes;
            // At equal returns the larger step: it is the same hull edge.
            if gain > 0.0 && next.is_none_or(|(_, g)| gain >= g) {
                next = Some((offer, gain));
            }
        }
        let Some((offer, _)) = next else { break };
        let bytes = menu[offer].bytes - menu[at].bytes;
        let saved = |worse: f32, better: f32| {
            #[expect(clippy::cast_possible_truncation, reason = "losses are f32")]
            let saved = ((f64::from(worse) - f64::from(better)) / f64::from(bytes)) as f32;
            saved
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        edges.push(Edge {
            to: offer as u8,
            bytes,
            key: saved(menu[at].key_loss, menu[offer].key_loss),
            value: saved(menu[at].value_loss, menu[offer].value_loss),
        });
        at = offer;
    }
    edges
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
