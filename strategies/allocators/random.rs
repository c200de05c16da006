//! The control: bits by lot.

use super::marginal::cheapest_bytes;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};

/// Spends the budget on randomly drawn rows, ignoring damage: the control for every allocator.
///
/// Rows are visited in a shuffled order until the budget is used, each upgraded to a random offer
/// that it may have and that fits. Every row has the same chance, whatever its position.
#[config]
pub struct Random;

#[allocator("random")]
impl Allocator for Random {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let mut left = problem.budget - cheapest_bytes(problem)?;
        let last = problem.menu.len() - 1;
        let mut random = ChaCha8Rng::seed_from_u64(problem.seed);
        let mut order: Vec<usize> = (0..problem.best.len()).collect();
        order.shuffle(&mut random);
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        let mut offers = vec![last as u8; order.len()];
        for row in order {
            let offer = random.random_range(usize::from(problem.best[row])..=last);
            let extra = u64::from(problem.menu[offer].bytes - problem.menu[last].bytes);
            if extra <= left {
                left -= extra;
                #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
                let offer = offer as u8;
                offers[row] = offer;
            }
        }
        Ok(offers)
    }
}
