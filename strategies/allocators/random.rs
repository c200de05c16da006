//! The control: bits by lot.

use super::marginal::cheapest_bytes;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};

/// Lowers randomly drawn rows until the budget is met, ignoring damage: the control for every
/// allocator.
///
/// Every row starts at the best offer it may have. Rows are visited in shuffled order, each lowered
/// to a random cheaper offer, again and again until the rest fits: a row's chance does not depend
/// on its position, and what was lowered before is not lowered again without need.
#[config]
pub struct Random;

#[allocator("random")]
impl Allocator for Random {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        cheapest_bytes(problem)?;
        let price = |offer: u8| u64::from(problem.menu[usize::from(offer)].bytes);
        let mut offers = problem.best.to_vec();
        let mut bytes: u64 = offers.iter().map(|&offer| price(offer)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
        let last = (problem.menu.len() - 1) as u8;
        let mut random = ChaCha8Rng::seed_from_u64(problem.seed);
        let mut order: Vec<usize> = (0..offers.len()).collect();
        order.shuffle(&mut random);
        // Every pass lowers every row that can be: the cheapest offers fit, so this ends.
        for &row in order.iter().cycle() {
            if bytes <= problem.budget {
                break;
            }
            let from = offers[row];
            if from < last {
                offers[row] = random.random_range(from + 1..=last);
                bytes -= price(from) - price(offers[row]);
            }
        }
        Ok(offers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::Offer;

    const MENU: [Offer; 3] = [
        Offer { bytes: 130, key_loss: 0.0, value_loss: 0.0 },
        Offer { bytes: 70, key_loss: 0.1, value_loss: 0.1 },
        Offer { bytes: 40, key_loss: 1.0, value_loss: 1.0 },
    ];

    fn allocate(best: &[u8], budget: u64) -> Vec<u8> {
        let damage = vec![1.0; best.len()];
        let problem = Problem {
            key_damage: &damage,
            value_damage: &damage,
            best,
            menu: &MENU,
            budget,
            seed: 7,
            ..Problem::default()
        };
        Random::default().allocate(&problem).unwrap()
    }

    #[test]
    fn favours_no_position_and_uses_the_budget() {
        let offers = allocate(&[0; 4000], 4000 * 80);
        let bytes = |rows: &[u8]| -> u64 {
            rows.iter().map(|&o| u64::from(MENU[usize::from(o)].bytes)).sum()
        };
        assert!((4000 * 80 - 130..=4000 * 80).contains(&bytes(&offers)));
        let (first, second) = (bytes(&offers[..2000]), bytes(&offers[2000..]));
        assert!(first.abs_diff(second) < 2000 * 5, "{first} against {second}");
    }

    #[test]
    fn lowers_nothing_without_need() {
        let best: Vec<u8> = (0..100).map(|row| row % 3).collect();
        assert_eq!(allocate(&best, 100 * 130), best);
    }
}
