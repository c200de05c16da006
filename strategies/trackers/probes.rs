//! Normalised attention from the newest queries of a prompt and others spread over it.

use smartkv_core::{LaneRows, Seen, Tracker, Watch, config, tracker};

/// Mean attention of each token over the probe queries that could see it (`ZipCache`'s saliency).
///
/// Attention is summed, and divided by the number of queries that added to the sum: old tokens had
/// more to collect from (arXiv 2405.14256). The paper probes a prompt with its newest 5% of tokens
/// and 5% drawn by lot; here the newest are a number, and of every `spread` tokens before them one
/// is drawn. While decoding every query counts. Costs a position a row.
#[config]
pub struct Probes {
    /// Newest queries of each prompt chunk that are observed.
    #[default(64)]
    #[range(1..)]
    pub newest: usize,
    /// Of every so many tokens of a prompt one more is observed; 0 is none.
    #[default(20)]
    pub spread: usize,
}

#[tracker("probes")]
impl Tracker for Probes {
    fn watch(&self) -> Option<Watch> {
        Some(Watch { prompt_queries: self.newest, spread: self.spread })
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let queries = seen.queries as f32;
        score.iter_mut().zip(seen.mass).for_each(|(score, mass)| *score += queries * mass);
    }

    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let mean = |(sum, queries): (&f32, u32)| sum / queries.max(1) as f32;
        Some(rows.score.iter().zip(rows.observers()).map(mean).collect())
    }

    fn positions(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "powers of two")]
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    #[test]
    fn sums_are_divided_by_the_queries_that_could_add_to_them() {
        let mut lane = Probe::new(6);
        lane.observed = 4;
        let tracker = Probes::default();
        tracker.fold(&Seen { mass: &[0.5; 6], queries: 4 }, &mut lane.score);
        assert_eq!(lane.score, [2.0; 6]);
        let scores = lane.look(|rows| tracker.refine(rows)).unwrap();
        assert_eq!(scores, [0.5, 0.5, 0.5, 2.0 / 3.0, 1.0, 2.0]);
    }
}
