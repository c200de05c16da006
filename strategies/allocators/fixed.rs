//! The control: a mix that is decided beforehand.

use super::greedy::by_importance;
use super::marginal::cheapest_bytes;
use super::uniform_bits::level;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};

/// Gives fixed shares of the rows to the best offers by rank, and the rest one common offer.
///
/// The rule of methods that keep a set portion of tokens in high precision (`MiKV`, arXiv
/// 2402.18096; `ZipCache`, arXiv 2405.14256): damage decides a row's rank, but not how many rows
/// get what. Rows are ranked by the damage they would take at the cheapest offer; with a tracker
/// that scores positions and damages of the seed that is the order of positions. Rows beyond the
/// shares get the best common offer that the budget affords, as in `uniform_bits`. Where the budget
/// does not pay for the shares, the last in rank get less.
#[config]
pub struct Fixed {
    /// Shares of the rows that get each offer, best first: `[0.02, 0.1]` gives 2% the first and 10%
    /// the second.
    #[default([0.02].to_vec())]
    #[range(0.0..=1.0)]
    pub shares: Vec<f64>,
}

#[allocator("fixed")]
impl Allocator for Fixed {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares of counts"
    )]
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let mut left = problem.budget - cheapest_bytes(problem)?;
        let Some(last) = problem.menu.len().checked_sub(1) else { return Ok(Vec::new()) };
        let cheapest = last as u8;
        let mut offers = vec![cheapest; problem.rows()];
        let order = by_importance(problem);
        let dearer = |offer: u8| problem.price(offer) - problem.price(cheapest);
        let (mut ranked, mut share) = (0, 0.0);
        for (wanted, own) in (0..=cheapest).zip(&self.shares) {
            share += own;
            let end = ((share * order.len() as f64).round() as usize).clamp(ranked, order.len());
            for &row in &order[ranked..end] {
                let wanted = wanted.max(problem.best[row]);
                let fits = (wanted..=cheapest).find(|&offer| dearer(offer) <= left);
                offers[row] = fits.unwrap_or(cheapest);
                left -= dearer(offers[row]);
            }
            ranked = end;
        }
        // In the order of rows again: what is spread among them must not follow their rank.
        let mut others = order[ranked..].to_vec();
        others.sort_unstable();
        let budget = left + others.len() as u64 * problem.price(cheapest);
        level(problem, &others, budget, &mut offers);
        Ok(offers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::Offer;

    const MENU: [Offer; 4] = [
        Offer { bytes: 40, key_loss: 0.0, value_loss: 0.0 },
        Offer { bytes: 30, key_loss: 0.1, value_loss: 0.1 },
        Offer { bytes: 20, key_loss: 1.0, value_loss: 1.0 },
        Offer { bytes: 10, key_loss: 9.0, value_loss: 9.0 },
    ];

    fn allocate(shares: &[f64], budget: u64) -> Vec<u8> {
        let damage: Vec<f32> = (0u8..10).map(|row| f32::from(row * 7 % 10)).collect();
        let problem = Problem {
            key_damage: &damage,
            value_damage: &[0.0; 10],
            best: &[0; 10],
            menu: &MENU,
            budget,
            ..Problem::default()
        };
        Fixed { shares: shares.to_vec() }.allocate(&problem).unwrap()
    }

    #[test]
    fn shares_go_by_rank_and_the_rest_is_common() {
        // Damages are 0 7 4 1 8 5 2 9 6 3.
        let offers = allocate(&[0.1, 0.2], 40 + 60 + 7 * 20);
        assert_eq!(offers, [2, 1, 2, 2, 1, 2, 2, 0, 2, 2]);
        assert_eq!(allocate(&[], 200), [2; 10]);
        assert_eq!(allocate(&[0.3, 1.0], 330), [1, 0, 1, 1, 0, 1, 1, 0, 1, 1]);
    }

    #[test]
    fn the_last_in_rank_pay_for_a_budget_that_is_too_small() {
        assert_eq!(allocate(&[0.5], 100 + 30 + 25), [3, 3, 3, 3, 1, 3, 3, 0, 3, 3]);
    }
}
