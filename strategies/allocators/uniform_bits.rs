//! The control: the same bits for every row.

use super::marginal::cheapest_bytes;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};

/// Gives every row the best offer that the budget affords for all, and what is left to some.
///
/// The control that asks whether mixing is worth anything: damage is ignored. What the best common
/// offer leaves of the budget raises rows to the next better one, evenly spread over all that may
/// have it, so that bytes compare with those of other allocators. Rows that were lowered before
/// stay so.
#[config]
pub struct UniformBits;

#[allocator("uniform_bits")]
impl Allocator for UniformBits {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        cheapest_bytes(problem)?;
        let mut offers = vec![0; problem.rows()];
        let rows: Vec<usize> = (0..problem.rows()).collect();
        level(problem, &rows, problem.budget, &mut offers);
        Ok(offers)
    }
}

/// Gives these rows the best common offer within `budget` bytes, which the cheapest is, and raises
/// as many as still fit to the next better one.
pub(super) fn level(problem: &Problem<'_>, rows: &[usize], budget: u64, offers: &mut [u8]) {
    // Rows by the best offer that they may have: few numbers instead of many rows.
    let mut counts = vec![0u64; problem.menu.len()];
    for &row in rows {
        counts[usize::from(problem.best[row])] += 1;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
    let all = 0..problem.menu.len() as u8;
    let bytes = |common: u8| -> u64 {
        all.clone().zip(&counts).map(|(best, n)| n * problem.price(common.max(best))).sum()
    };
    let Some(common) = all.clone().find(|&offer| bytes(offer) <= budget) else { return };
    for &row in rows {
        offers[row] = common.max(problem.best[row]);
    }
    let Some(better) = common.checked_sub(1) else { return };
    let raised: Vec<usize> =
        rows.iter().copied().filter(|&row| problem.best[row] <= better).collect();
    let step = problem.price(better) - problem.price(common);
    let fit = usize::try_from((budget - bytes(common)) / step).unwrap_or(usize::MAX);
    // They do not all fit: then the next better offer would be the common one.
    let fit = fit.min(raised.len());
    for (index, &row) in raised.iter().enumerate() {
        if (index + 1) * fit / raised.len() > index * fit / raised.len() {
            offers[row] = better;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::Offer;

    const MENU: [Offer; 3] = [
        Offer { bytes: 40, key_loss: 0.0, value_loss: 0.0 },
        Offer { bytes: 30, key_loss: 0.1, value_loss: 0.1 },
        Offer { bytes: 20, key_loss: 1.0, value_loss: 1.0 },
    ];

    fn allocate(best: &[u8], budget: u64) -> Vec<u8> {
        let damage = vec![1.0; best.len()];
        let problem = Problem {
            key_damage: &damage,
            value_damage: &damage,
            best,
            menu: &MENU,
            budget,
            ..Problem::default()
        };
        UniformBits::default().allocate(&problem).unwrap()
    }

    #[test]
    fn all_rows_get_the_same_and_the_rest_is_spread() {
        assert_eq!(allocate(&[0; 6], 6 * 30), [1; 6]);
        assert_eq!(allocate(&[0; 6], 6 * 30 + 25), [1, 1, 0, 1, 1, 0]);
        assert_eq!(allocate(&[0; 6], 1000), [0; 6]);
    }

    #[test]
    fn rows_that_were_lowered_leave_their_bytes_to_others() {
        assert_eq!(allocate(&[0, 2, 0, 2], 2 * 20 + 2 * 30), [1, 2, 1, 2]);
        assert_eq!(allocate(&[0, 2, 0, 2], 2 * 20 + 40 + 30), [1, 2, 0, 2]);
    }
}
