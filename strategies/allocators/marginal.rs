//! Greedy on the convex hull: the best damage saved per byte first.

use rayon::prelude::*;
use smartkv_core::{Allocator, Infeasible, Offer, Problem, allocator, config};
use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// Spends the budget where a byte saves the most expected damage.
///
/// Every row starts at its cheapest offer. The upgrades on the lower convex hull of its (bytes,
/// damage) points have falling returns, so taking all upgrades in order of return until the budget
/// is used is optimal up to one row. Nothing is sorted but the upgrades whose return is close to
/// the last one taken: a sample of the rows tells where that is. Which offers lie on a row's hull
/// depends on the menu and on how its key and value damages compare, so hulls are computed once
/// for all rows: O(rows · offers) in all.
#[config]
pub struct Marginal;

#[allocator("marginal")]
impl Allocator for Marginal {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let left = problem.budget - cheapest_bytes(problem)?;
        let hulls = Hulls::new(problem.menu);
        let rows = problem.best.len();
        let sampled = rows.div_ceil(SAMPLED);
        let border = border(problem, &hulls, SAMPLED, left * sampled as u64 / rows.max(1) as u64);
        let near = border.saturating_sub(1)..=border + 1;
        if let Some(offers) = spend(problem, &hulls, left, near) {
            return Ok(offers);
        }
        // The sample misled.
        let border = self::border(problem, &hulls, 1, left);
        Ok(spend(problem, &hulls, left, border..=border).unwrap_or_else(|| cheapest(problem)))
    }
}

/// One row in so many is sampled: a prime, so that no period of rows shows.
const SAMPLED: usize = 17;

/// Rows that one task looks at.
const ROWS_A_TASK: usize = 1 << 14;

/// Buckets of returns: few enough for a first-level cache.
const BUCKETS: usize = 1 << 12;

/// Bucket of a return by its leading bits, which keep the order of floats that are not negative.
fn bucket(gain: f32) -> usize {
    (gain.to_bits() >> 20) as usize
}

/// The bucket of returns in which `left` bytes run out, of every `step`-th row.
fn border(problem: &Problem<'_>, hulls: &Hulls, step: usize, left: u64) -> usize {
    let tasks = problem.best.len().div_ceil(step * ROWS_A_TASK);
    let wanted = (0..tasks)
        .into_par_iter()
        .map(|task| {
            let first = task * step * ROWS_A_TASK;
            let end = (first + step * ROWS_A_TASK).min(problem.best.len());
            let mut wanted = vec![0u64; BUCKETS];
            for row in (first..end).step_by(step) {
                for (edge, gain) in hulls.upgrades(problem, row) {
                    wanted[bucket(gain)] += u64::from(edge.bytes);
                }
            }
            wanted
        })
        .reduce(
            || vec![0; BUCKETS],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            },
        );
    last_bucket(&wanted, left).0
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

/// Takes all upgrades with returns above the buckets `near`, and in order those within, until
/// `left` bytes are spent. `None` when they are spent above, or not all within.
fn spend(
    problem: &Problem<'_>,
    hulls: &Hulls,
    left: u64,
    near: RangeInclusive<usize>,
) -> Option<Vec<u8>> {
    let mut offers = cheapest(problem);
    let price = |offer: u8| u64::from(problem.menu[usize::from(offer)].bytes);
    // Per task: bytes of upgrades above, those within, and whether any is below.
    let parts: Vec<(u64, Vec<Contested>, bool)> = offers
        .par_chunks_mut(ROWS_A_TASK)
        .enumerate()
        .map(|(task, offers)| {
            let (mut bytes, mut contested, mut below) = (0, Vec::new(), false);
            for (row, offer) in (task * ROWS_A_TASK..).zip(offers) {
                let cheapest = *offer;
                for (edge, gain) in hulls.upgrades(problem, row) {
                    let bucket = bucket(gain);
                    if bucket > *near.end() {
                        *offer = edge.to;
                    } else if bucket >= *near.start() {
                        contested.push(Contested { gain, row, edge: *edge });
                    } else {
                        below = true;
                        break;
                    }
                }
                bytes += price(*offer) - price(cheapest);
            }
            (bytes, contested, below)
        })
        .collect();
    let above: u64 = parts.iter().map(|part| part.0).sum();
    let below = parts.iter().any(|part| part.2);
    let within: u64 = parts.iter().flat_map(|part| &part.1).map(|c| u64::from(c.edge.bytes)).sum();
    let mut left = left.checked_sub(above)?;
    if within < left && below {
        return None;
    }

    // Within, in finer buckets: only the last of them is sorted.
    let first = near.start() * BUCKETS;
    let fine = |gain: f32| (gain.to_bits() >> 8) as usize - first;
    let mut wanted = vec![0u64; near.clone().count() * BUCKETS];
    let contested = || parts.iter().flat_map(|part| &part.1);
    for c in contested() {
        wanted[fine(c.gain)] += u64::from(c.edge.bytes);
    }
    let border;
    (border, left) = last_bucket(&wanted, left);
    let mut last = Vec::new();
    for c in contested() {
        match fine(c.gain).cmp(&border) {
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
    Some(offers)
}

/// Every row at the cheapest offer.
fn cheapest(problem: &Problem<'_>) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
    let last = problem.menu.len() as u8 - 1;
    vec![last; problem.best.len()]
}

/// An upgrade whose return is close to that of the last one taken.
struct Contested {
    gain: f32,
    row: usize,
    edge: Edge,
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
    of: Vec<HullsOf>,
}

/// The hulls of one best offer.
struct HullsOf {
    /// In order of the share up to which they hold: that share, and the end of the edges.
    hulls: Vec<(f32, usize)>,
    edges: Vec<Edge>,
    /// The first hull for each part of the range of shares.
    first: [u16; GUIDES],
}

/// Equal parts of the range of shares with a known first hull.
const GUIDES: usize = 64;

impl Hulls {
    fn new(menu: &[Offer]) -> Self {
        let shares = shares(menu);
        let of = (0..menu.len()).map(|best| HullsOf::new(menu, best, &shares)).collect();
        Self { of }
    }

    /// Upgrades of a row from its cheapest offer, with the damage each saves per byte: more than
    /// nothing, and falling.
    #[inline]
    fn upgrades(&self, problem: &Problem<'_>, row: usize) -> impl Iterator<Item = (&Edge, f32)> {
        let (key, value) = (problem.key_damage[row], problem.value_damage[row]);
        let hulls = &self.of[usize::from(problem.best[row])];
        let mut least = f32::INFINITY;
        hulls.at(key, value).iter().map_while(move |edge| {
            // Rounding at a boundary of hulls must not make returns rise.
            least = least.min(key * edge.key + value * edge.value);
            (least > 0.0).then_some((edge, least))
        })
    }
}

impl HullsOf {
    fn new(menu: &[Offer], best: usize, shares: &[f64]) -> Self {
        let mut hulls: Vec<(f32, usize)> = Vec::new();
        let mut edges: Vec<Edge> = Vec::new();
        let mut last = 0;
        for pair in shares.windows(2) {
            let hull = hull(menu, best, f64::midpoint(pair[0], pair[1]));
            #[expect(clippy::cast_possible_truncation, reason = "a share")]
            let upto = pair[1] as f32;
            if let Some((end, _)) = hulls.last_mut().filter(|_| edges[last..] == hull[..]) {
                *end = upto;
            } else {
                last = edges.len();
                edges.extend(hull);
                hulls.push((upto, edges.len()));
            }
        }
        let first = std::array::from_fn(|guide| {
            #[expect(clippy::cast_precision_loss, reason = "at most 64")]
            let share = guide as f32 / GUIDES as f32;
            u16::try_from(hulls.iter().take_while(|(upto, _)| *upto < share).count())
                .unwrap_or(u16::MAX)
        });
        Self { hulls, edges, first }
    }

    /// The hull of a row with these damages.
    #[inline]
    fn at(&self, key: f32, value: f32) -> &[Edge] {
        // NaN, of a row that nothing damages, becomes 0.
        let share = key / (key + value);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of 64"
        )]
        let guide = ((share * GUIDES as f32) as usize).min(GUIDES - 1);
        let mut at = usize::from(self.first[guide]);
        while at + 1 < self.hulls.len() && share > self.hulls[at].0 {
            at += 1;
        }
        let start = if at == 0 { 0 } else { self.hulls[at - 1].1 };
        &self.edges[start..self.hulls[at].1]
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

    /// Rows of very different magnitudes, so that the budget may end anywhere.
    fn many_rows() -> impl Strategy<Value = Vec<(f32, f32, u8)>> {
        let damage = (0.0f32..1.0, -20i32..20).prop_map(|(x, e)| x * 2f32.powi(e));
        proptest::collection::vec((damage.clone(), damage, 0u8..4), 200..2000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn sampling_changes_nothing(rows in many_rows(), share in 0.0f64..1.1) {
            let key: Vec<f32> = rows.iter().map(|r| r.0).collect();
            let value: Vec<f32> = rows.iter().map(|r| r.1).collect();
            let best: Vec<u8> = rows.iter().map(|r| r.2).collect();
            let budget = ((44.0 + share * 96.0) * rows.len() as f64) as u64;
            let problem = Problem {
                key_damage: &key, value_damage: &value, best: &best, menu: &MENU, budget, seed: 0,
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
            let mut expected = cheapest(&problem);
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
            budget: 100, seed: 0,
        };
        let error = Marginal::default().allocate(&problem).unwrap_err();
        assert_eq!(error, Infeasible { rows: 3, needed: 132, budget: 100 });
    }
}
