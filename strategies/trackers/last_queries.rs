//! Attention of the newest queries only.

use smartkv_core::{Error, Result, Seen, Tracker, Watch, config, tracker};

/// Mean attention that each token received from the newest queries (`SnapKV`, arXiv 2404.14469).
///
/// After a chunk of a prompt with at least `window` tokens this is exact: the mean over its newest
/// `window` queries, where those that could not see the token count as 0. While decoding, or after
/// shorter chunks, one number a token cannot forget the oldest query exactly, so every new query
/// replaces `1/window` of the mean: queries fade instead of falling out. With `window: 1` it is
/// always exact (`TOVA`, arXiv 2401.06104).
#[config]
pub struct LastQueries {
    /// Newest queries whose attention counts.
    #[default(32)]
    pub window: usize,
}

#[tracker("last_queries")]
impl Tracker for LastQueries {
    fn check(&self) -> Result<()> {
        if self.window == 0 {
            return Err(Error::parameter("tracker.window", 0, "expected at least 1 query"));
        }
        Ok(())
    }

    fn watch(&self) -> Option<Watch> {
        Some(Watch::newest(self.window))
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let new = (seen.queries as f32 / self.window as f32).min(1.0);
        for (score, mass) in score.iter_mut().zip(seen.mass) {
            *score = (1.0 - new) * *score + new * mass;
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "sums of powers of two, and copies, are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_whole_window_of_queries_replaces_what_was_before() {
        let mut score = [0.9, 0.1];
        LastQueries { window: 8 }.fold(&Seen { mass: &[0.2, 0.4], queries: 8 }, &mut score);
        assert_eq!(score, [0.2, 0.4]);
    }

    #[test]
    fn a_token_that_few_queries_could_see_counts_the_others_as_zero() {
        let mut score = [0.0];
        LastQueries { window: 8 }.fold(&Seen { mass: &[0.4], queries: 2 }, &mut score);
        assert!((score[0] - 0.1f32).abs() < 1e-7);
    }

    #[test]
    fn single_queries_fade_and_a_window_of_one_forgets_at_once() {
        let tracker = LastQueries { window: 4 };
        let mut score = [0.0f32];
        let mut expected = 0.0;
        for mass in [0.8, 0.4, 0.0, 0.6] {
            tracker.fold(&Seen { mass: &[mass], queries: 1 }, &mut score);
            expected += (mass - expected) / 4.0;
        }
        assert!((score[0] - expected).abs() < 1e-6);
        LastQueries { window: 1 }.fold(&Seen { mass: &[0.3], queries: 1 }, &mut score);
        assert_eq!(score, [0.3]);
    }

    #[test]
    fn no_query_at_all_is_refused() {
        assert!(LastQueries { window: 0 }.check().is_err());
    }
}
