//! Negative log-likelihood and perplexity.

use crate::stats::mean;
use serde::{Deserialize, Serialize};

/// Natural logarithm of the sum of exponentials, in f64; `None` unless every logit is finite.
#[must_use]
pub fn log_sum_exp(logits: &[f32]) -> Option<f64> {
    let max = finite_max(logits)?;
    Some(
        max + logits
            .iter()
            .map(|&logit| (f64::from(logit) - max).exp())
            .sum::<f64>()
            .ln(),
    )
}

/// Natural log-probability of token `id` under softmax of `logits`, in f64.
///
/// `None` when a logit is not finite or `id` is beyond the row.
#[must_use]
pub fn log_prob(logits: &[f32], id: u32) -> Option<f64> {
    let gold = *logits.get(usize::try_from(id).ok()?)?;
    Some(f64::from(gold) - log_sum_exp(logits)?)
}

/// The largest logit; `None` of nothing and when one is not finite.
pub(crate) fn finite_max(logits: &[f32]) -> Option<f64> {
    let all_finite = !logits.is_empty() && logits.iter().all(|logit| logit.is_finite());
    all_finite.then(|| f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max)))
}

/// Perplexity over windows of equally many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// `exp(mean_nll_nats)`.
    pub perplexity: f64,
    /// Mean negative log-likelihood per scored token.
    pub mean_nll_nats: f64,
    /// Tokens scored.
    pub scored_tokens: usize,
    /// Windows they are from.
    pub windows: usize,
}

impl Perplexity {
    /// The summary of windows that each scored `tokens_per_window` tokens, by their mean NLL;
    /// `None` of nothing.
    #[must_use]
    pub fn of(window_means: &[f64], tokens_per_window: usize) -> Option<Self> {
        let mean_nll_nats = mean(window_means)?;
        Some(Self {
            perplexity: mean_nll_nats.exp(),
            mean_nll_nats,
            scored_tokens: window_means.len() * tokens_per_window,
            windows: window_means.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_far_from_zero() {
        for shift in [-500.0, 0.0, 500.0_f32] {
            let logits = [shift + 1.0, shift - 2.0, shift, shift + 0.5];
            let total: f64 = (0..4).map(|id| log_prob(&logits, id).unwrap().exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
        }
    }

    #[test]
    fn what_has_no_probability() {
        assert_eq!(log_sum_exp(&[]), None);
        assert_eq!(log_sum_exp(&[0.0, f32::NAN]), None);
        assert_eq!(log_prob(&[0.0, f32::NEG_INFINITY], 0), None);
        assert_eq!(log_prob(&[0.0, 1.0], 2), None);
    }

    #[test]
    fn uniform_logits_have_the_vocabulary_as_perplexity() {
        let nll = -log_prob(&[3.0; 50], 7).unwrap();
        let summary = Perplexity::of(&[nll, nll], 10).unwrap();
        assert!((summary.perplexity - 50.0).abs() < 1e-12);
        assert_eq!((summary.scored_tokens, summary.windows), (20, 2));
        assert_eq!(Perplexity::of(&[], 10), None);
    }
}
