//! Scores weighted by how peaked the attention of their head is.

use crate::trackers::last_queries::LastQueries;
use smartkv_core::{Error, LaneRows, Result, Seen, Tracker, Watch, config, tracker};

/// Another tracker's score, weighted by how peaked its lane's attention is.
///
/// A head that spreads its attention outputs a mean of many values, and the mean of those that are
/// left is much the same; a head that looks at single tokens loses what it looks at. So scores of
/// lane `l` are multiplied by `(1 - H(l) / ln n)^power`, with `H` the entropy of the lane's `n`
/// scores as a distribution: 1 for one token, 0 for all alike. Inside a lane nothing changes: it
/// matters to splits and allocators that compare lanes (as Ada-KV's does, arXiv 2407.11550).
#[config]
pub struct HeadWeighted {
    /// What scores the tokens; no score below 0.
    #[default(Box::new(LastQueries::default()))]
    pub inner: Box<dyn Tracker>,
    /// Exponent on the weight; 0 leaves scores as they are.
    #[default(1.0)]
    pub power: f64,
}

#[tracker("head_weighted")]
impl Tracker for HeadWeighted {
    fn check(&self) -> Result<()> {
        if !(self.power >= 0.0 && self.power.is_finite()) {
            return Err(Error::parameter("tracker.power", self.power, "expected a number from 0"));
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
        let mut scores = self.inner.scores(rows);
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        let weight = peakedness(&scores).powf(self.power) as f32;
        scores.iter_mut().for_each(|score| *score *= weight);
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

/// `1 - H / ln n` of scores as a distribution; 1 where that says nothing.
fn peakedness(scores: &[f32]) -> f64 {
    let total: f64 = scores.iter().map(|&score| f64::from(score.max(0.0))).sum();
    if total <= 0.0 || scores.len() < 2 {
        return 1.0;
    }
    let entropy: f64 = scores
        .iter()
        .map(|&score| f64::from(score) / total)
        .filter(|&p| p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let most = (scores.len() as f64).ln();
    (1.0 - entropy / most).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    fn weighted(score: Vec<f32>, power: f64) -> Vec<f32> {
        let mut lane = Probe::new(score.len());
        lane.score = score;
        let tracker = HeadWeighted { power, ..HeadWeighted::default() };
        lane.look(|rows| tracker.refine(rows)).unwrap()
    }

    #[test]
    fn one_token_weighs_fully_and_all_alike_weigh_nothing() {
        assert_eq!(weighted(vec![0.0, 0.8, 0.0, 0.0], 1.0), [0.0, 0.8, 0.0, 0.0]);
        assert!(weighted(vec![0.25; 4], 1.0).iter().all(|s| s.abs() < 1e-7));
        assert_eq!(weighted(vec![0.25; 4], 0.0), [0.25; 4]);
    }

    #[test]
    fn two_of_four_tokens_weigh_half() {
        let scores = weighted(vec![0.5, 0.0, 0.5, 0.0], 1.0);
        assert!((scores[0] - 0.25).abs() < 1e-6 && (scores[2] - 0.25).abs() < 1e-6);
    }

    #[test]
    fn a_lane_without_attention_stays_as_it_is() {
        assert_eq!(weighted(vec![0.0; 3], 1.0), [0.0; 3]);
        assert_eq!(weighted(vec![0.7], 1.0), [0.7]);
    }
}
