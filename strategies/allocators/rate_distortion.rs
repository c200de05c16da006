//! One price for a byte: Lagrangian relaxation.

use super::marginal::cheapest_bytes;
use rayon::prelude::*;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Finds the price of a byte at which rows that minimise damage plus price meet the budget.
///
/// The classic way to share bits (Shoham and Gersho, 1988, doi 10.1109/29.90373): for any price
/// each row's choice is its own, and bytes fall as the price rises, so bisection finds the lowest
/// that fits. That is optimal for the bytes it spends; what is left of the budget then goes where
/// it returns most.
#[config]
pub struct RateDistortion;

#[allocator("rate_distortion")]
impl Allocator for RateDistortion {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        cheapest_bytes(problem)?;
        // Bits of floats that are not negative are in the order of their values: 31 halvings find
        // the lowest price exactly.
        let (mut low, mut high) = (0, f32::MAX.to_bits());
        while low < high {
            let middle = low.midpoint(high);
            if bytes_at(problem, f32::from_bits(middle)) <= problem.budget {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let price = f32::from_bits(high);
        let rows = (0..problem.rows()).into_par_iter();
        let mut offers: Vec<u8> =
            rows.with_min_len(ROWS_A_TASK).map(|row| choice(problem, row, price)).collect();
        let spent: u64 = offers.iter().map(|&offer| problem.price(offer)).sum();
        // Losses beyond the range of floats outweigh any price.
        if spent > problem.budget {
            let cheapest = problem.menu.len() - 1;
            #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
            offers.fill(cheapest as u8);
        }
        spend_rest(problem, &mut offers);
        Ok(offers)
    }
}

/// Rows that one task looks at, at least.
const ROWS_A_TASK: usize = 1 << 12;

/// The offer of least damage plus price; among equals the cheaper.
fn choice(problem: &Problem<'_>, row: usize, price: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
    let offers = problem.best[row]..problem.menu.len() as u8;
    let (mut chosen, mut least) = (offers.end - 1, f64::INFINITY);
    for offer in offers.rev() {
        let bytes = f64::from(problem.menu[usize::from(offer)].bytes);
        let cost = f64::from(problem.damage(row, usize::from(offer))) + f64::from(price) * bytes;
        if cost < least {
            (chosen, least) = (offer, cost);
        }
    }
    chosen
}

/// Bytes of all choices at this price.
fn bytes_at(problem: &Problem<'_>, price: f32) -> u64 {
    let rows = (0..problem.rows()).into_par_iter();
    rows.with_min_len(ROWS_A_TASK).map(|row| problem.price(choice(problem, row, price))).sum()
}

/// A better offer for a row.
struct Raise {
    /// Damage saved per byte.
    gain: f64,
    row: usize,
    to: u8,
    bytes: u64,
}

impl Raise {
    /// The one that saves most damage per byte, of those that cost at most `left`.
    fn best(problem: &Problem<'_>, row: usize, from: u8, left: u64) -> Option<Self> {
        let now = f64::from(problem.damage(row, usize::from(from)));
        let mut found: Option<Self> = None;
        for to in (problem.best[row]..from).rev() {
            let bytes = problem.price(to) - problem.price(from);
            if bytes > left {
                break;
            }
            let saved = now - f64::from(problem.damage(row, usize::from(to)));
            #[expect(clippy::cast_precision_loss, reason = "bytes of one row")]
            let gain = saved / bytes as f64;
            if gain > 0.0 && found.as_ref().is_none_or(|best| gain >= best.gain) {
                found = Some(Self { gain, row, to, bytes });
            }
        }
        found
    }
}

impl Ord for Raise {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Raise {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Raise {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Raise {}

/// Raises rows where a byte saves most damage, until nothing more fits the budget.
pub(super) fn spend_rest(problem: &Problem<'_>, offers: &mut [u8]) {
    let spent: u64 = offers.iter().map(|&offer| problem.price(offer)).sum();
    let Some(mut left) = problem.budget.checked_sub(spent) else { return };
    let raises = offers.par_iter().enumerate();
    let raises: Vec<Raise> = raises
        .with_min_len(ROWS_A_TASK)
        .filter_map(|(row, &from)| Raise::best(problem, row, from, left))
        .collect();
    let mut heap = BinaryHeap::from(raises);
    while let Some(Raise { row, to, bytes, .. }) = heap.pop() {
        if bytes <= left {
            left -= bytes;
            offers[row] = to;
        }
        // Its next one, or a smaller one that still fits.
        heap.extend(Raise::best(problem, row, offers[row], left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::Offer;

    const MENU: [Offer; 3] = [
        Offer { bytes: 40, key_loss: 0.0, value_loss: 0.0 },
        Offer { bytes: 30, key_loss: 1.0, value_loss: 1.0 },
        Offer { bytes: 20, key_loss: 4.0, value_loss: 4.0 },
    ];

    #[test]
    fn rows_alike_share_what_one_price_cannot() {
        // All rows change their mind at the same price: the rest decides.
        let problem = Problem {
            key_damage: &[1.0; 5],
            value_damage: &[0.0; 5],
            best: &[0; 5],
            menu: &MENU,
            budget: 5 * 30 + 25,
            ..Problem::default()
        };
        assert_eq!(RateDistortion::default().allocate(&problem).unwrap(), [0, 0, 1, 1, 1]);
    }

    #[test]
    fn nothing_is_paid_for_rows_that_take_no_damage() {
        let problem = Problem {
            key_damage: &[0.0, 1.0],
            value_damage: &[0.0, 1.0],
            best: &[0; 2],
            menu: &MENU,
            budget: 100,
            ..Problem::default()
        };
        assert_eq!(RateDistortion::default().allocate(&problem).unwrap(), [2, 0]);
    }
}
