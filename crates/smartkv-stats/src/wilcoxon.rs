//! Wilcoxon's signed-rank test.

use super::float;
use super::special::normal_cdf;
use serde::{Deserialize, Serialize};

/// Up to so many differences the test is exact if none is zero and none are tied.
const EXACT: usize = 50;
/// Up to so many it is exact with zeros and ties too.
const EXACT_TIED: usize = 13;

/// The signed-rank test of paired differences around zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wilcoxon {
    /// Sum of the ranks of positive differences.
    pub positive: f64,
    /// Sum of the ranks of negative differences.
    pub negative: f64,
    /// Two-sided p-value.
    pub p_two_sided: f64,
    /// Rank-biserial correlation (Kerby 2014), an effect size in `-1..=1`: positive less negative
    /// ranks over all of them; 0 without a difference.
    pub rank_biserial: f64,
}

/// Signed-rank test (Wilcoxon 1945) of the differences; `None` without any or if one is NaN.
///
/// Zeros are dropped; ties share their mean rank. The p-value is found as `SciPy` does by default:
/// from all assignments of signs up to 50 differences, or 13 if there are zeros or ties; from the
/// normal distribution with the variance corrected for ties, without continuity correction, above.
/// 1 if all are zero.
#[must_use]
pub fn wilcoxon(differences: &[f64]) -> Option<Wilcoxon> {
    if differences.is_empty() || differences.iter().any(|d| d.is_nan()) {
        return None;
    }
    let mut nonzero: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    nonzero.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut positive, mut negative, mut tied_cubes) = (0_usize, 0_usize, 0.0);
    let mut doubled_ranks = Vec::with_capacity(nonzero.len());
    for tied in nonzero.chunk_by(|a, b| a.abs().total_cmp(&b.abs()).is_eq()) {
        // Twice the mean rank is whole: the first and the last rank together.
        let doubled = 2 * doubled_ranks.len() + tied.len() + 1;
        doubled_ranks.extend(vec![doubled; tied.len()]);
        let above = tied.iter().filter(|d| **d > 0.0).count();
        positive += above * doubled;
        negative += (tied.len() - above) * doubled;
        tied_cubes += float(tied.len()).powi(3) - float(tied.len());
    }
    let n = float(nonzero.len());
    let plain = nonzero.len() == differences.len() && tied_cubes == 0.0;
    let exact = if plain { EXACT } else { EXACT_TIED };
    let p_two_sided = if nonzero.is_empty() {
        1.0
    } else if differences.len() <= exact {
        p_of_all_signs(&doubled_ranks, positive.min(negative))
    } else {
        let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - tied_cubes / 2.0) / 24.0;
        let centred = 0.5 * float(positive.min(negative)) - n * (n + 1.0) / 4.0;
        (2.0 * normal_cdf(centred / variance.sqrt())).min(1.0)
    };
    let all = float(positive + negative);
    Some(Wilcoxon {
        positive: 0.5 * float(positive),
        negative: 0.5 * float(negative),
        p_two_sided,
        rank_biserial: if all > 0.0 {
            (float(positive) - float(negative)) / all
        } else {
            0.0
        },
    })
}

/// Twice the share of sign assignments whose sum of positive (doubled) ranks is at most `few`.
fn p_of_all_signs(doubled_ranks: &[usize], few: usize) -> f64 {
    // Assignments by their sum: at most 2^50, which a float counts exactly.
    let mut assignments = vec![0.0; doubled_ranks.iter().sum::<usize>() + 1];
    assignments[0] = 1.0;
    for &rank in doubled_ranks {
        for sum in (rank..assignments.len()).rev() {
            assignments[sum] += assignments[sum - rank];
        }
    }
    let total: f64 = assignments.iter().sum();
    (2.0 * assignments[..=few].iter().sum::<f64>() / total).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::wilcoxon;

    #[test]
    fn degenerate_samples() {
        assert_eq!(wilcoxon(&[]), None);
        assert_eq!(wilcoxon(&[1.0, f64::NAN]), None);
        let zeros = wilcoxon(&[0.0; 30]).unwrap();
        assert_eq!((zeros.p_two_sided, zeros.rank_biserial), (1.0, 0.0));
        let one_sided = wilcoxon(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(
            (one_sided.p_two_sided, one_sided.rank_biserial),
            (0.25, 1.0)
        );
    }
}
