//! Scores that fade with age.

use crate::trackers::last_queries::LastQueries;
use smartkv_core::{Error, LaneRows, Result, Seen, Tracker, Watch, config, tracker};

/// Another tracker's score times `exp(-age / tau)`: old tokens must matter more to stay.
///
/// The age of a token is how many came after it. `SmartKV` uses it as its option for recency.
/// Costs a position a row.
#[config]
pub struct Recency {
    /// What scores the tokens; no score below 0.
    #[default(Box::new(LastQueries::default()))]
    pub inner: Box<dyn Tracker>,
    /// Age at which a score has fallen to 1/e, in tokens.
    #[default(512.0)]
    pub tau: f64,
}

#[tracker("recency")]
impl Tracker for Recency {
    fn check(&self) -> Result<()> {
        if !(self.tau > 0.0 && self.tau.is_finite()) {
            return Err(Error::parameter("tracker.tau", self.tau, "expected a number above 0"));
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
        for (score, position) in scores.iter_mut().zip(rows.position) {
            #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
            let age = rows.seen.saturating_sub(1 + *position as usize) as f64;
            #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
            let factor = (-age / self.tau).exp() as f32;
            *score *= factor;
        }
        Some(scores)
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
#[allow(clippy::float_cmp, reason = "sums of powers of two, and copies, are exact")]
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    #[test]
    fn the_newest_keeps_its_score_and_one_of_age_tau_an_eth() {
        let mut lane = Probe::new(2);
        lane.seen = 513;
        lane.position = vec![512, 0];
        lane.score = vec![0.5, 0.5];
        let scores = lane.look(|rows| Recency::default().refine(rows)).unwrap();
        assert_eq!(scores[0], 0.5);
        assert!((f64::from(scores[1]) - 0.5 / std::f64::consts::E).abs() < 1e-6);
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        for tau in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Recency { tau, ..Recency::default() }.check().is_err(), "{tau}");
        }
    }
}
