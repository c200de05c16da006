//! The sign-flip permutation test of a mean difference.

use super::float;
use crate::random::Draws;

/// Up to so many differences, every assignment of signs is tried.
const EXACT: usize = 20;

/// Two-sided p-value of a mean paired difference of zero, by flipping signs.
///
/// Exact up to 20 differences, where all `2^n` assignments are tried: the smallest p that `n`
/// units can give is `2 / 2^n`, and a bootstrap of few units would claim less. Above that,
/// `resamples` assignments are drawn and counted with the +1 correction. 1 without differences.
#[must_use]
pub fn sign_flip(differences: &[f64], resamples: usize, seed: u64) -> f64 {
    let size: f64 = differences.iter().map(|difference| difference.abs()).sum();
    // Equal sums, added up in another order, must not count as smaller.
    let observed = differences.iter().sum::<f64>().abs() - 1e-12 * size;
    if differences.len() <= EXACT {
        // An assignment and its opposite have the same size: the first sign stays. The sums of
        // either half are added up once, and every pair of them is an assignment.
        let (first, others) = differences.split_at(differences.len().min(1));
        let (left, right) = others.split_at(others.len() / 2);
        let (left, right) = (
            signed_sums(first.iter().sum(), left),
            signed_sums(0.0, right),
        );
        let extreme = |left: &f64| {
            right
                .iter()
                .filter(|r| (left + **r).abs() >= observed)
                .count()
        };
        let extreme: usize = left.iter().map(extreme).sum();
        return float(extreme) / float(left.len() * right.len());
    }
    let mut draws = Draws::keyed([seed, 1, 0, 0]);
    let extreme = (0..resamples)
        .filter(|_| {
            let mut flip = |d: &f64| if draws.below(2) == 1 { -d } else { *d };
            differences.iter().map(&mut flip).sum::<f64>().abs() >= observed
        })
        .count();
    float(extreme + 1) / float(resamples + 1)
}

/// `start` plus the values, for every assignment of signs to them.
fn signed_sums(start: f64, values: &[f64]) -> Vec<f64> {
    values.iter().fold(vec![start], |sums, value| {
        let both = |sum: &f64| [sum + value, sum - value];
        sums.iter().flat_map(both).collect()
    })
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "counts over counts")]
mod tests {
    use super::*;

    #[test]
    fn few_units_cannot_be_more_certain_than_their_number() {
        assert_eq!(sign_flip(&[], 100, 0), 1.0);
        assert_eq!(sign_flip(&[3.0], 100, 0), 1.0);
        assert_eq!(sign_flip(&[1.0, 1.1, 0.9, 1.2], 100, 0), 2.0 / 16.0);
        assert_eq!(sign_flip(&[0.0; 5], 100, 0), 1.0);
        assert_eq!(sign_flip(&[0.1, 0.2, 0.3], 100, 0), 2.0 / 8.0);
    }

    #[test]
    fn many_units_are_sampled() {
        let clear: Vec<f64> = (0..30).map(|i| 1.0 + f64::from(i) / 100.0).collect();
        assert_eq!(sign_flip(&clear, 999, 0), 1.0 / 1000.0);
        let balanced: Vec<f64> = (0..30)
            .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        assert_eq!(sign_flip(&balanced, 999, 0), 1.0);
    }
}
