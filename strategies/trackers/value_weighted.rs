//! Attention times what is attended to.

use crate::trackers::last_queries::LastQueries;
use smartkv_core::{LaneRows, Result, Seen, Tracker, Watch, config, tracker};

/// Another tracker's score times the 1-norm of the token's value (`VATP`, arXiv 2406.12335).
///
/// What a token adds to the output is its attention times its value: sinks draw much attention
/// and add little. Every plan decodes the values.
#[config]
pub struct ValueWeighted {
    /// What scores the tokens; no score below 0.
    #[default(Box::new(LastQueries::default()))]
    pub inner: Box<dyn Tracker>,
}

#[tracker("value_weighted")]
impl Tracker for ValueWeighted {
    fn check(&self) -> Result<()> {
        self.inner.check()
    }

    fn watch(&self) -> Option<Watch> {
        self.inner.watch()
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        self.inner.fold(seen, score);
    }

    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let mut scores = self.inner.scores(rows);
        let values = rows.values();
        for (score, value) in scores.iter_mut().zip(values.chunks_exact(rows.shape.head_dim)) {
            *score *= value.iter().map(|x| x.abs()).sum::<f32>();
        }
        Some(scores)
    }

    fn positions(&self) -> bool {
        self.inner.positions()
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
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    #[test]
    fn a_small_value_takes_the_weight_off_much_attention() {
        let mut lane = Probe::new(2);
        lane.score = vec![0.5, 0.25];
        lane.values = [[0.125; 8], [-1.0; 8]].concat();
        let scores = lane.look(|rows| ValueWeighted::default().refine(rows)).unwrap();
        assert_eq!(scores, [0.5, 0.25 * 8.0]);
    }
}
