//! Scores smoothed over neighbouring tokens.

use crate::trackers::last_queries::LastQueries;
use smartkv_core::{Error, LaneRows, Result, Seen, Tracker, Watch, config, tracker};
use std::collections::VecDeque;

/// Pools another tracker's scores over neighbouring tokens (`SnapKV`, arXiv 2404.14469).
///
/// A token next to an important one is likely part of the same phrase: pooling keeps phrases whole.
/// Neighbours are by position; those that are gone, or beyond the ends, count as 0. Pooling starts
/// anew from the tracker's own scores at every plan. Costs a position a row.
#[config]
pub struct Pooled {
    /// What scores the tokens.
    #[default(Box::new(LastQueries::default()))]
    pub inner: Box<dyn Tracker>,
    /// Tokens pooled into one score: the token itself and as many on each side; odd.
    #[default(7)]
    pub kernel: usize,
    /// How they are pooled: `max` or `mean`.
    pub pooling: Pooling,
}

/// How the scores of neighbours become one.
#[config]
pub enum Pooling {
    /// The largest.
    #[default]
    Max,
    /// The mean.
    Mean,
}

#[tracker("pooled")]
impl Tracker for Pooled {
    fn check(&self) -> Result<()> {
        if self.kernel.is_multiple_of(2) {
            return Err(Error::parameter("tracker.kernel", self.kernel, "expected an odd number"));
        }
        self.inner.check()
    }

    fn watch(&self) -> Option<Watch> {
        self.inner.watch()
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        self.inner.fold(seen, score);
    }

    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let scores = self.inner.scores(rows);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|&row| rows.position[row]);
        let reach = self.kernel / 2;
        let near = |row: usize, of: usize| {
            rows.position[row].abs_diff(rows.position[of]) as usize <= reach
        };
        let mut pooled = vec![0.0; scores.len()];
        // Neighbours of the current row; for `max`, only those that no later one beats.
        let mut neighbours = VecDeque::new();
        let mut coming = order.iter().copied().peekable();
        for &row in &order {
            while let Some(next) = coming.next_if(|&next| near(next, row)) {
                let beaten = |last: &usize| scores[*last] <= scores[next];
                while self.pooling == Pooling::Max && neighbours.back().is_some_and(beaten) {
                    neighbours.pop_back();
                }
                neighbours.push_back(next);
            }
            while neighbours.front().is_some_and(|&first| !near(first, row)) {
                neighbours.pop_front();
            }
            #[expect(clippy::cast_precision_loss, reason = "a small kernel")]
            let kernel = self.kernel as f32;
            pooled[row] = match self.pooling {
                Pooling::Max => neighbours.front().map_or(0.0, |&best| scores[best]),
                Pooling::Mean => neighbours.iter().map(|&of| scores[of]).sum::<f32>() / kernel,
            };
        }
        Some(pooled)
    }

    fn positions(&self) -> bool {
        true
    }

    fn memory(&self) -> usize {
        self.inner.memory()
    }

    fn remember(&self, rows: &LaneRows<'_>, memory: &mut [f32]) {
        self.inner.remember(rows, memory);
    }

    fn needs_trace(&self) -> bool {
        self.inner.needs_trace()
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smartkv_core::contract::Probe;

    fn pooled(lane: &Probe, kernel: usize, pooling: Pooling) -> Vec<f32> {
        let inner = Box::new(LastQueries::default());
        lane.look(|rows| Pooled { inner, kernel, pooling }.refine(rows)).unwrap()
    }

    #[test]
    fn neighbours_of_an_important_token_rise_with_it() {
        let mut lane = Probe::new(6);
        lane.score = vec![0.0, 0.0, 6.0, 0.0, 3.0, 0.0];
        assert_eq!(pooled(&lane, 3, Pooling::Max), [0.0, 6.0, 6.0, 6.0, 3.0, 3.0]);
        assert_eq!(pooled(&lane, 3, Pooling::Mean), [0.0, 2.0, 2.0, 3.0, 1.0, 1.0]);
        assert_eq!(pooled(&lane, 1, Pooling::Max), lane.score);
    }

    #[test]
    fn an_even_kernel_is_refused() {
        assert!(Pooled { kernel: 4, ..Pooled::default() }.check().is_err());
        assert!(Pooled { kernel: 0, ..Pooled::default() }.check().is_err());
    }

    proptest! {
        #[test]
        fn order_in_the_cache_and_holes_do_not_matter(
            held in proptest::collection::btree_map(0u32..60, 0.0f32..1.0, 1..40),
            shift in 0usize..40, half in 0usize..4, mean: bool,
        ) {
            let mut rows: Vec<(u32, f32)> = held.clone().into_iter().collect();
            let shift = shift % rows.len();
            rows.rotate_left(shift);
            let mut lane = Probe::new(rows.len());
            lane.position = rows.iter().map(|row| row.0).collect();
            lane.score = rows.iter().map(|row| row.1).collect();
            let pooling = if mean { Pooling::Mean } else { Pooling::Max };
            let result = pooled(&lane, 2 * half + 1, pooling);
            for ((position, _), result) in rows.iter().zip(result) {
                let reach = u32::try_from(half).unwrap();
                let near = held.range(position.saturating_sub(reach)..=position + reach);
                let near: Vec<f32> = near.map(|(_, score)| *score).collect();
                let expected = match pooling {
                    Pooling::Max => near.iter().copied().fold(0.0, f32::max),
                    Pooling::Mean => near.iter().sum::<f32>() / (2 * half + 1) as f32,
                };
                prop_assert!((expected - result).abs() < 1e-6);
            }
        }
    }
}
