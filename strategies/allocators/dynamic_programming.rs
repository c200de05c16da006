//! The exact optimum, as far as memory goes.

use super::marginal::cheapest_bytes;
use super::rate_distortion::spend_rest;
use rayon::prelude::*;
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};
use std::ops::Range;

/// Solves the multiple-choice knapsack exactly by dynamic programming over bytes.
///
/// The textbook recursion (Kellerer, Pferschy and Pisinger, *Knapsack Problems*, 2004, section
/// 11.5), row after row, with bytes counted in the greatest common divisor of all differences of
/// prices: what other allocators are checked against. It is exact while rows times bytes fit
/// `cells`, about a thousand rows at first.
///
/// Beyond that, rows that may have the same best offer are sorted by damage and joined in blocks of
/// equal length whose rows get the same offer, as few rows a block as fit; what rounding leaves of
/// the budget goes where it returns most. The damage is then at most `r` times the optimum and
/// `2 + s` times that of the worst block at its cheapest: `r` is the largest ratio of two rows'
/// damages within a block, `s` the number of blocks cut short, one for each best offer at most.
/// With thirty thousand rows that was half a percent above what `marginal` finds.
#[config]
pub struct DynamicProgramming {
    /// Largest size of the table of choices, in bytes. Time is proportional.
    #[default(1 << 24)]
    #[range(1024..)]
    pub cells: usize,
}

#[allocator("dynamic_programming")]
impl Allocator for DynamicProgramming {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        let mut left = problem.budget - cheapest_bytes(problem)?;
        // More than the best offers cost is of no use.
        let most = problem.best.iter().map(|&best| dearer(problem, best)).sum();
        left = left.min(most);
        if left == 0 || problem.rows() == 0 {
            let offer = |&best: &u8| if most == 0 { best } else { cheapest(problem) };
            return Ok(problem.best.iter().map(offer).collect());
        }
        let unit = unit(problem);
        let length = block_length(problem, left / unit, self.cells);
        let order = if length == 1 { (0..problem.rows()).collect() } else { by_damage(problem) };
        let blocks = blocks(problem, &order, length);
        let unit = unit.saturating_mul(length as u64);
        let units = usize::try_from(left / unit).unwrap_or(usize::MAX);
        let chosen = solve(problem, &order, &blocks, unit, units);
        let mut offers = vec![0; problem.rows()];
        for (block, chosen) in blocks.into_iter().zip(chosen) {
            for &row in &order[block] {
                offers[row] = chosen;
            }
        }
        spend_rest(problem, &mut offers);
        Ok(offers)
    }
}

/// The last offer.
fn cheapest(problem: &Problem<'_>) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
    let last = problem.menu.len().saturating_sub(1) as u8;
    last
}

/// Bytes of an offer above the cheapest.
fn dearer(problem: &Problem<'_>, offer: u8) -> u64 {
    problem.price(offer) - problem.price(cheapest(problem))
}

/// Greatest common divisor of the differences of prices; at least 1.
fn unit(problem: &Problem<'_>) -> u64 {
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (0..cheapest(problem)).map(|offer| dearer(problem, offer)).fold(0, divisor).max(1)
}

/// Rows of a block, as few as let the table of choices fit `cells`.
fn block_length(problem: &Problem<'_>, units: u64, cells: usize) -> usize {
    let fits = |length: usize| {
        // Every best offer may cut one block short.
        let short = if length == 1 { 0 } else { problem.menu.len() };
        let blocks = (problem.rows() / length + short) as u64;
        blocks.saturating_mul(units / length as u64 + 1) <= cells as u64
    };
    let mut length = 1;
    while !fits(length) && length <= problem.rows().max(cells) {
        length += length.div_ceil(16);
    }
    length
}

/// All rows in order of best offer, then damage, such that neighbours are alike: their whole
/// damage within half an octave, and the keys' part of it.
fn by_damage(problem: &Problem<'_>) -> Vec<usize> {
    let last = usize::from(cheapest(problem));
    let rows = (0..problem.rows()).into_par_iter();
    let mut order: Vec<(u8, u32, f32, usize)> = rows
        .map(|row| {
            let whole = problem.damage(row, last).max(0.0);
            let (key, value) = (problem.key_damage[row], problem.value_damage[row]);
            let part = if key > 0.0 { key / (key + value) } else { 0.0 };
            // Damages in half octaves, with all of one in order of the keys' part.
            (problem.best[row], whole.to_bits() >> 22, part, row)
        })
        .collect();
    order.par_sort_unstable_by(|a, b| {
        (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3))
    });
    order.into_iter().map(|(.., row)| row).collect()
}

/// Ranges of `order` whose rows get the same offer.
fn blocks(problem: &Problem<'_>, order: &[usize], length: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let best = problem.best[order[start]];
        let most = (start + length).min(order.len());
        let same = order[start..most].iter().take_while(|&&row| problem.best[row] == best).count();
        blocks.push(start..start + same);
        start += same;
    }
    blocks
}

/// The offer of every block that minimises damage within `units` above the cheapest offers, each of
/// `unit` bytes.
fn solve(
    problem: &Problem<'_>,
    order: &[usize],
    blocks: &[Range<usize>],
    unit: u64,
    units: usize,
) -> Vec<u8> {
    let width = units + 1;
    let last = cheapest(problem);
    // The choice of each block for every number of units that it and those before may take.
    let mut choices = vec![last; blocks.len() * width];
    let (mut before, mut after) = (vec![0.0f64; width], vec![0.0f64; width]);
    // Blocks that are cut short are rounded up: never over budget.
    let weight = |block: &Range<usize>, offer: u8| {
        let bytes = dearer(problem, offer).saturating_mul(block.len() as u64);
        usize::try_from(bytes.div_ceil(unit)).unwrap_or(usize::MAX)
    };
    for (block, choices) in blocks.iter().zip(choices.chunks_mut(width)) {
        let rows = &order[block.clone()];
        let best = problem.best[rows[0]];
        for offer in (best..=last).rev() {
            let damage = |&row: &usize| f64::from(problem.damage(row, usize::from(offer)));
            let damage: f64 = rows.iter().map(damage).sum();
            if offer == last {
                after.iter_mut().zip(&before).for_each(|(after, before)| *after = before + damage);
                continue;
            }
            let weight = weight(block, offer);
            if weight >= width {
                break;
            }
            let table = after[weight..].iter_mut().zip(&mut choices[weight..]);
            for ((after, choice), before) in table.zip(&before) {
                let sum = before + damage;
                if sum < *after {
                    (*after, *choice) = (sum, offer);
                }
            }
        }
        std::mem::swap(&mut before, &mut after);
    }
    let mut left = units;
    let mut chosen = vec![last; blocks.len()];
    for (index, block) in blocks.iter().enumerate().rev() {
        chosen[index] = choices[index * width + left];
        left -= weight(block, chosen[index]);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::Offer;

    const MENU: [Offer; 3] = [
        Offer { bytes: 52, key_loss: 0.0, value_loss: 0.0 },
        Offer { bytes: 28, key_loss: 3.0, value_loss: 3.0 },
        Offer { bytes: 20, key_loss: 4.0, value_loss: 4.0 },
    ];

    #[test]
    fn it_finds_what_hulls_cannot() {
        // Neither of the two can have the best, and the middle is on no hull.
        let problem = Problem {
            key_damage: &[1.0, 1.0],
            value_damage: &[0.0; 2],
            best: &[0; 2],
            menu: &MENU,
            budget: 60,
            ..Problem::default()
        };
        assert_eq!(unit(&problem), 8);
        let exact = DynamicProgramming::default();
        assert_eq!(exact.allocate(&problem).unwrap(), [1, 1]);
        assert_eq!(exact.allocate(&Problem { budget: 1 << 40, ..problem }).unwrap(), [0, 0]);
        assert_eq!(exact.allocate(&Problem { budget: 40, ..problem }).unwrap(), [2, 2]);
    }

    #[test]
    fn blocks_are_of_rows_alike_and_no_longer_than_needed() {
        let key: Vec<f32> = (0u16..100).map(|row| f32::from(row * 37 % 100)).collect();
        let best: Vec<u8> = (0..100).map(|row| row % 2).collect();
        let problem = Problem {
            key_damage: &key,
            value_damage: &key,
            best: &best,
            menu: &MENU,
            budget: 3000,
            ..Problem::default()
        };
        let order = by_damage(&problem);
        let blocks = blocks(&problem, &order, 8);
        assert_eq!(blocks.iter().map(Range::len).sum::<usize>(), 100);
        assert!(blocks.len() <= 100 / 8 + MENU.len());
        for block in blocks {
            let rows = &order[block];
            assert!(rows.iter().all(|&row| best[row] == best[rows[0]]));
        }
        assert_eq!(block_length(&problem, 125, 1 << 14), 1);
        assert_eq!(block_length(&problem, 125, 1 << 12), 2);
    }
}
