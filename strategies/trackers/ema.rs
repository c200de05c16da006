//! Exponential moving average of received attention.

use smartkv_core::{Seen, Tracker, Watch, config, tracker};

/// Exponential moving average of the attention each token receives.
///
/// One query is one step of the average; several observed at once (a prompt) count as that many
/// steps at their mean. Attention is normalised by the number of queries that could see the token,
/// so late tokens of a prompt are not at a disadvantage (`ZipCache`, arXiv 2405.14256).
#[config]
pub struct Ema {
    /// Weight that the past keeps at every query.
    #[default(0.9)]
    #[range(0.0..1.0)]
    pub decay: f64,
    /// Newest queries of each prompt chunk that are observed.
    #[default(64)]
    pub prompt_queries: usize,
}

#[tracker("ema")]
impl Tracker for Ema {
    fn watch(&self) -> Option<Watch> {
        Some(Watch::newest(self.prompt_queries))
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        let decay = self.decay as f32;
        let keep = decay.powi(i32::try_from(seen.queries).unwrap_or(i32::MAX));
        for (score, &mass) in score.iter_mut().zip(seen.mass) {
            *score = keep * *score + (1.0 - keep) * mass;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::registry::Documented;

    #[test]
    fn follows_the_recurrence_one_query_at_a_time() {
        let ema = Ema { decay: 0.9, prompt_queries: 1 };
        let mut score = [0.0f32];
        let mut expected = 0.0;
        for mass in [0.5, 0.1, 0.7] {
            ema.fold(&Seen { mass: &[mass], queries: 1 }, &mut score);
            expected = 0.9 * expected + 0.1 * mass;
            assert!((score[0] - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_decay_that_never_forgets_or_diverges_is_refused() {
        let decay = Ema::FIELDS.iter().find(|field| field.name == "decay").unwrap();
        let range = decay.range.unwrap();
        for decay in [1.0, 2.0, -0.1, f64::NAN] {
            assert!(!range.contains(decay), "{decay}");
        }
        assert!(range.contains(0.0) && range.contains(0.999));
    }

    #[test]
    fn many_queries_at_one_level_converge_to_it() {
        let mut score = [0.0f32, 1.0];
        Ema::default().fold(&Seen { mass: &[0.3, 0.3], queries: 200 }, &mut score);
        assert!(score.iter().all(|s| (s - 0.3).abs() < 1e-6));
    }
}
