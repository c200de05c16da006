//! Scores extrapolated to what they will be.

use crate::trackers::ema::Ema;
use smartkv_core::{Error, LaneRows, Result, Seen, Tracker, Watch, config, tracker};

/// Another tracker's score, extrapolated along its trend.
///
/// A plan binds rows for as long as they are kept, so it should be made for the attention to come.
/// Each row's score is smoothed with its trend from plan to plan (Holt 1957), the trend fading by
/// `damping` a token (damped as by Gardner, 1985), and the plan sees the score that this expects
/// `horizon` tokens ahead, never below 0. A row that no plan has seen before has no trend. Costs two
/// numbers a row, besides what the other tracker costs.
#[config]
pub struct Forecast {
    /// What scores the tokens.
    #[default(Box::new(Ema::default()))]
    pub inner: Box<dyn Tracker>,
    /// Tokens ahead of the plan; 0 only smooths.
    #[default(16)]
    pub horizon: usize,
    /// Weight of what a plan sees against what was expected, for the score and for its trend.
    #[default(0.5)]
    #[range(above 0.0..=1.0)]
    pub smoothing: f64,
    /// What is left of a trend after each token; 1 is a straight line.
    #[default(0.95)]
    #[range(above 0.0..=1.0)]
    pub damping: f64,
}

/// Numbers kept of a row: its level, and its trend a token, NaN until they are known.
const KEPT: usize = 2;

impl Forecast {
    /// What a trend of 1 a token adds up to over so many tokens.
    fn reach(&self, tokens: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let tokens = tokens as f64;
        let faded = 1.0 - self.damping.powf(tokens);
        // So close to a straight line the quotient below would lose its digits.
        if 1.0 - self.damping < 1e-9 { tokens } else { self.damping * faded / (1.0 - self.damping) }
    }

    /// Level and trend after a score of `seen`, `since` tokens after the one before.
    fn follow(&self, (level, trend): (f64, f64), seen: f64, since: usize) -> (f64, f64) {
        if level.is_nan() {
            return (seen, f64::NAN);
        }
        let reach = self.reach(since.max(1));
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let faded = self.damping.powf(since.max(1) as f64);
        // The trend that leads from one level to the next, as it is once that is reached.
        if trend.is_nan() {
            return (seen, (seen - level) / reach * faded);
        }
        let mix = |new: f64, old: f64| self.smoothing * new + (1.0 - self.smoothing) * old;
        let next = mix(seen, level + trend * reach);
        (next, mix((next - level) / reach, trend) * faded)
    }
}

#[tracker("forecast")]
impl Tracker for Forecast {
    fn check(&self) -> Result<()> {
        if self.inner.memory() > 0 {
            let (name, expected) = (self.inner.typetag_name(), "expected one that keeps no numbers");
            return Err(Error::parameter("tracker.inner", name, expected));
        }
        self.inner.check()
    }

    fn watch(&self) -> Option<Watch> {
        self.inner.watch()
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        self.inner.fold(seen, score);
    }

    fn memory(&self) -> usize {
        KEPT
    }

    fn remember(&self, rows: &LaneRows<'_>, memory: &mut [f32]) {
        let scores = self.inner.scores(rows);
        let since = rows.since.unwrap_or(0);
        for (kept, score) in memory.chunks_exact_mut(KEPT).zip(scores) {
            let known = (f64::from(kept[0]), f64::from(kept[1]));
            let (level, trend) = self.follow(known, f64::from(score), since);
            #[expect(clippy::cast_possible_truncation, reason = "kept as scores are, in f32")]
            kept.copy_from_slice(&[level as f32, trend as f32]);
        }
    }

    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let reach = self.reach(self.horizon);
        let ahead = |kept: &[f32]| {
            let (level, trend) = (f64::from(kept[0]), f64::from(kept[1]));
            let expected = if trend.is_nan() { level } else { level + trend * reach };
            #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
            let expected = expected.clamp(0.0, f64::from(f32::MAX)) as f32;
            expected
        };
        Some(rows.memory.chunks_exact(KEPT).map(ahead).collect())
    }

    fn positions(&self) -> bool {
        self.inner.positions()
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

    /// The score that a plan sees after each of these `(tokens since the last, score)`.
    fn forecasts(tracker: &Forecast, series: &[(usize, f32)]) -> Vec<f32> {
        let mut lane = Probe::new(1);
        lane.memory = vec![f32::NAN; KEPT];
        let mut forecasts = Vec::new();
        for (plan, &(since, score)) in series.iter().enumerate() {
            lane.since = (plan > 0).then_some(since);
            lane.score = vec![score];
            let mut memory = lane.memory.clone();
            lane.look(|rows| tracker.remember(rows, &mut memory));
            lane.memory = memory;
            forecasts.extend(lane.look(|rows| tracker.refine(rows)).unwrap());
        }
        forecasts
    }

    fn tracker(horizon: usize, smoothing: f64, damping: f64) -> Forecast {
        Forecast { horizon, smoothing, damping, ..Forecast::default() }
    }

    #[test]
    fn a_new_row_has_no_trend_and_a_damped_one_comes_to_rest() {
        let damped = tracker(1000, 0.5, 0.5);
        assert_eq!(forecasts(&damped, &[(0, 0.25)]), [0.25]);
        // A trend of 0.25 a token, of which 0.5 + 0.25 + … = 1 token's is to come.
        let seen = forecasts(&damped, &[(0, 0.25), (1, 0.5)]);
        assert!((seen[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn numbers_within_numbers_are_refused() {
        let inner = Box::new(Forecast::default());
        assert!(Forecast { inner, ..Forecast::default() }.check().is_err());
        assert!(Forecast::default().check().is_ok());
    }

    proptest! {
        #[test]
        fn a_constant_forecasts_itself(
            level in 0.0f32..1.0, steps in proptest::collection::vec(1usize..40, 1..20),
            horizon in 0usize..200, smoothing in 0.01f64..=1.0, damping in 0.1f64..=1.0,
        ) {
            let series: Vec<_> = steps.into_iter().map(|since| (since, level)).collect();
            for forecast in forecasts(&tracker(horizon, smoothing, damping), &series) {
                prop_assert!((forecast - level).abs() < 1e-5);
            }
        }

        #[test]
        fn a_line_forecasts_its_line(
            start in 0.1f32..1.0, slope in 0.0f32..0.01,
            steps in proptest::collection::vec(1usize..20, 2..20),
            horizon in 0usize..50, smoothing in 0.05f64..=1.0,
        ) {
            let mut at = 0;
            let line = |at: usize| start + slope * at as f32;
            let series: Vec<_> = steps.iter().map(|&since| {
                at += since;
                (since, line(at))
            }).collect();
            let seen = forecasts(&tracker(horizon, smoothing, 1.0), &series);
            let mut at = steps[0];
            for (forecast, since) in seen[1..].iter().zip(&steps[1..]) {
                at += since;
                prop_assert!((forecast - line(at + horizon)).abs() < 1e-3);
            }
        }

        #[test]
        fn a_forecast_is_a_number_from_0(
            series in proptest::collection::vec((0usize..5000, 0.0f32..1e30), 1..30),
            horizon in 0usize..100_000, smoothing in 0.001f64..=1.0, damping in 0.001f64..=1.0,
        ) {
            for forecast in forecasts(&tracker(horizon, smoothing, damping), &series) {
                prop_assert!(forecast >= 0.0 && forecast.is_finite());
            }
        }
    }
}
