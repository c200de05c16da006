//! How far a candidate's predictions are from the reference's, token by token and in sum.

use crate::error::{EvalError, Result};
use crate::perplexity::{Perplexity, finite_max};
use crate::stats::{
    Bootstrap, Difference, Estimate, Interval, Quantiles, bootstrap_mean, float, mean,
    paired_difference,
};
use serde::{Deserialize, Serialize};

/// Ranks compared by the overlap of the most likely tokens.
pub const TOP: usize = 5;

/// The reference is called confident above this probability of its first choice.
pub const CONFIDENT: f64 = 0.5;

/// One row of logits reduced to what is scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Log-probability of the true token in nats, negated.
    pub nll_nats: f64,
    /// Probability of the most likely token.
    pub max_p: f64,
    /// The most likely tokens, at most [`TOP`]; the lower id first among equals.
    pub top: Vec<u32>,
    log_sum: f64,
}

impl Scores {
    /// Scores a row against the true token `gold`; `None` when a logit is not finite or `gold`
    /// is beyond the row.
    #[must_use]
    pub fn of(logits: &[f32], gold: u32) -> Option<Self> {
        let target = f64::from(*logits.get(usize::try_from(gold).ok()?)?);
        let max = finite_max(logits)?;
        let sum: f64 = logits
            .iter()
            .map(|&logit| (f64::from(logit) - max).exp())
            .sum();
        let log_sum = max + sum.ln();
        Some(Self {
            nll_nats: log_sum - target,
            max_p: 1.0 / sum,
            top: top(logits),
            log_sum,
        })
    }
}

/// Ids of the largest logits in falling order.
fn top(logits: &[f32]) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(TOP + 1);
    for (id, &logit) in (0u32..).zip(logits) {
        if best.len() < TOP || best.last().is_some_and(|&(least, _)| logit > least) {
            let place = best.partition_point(|&(other, _)| other >= logit);
            best.insert(place, (logit, id));
            best.truncate(TOP);
        }
    }
    best.into_iter().map(|(_, id)| id).collect()
}

/// What a candidate predicted for one token, next to the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenFidelity {
    /// Negative log-likelihood of the true token.
    pub nll_nats: f64,
    /// Kullback-Leibler divergence of the candidate from the reference, `KL(ref || candidate)`.
    pub kl_nats: f64,
    /// Whether both have the same first choice.
    pub top1_agrees: bool,
    /// Share of the five most likely tokens that both have, in any order.
    pub top5_overlap: f64,
    /// Absolute difference in the probability of the true token.
    pub abs_delta_p: f64,
}

impl TokenFidelity {
    /// Compares two rows of logits, already scored against the same true token.
    #[must_use]
    pub fn of(reference: (&[f32], &Scores), candidate: (&[f32], &Scores)) -> Self {
        let ((ref_logits, ref_scores), (logits, scores)) = (reference, candidate);
        let divergence: f64 = ref_logits
            .iter()
            .zip(logits)
            .map(|(&r, &c)| (f64::from(r), f64::from(c)))
            .map(|(r, c)| (r - ref_scores.log_sum).exp() * (r - c))
            .sum();
        let shared = scores
            .top
            .iter()
            .filter(|id| ref_scores.top.contains(id))
            .count();
        Self {
            nll_nats: scores.nll_nats,
            // Rounding can leave a tiny negative number where there is no divergence.
            kl_nats: (divergence - ref_scores.log_sum + scores.log_sum).max(0.0),
            top1_agrees: scores.top.first() == ref_scores.top.first(),
            top5_overlap: float(shared) / float(ref_scores.top.len().max(1)),
            abs_delta_p: ((-scores.nll_nats).exp() - (-ref_scores.nll_nats).exp()).abs(),
        }
    }
}

/// One scored token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Place of the predicted token in the text's token stream.
    pub position: usize,
    /// Its id.
    pub token: u32,
    /// Negative log-likelihood under the reference.
    pub reference_nll_nats: f64,
    /// Probability of the reference's first choice.
    pub reference_max_p: f64,
    /// The candidate's prediction; absent without one.
    pub candidate: Option<TokenFidelity>,
}

/// A candidate over the tokens of one window, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowFidelity {
    /// Mean negative log-likelihood.
    pub mean_nll_nats: f64,
    /// Mean `KL(ref || candidate)`.
    pub mean_kl_nats: f64,
    /// Share of tokens with the same first choice.
    pub top1_agreement: f64,
    /// Mean share of the five most likely tokens that both have.
    pub top5_overlap: f64,
    /// Tokens where the reference's first choice has a probability above one half.
    pub confident_tokens: usize,
    /// Share of those with the same first choice; absent when there are none.
    pub confident_top1_agreement: Option<f64>,
    /// Mean absolute difference in the probability of the true token.
    pub mean_abs_delta_p: f64,
    /// Root of the mean square of that difference.
    pub rms_delta_p: f64,
}

impl WindowFidelity {
    /// Averages over tokens; `None` when no token has a candidate.
    #[must_use]
    pub fn of<'a>(tokens: impl IntoIterator<Item = &'a TokenRecord>) -> Option<Self> {
        let pairs: Vec<(f64, TokenFidelity)> = tokens
            .into_iter()
            .filter_map(|token| token.candidate.map(|c| (token.reference_max_p, c)))
            .collect();
        let average = |f: &dyn Fn(&TokenFidelity) -> f64| {
            mean(&pairs.iter().map(|(_, token)| f(token)).collect::<Vec<_>>())
        };
        let agrees = |token: &TokenFidelity| f64::from(u8::from(token.top1_agrees));
        let confident: Vec<f64> = pairs
            .iter()
            .filter(|(p, _)| *p > CONFIDENT)
            .map(|(_, token)| agrees(token))
            .collect();
        Some(Self {
            mean_nll_nats: average(&|token| token.nll_nats)?,
            mean_kl_nats: average(&|token| token.kl_nats)?,
            top1_agreement: average(&agrees)?,
            top5_overlap: average(&|token| token.top5_overlap)?,
            confident_tokens: confident.len(),
            confident_top1_agreement: mean(&confident),
            mean_abs_delta_p: average(&|token| token.abs_delta_p)?,
            rms_delta_p: average(&|token| token.abs_delta_p.powi(2))?.sqrt(),
        })
    }
}

/// A candidate against the reference over all windows. Intervals resample windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// The candidate's perplexity.
    pub perplexity: Perplexity,
    /// Candidate perplexity divided by reference perplexity.
    pub perplexity_ratio: f64,
    /// Paired bootstrap interval of that ratio; absent with one window.
    pub perplexity_ratio_interval: Option<Interval>,
    /// Candidate minus reference: mean NLL per window, paired.
    pub nll_difference_nats: Difference,
    /// `KL(ref || candidate)` over tokens.
    pub kl_nats: Quantiles,
    /// Mean KL with its interval over windows.
    pub mean_kl_nats: Estimate,
    /// Share of tokens with the same first choice, with its interval over windows.
    pub top1_agreement: Estimate,
    /// Averages over all tokens.
    pub tokens: WindowFidelity,
}

impl Fidelity {
    /// Sums up windows of equally many tokens.
    ///
    /// # Errors
    /// No windows, windows without a candidate, numbers that are not finite.
    pub fn of(windows: &[Vec<TokenRecord>], how: &Bootstrap) -> Result<Self> {
        let missing = || EvalError::Statistics("fidelity of windows without a candidate".into());
        let per_window: Vec<WindowFidelity> = windows
            .iter()
            .map(|window| WindowFidelity::of(window).ok_or_else(missing))
            .collect::<Result<_>>()?;
        let of_windows =
            |f: fn(&WindowFidelity) -> f64| per_window.iter().map(f).collect::<Vec<_>>();
        let nll = of_windows(|window| window.mean_nll_nats);
        let reference: Vec<f64> = windows
            .iter()
            .filter_map(|window| reference_nll(window))
            .collect();
        let kl: Vec<f64> = windows
            .iter()
            .flatten()
            .filter_map(|token| Some(token.candidate?.kl_nats))
            .collect();
        let difference = paired_difference(&reference, &nll, how)?;
        let tokens_per_window = windows.first().map_or(0, Vec::len);
        Ok(Self {
            perplexity: Perplexity::of(&nll, tokens_per_window).ok_or_else(missing)?,
            perplexity_ratio: difference.estimate.mean.exp(),
            perplexity_ratio_interval: difference.estimate.interval.map(|i| i.map(f64::exp)),
            nll_difference_nats: difference,
            kl_nats: Quantiles::of(&kl).ok_or_else(missing)?,
            mean_kl_nats: bootstrap_mean(&of_windows(|window| window.mean_kl_nats), how)?,
            top1_agreement: bootstrap_mean(&of_windows(|window| window.top1_agreement), how)?,
            tokens: WindowFidelity::of(windows.iter().flatten()).ok_or_else(missing)?,
        })
    }
}

/// Mean NLL of a window under the reference; `None` of no tokens.
pub(crate) fn reference_nll(window: &[TokenRecord]) -> Option<f64> {
    mean(
        &window
            .iter()
            .map(|token| token.reference_nll_nats)
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    fn compare(reference: &[f32], candidate: &[f32], gold: u32) -> TokenFidelity {
        let (r, c) = (
            Scores::of(reference, gold).unwrap(),
            Scores::of(candidate, gold).unwrap(),
        );
        TokenFidelity::of((reference, &r), (candidate, &c))
    }

    #[test]
    fn a_row_has_no_distance_from_itself() {
        let row: Vec<f32> = (0..100_u8)
            .map(|i| (f32::from(i) * 0.7).sin() * 9.0)
            .collect();
        let same = compare(&row, &row, 3);
        assert!(same.kl_nats < 1e-12 && same.abs_delta_p == 0.0 && same.top1_agrees);
        assert_eq!(same.top5_overlap, 1.0);
        // Softmax does not see a shift of all logits.
        let shifted: Vec<f32> = row.iter().map(|logit| logit + 32.0).collect();
        assert!(compare(&row, &shifted, 3).kl_nats < 1e-5);
    }

    #[test]
    fn divergence_equals_its_definition() {
        let p = [0.5_f64, 0.3, 0.15, 0.05];
        let q = [0.1_f64, 0.2, 0.3, 0.4];
        #[expect(clippy::cast_possible_truncation, reason = "test data")]
        let row = |p: [f64; 4]| p.map(|p| (p.ln() + 3.0) as f32);
        let token = compare(&row(p), &row(q), 3);
        let expected: f64 = p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum();
        assert!(
            (token.kl_nats - expected).abs() < 1e-6,
            "{} {expected}",
            token.kl_nats
        );
        assert!((token.nll_nats + 0.4_f64.ln()).abs() < 1e-6);
        assert!((token.abs_delta_p - 0.35).abs() < 1e-6);
        assert!(!token.top1_agrees);
        assert_eq!(token.top5_overlap, 1.0);
    }

    #[test]
    fn the_most_likely_come_first_and_ties_go_to_the_lower_id() {
        assert_eq!(top(&[1.0, 3.0, 3.0, 0.0, 2.0, 1.0, 5.0]), [6, 1, 2, 4, 0]);
        assert_eq!(top(&[1.0, 2.0]), [1, 0]);
    }

    #[test]
    fn broken_rows_have_no_scores() {
        assert_eq!(Scores::of(&[1.0, f32::INFINITY], 0), None);
        assert_eq!(Scores::of(&[1.0], 1), None);
    }
}
