//! The original's first allocator: the best to the most important.

use super::marginal::cheapest_bytes;
use rayon::prelude::*;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};

/// Gives the best offers to the most important rows until the budget ends.
///
/// The greedy allocator of the original SmartKV implementation: every row starts at the cheapest
/// offer; then rows get the best one they may have in order of importance, here the damage they
/// would take at the cheapest. It asks for no return on bytes, so nearly all rows end at one of two
/// widths. Unlike the original it never exceeds the budget: a row whose best offer does not fit
/// gets the best that does.
#[config]
pub struct Greedy;

#[allocator("greedy")]
impl Allocator for Greedy {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let mut left = problem.budget - cheapest_bytes(problem)?;
        let Some(last) = problem.menu.len().checked_sub(1) else { return Ok(Vec::new()) };
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        let last = last as u8;
        let mut offers = vec![last; problem.rows()];
        let dearer = |offer: u8| problem.price(offer) - problem.price(last);
        for row in by_importance(problem) {
            let fits = (problem.best[row]..=last).find(|&offer| dearer(offer) <= left);
            offers[row] = fits.unwrap_or(last);
            left -= dearer(offers[row]);
        }
        Ok(offers)
    }
}

/// All rows, those first that the cheapest offer damages most; among equals the earlier one.
pub(super) fn by_importance(problem: &Problem<'_>) -> Vec<usize> {
    let last = problem.menu.len() - 1;
    let rows = (0..problem.rows()).into_par_iter();
    let mut order: Vec<(f32, usize)> = rows.map(|row| (problem.damage(row, last), row)).collect();
    order.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.into_iter().map(|(_, row)| row).collect()
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

    #[test]
    fn the_most_important_get_the_best_until_the_budget_ends() {
        let problem = Problem {
            key_damage: &[1.0, 5.0, 3.0, 4.0],
            value_damage: &[0.0; 4],
            best: &[0; 4],
            menu: &MENU,
            budget: 4 * 20 + 35,
            ..Problem::default()
        };
        let greedy = Greedy::default();
        assert_eq!(greedy.allocate(&problem).unwrap(), [2, 0, 2, 1]);
        let lowered = Problem { best: &[0, 2, 1, 0], ..problem };
        assert_eq!(greedy.allocate(&lowered).unwrap(), [2, 2, 1, 0]);
        assert!(greedy.allocate(&Problem { budget: 79, ..problem }).is_err());
    }
}
