//! Running sum of received attention.

use smartkv_core::{Seen, Tracker, Watch, config, tracker};

/// Running sum of the attention probability each token received (`H2O`, arXiv 2306.14048).
///
/// Nothing is normalised: old tokens had more queries to collect from, as in the paper.
#[config]
pub struct Cumulative {
    /// Newest queries of each prompt chunk that are observed; by default all of them.
    #[default(usize::MAX)]
    pub prompt_queries: usize,
}

#[tracker("cumulative")]
impl Tracker for Cumulative {
    fn watch(&self) -> Option<Watch> {
        Some(Watch::newest(self.prompt_queries))
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let queries = seen.queries as f32;
        for (score, mass) in score.iter_mut().zip(seen.mass) {
            *score += queries * mass;
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "sums of powers of two, and copies, are exact")]
mod tests {
    use super::*;

    #[test]
    fn sums_over_all_queries_that_saw_the_token() {
        let tracker = Cumulative::default();
        let mut score = [0.0f32, 0.0];
        // The old token was seen by five queries, the new one by the last of them only.
        tracker.fold(&Seen { mass: &[0.25], queries: 5 }, &mut score[..1]);
        tracker.fold(&Seen { mass: &[0.5], queries: 1 }, &mut score[1..]);
        tracker.fold(&Seen { mass: &[0.125, 0.25], queries: 1 }, &mut score);
        assert_eq!(score, [5.0 * 0.25 + 0.125, 0.5 + 0.25]);
    }

    #[test]
    fn all_queries_of_a_prompt_count_unless_told() {
        let watched = |tracker: Cumulative| tracker.watch().map(|w| w.prompt_queries);
        assert_eq!(watched(Cumulative::default()), Some(usize::MAX));
        assert_eq!(watched(Cumulative { prompt_queries: 3 }), Some(3));
    }
}
