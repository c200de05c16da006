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
        Some(Watch { prompt_queries: self.prompt_queries })
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let queries = seen.queries as f32;
        for (score, mass) in score.iter_mut().zip(seen.mass) {
            *score += queries * mass;
        }
    }
}
