//! Spearman's rank correlation.

use crate::stats::float;

/// Ranks from 1; equal values share the mean of theirs.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        let rank = float(first + 1 + first + equal.len()) / 2.0;
        for &index in equal {
            ranks[index] = rank;
        }
        first += equal.len();
    }
    ranks
}

/// Spearman's correlation: that of the ranks, from -1 to 1. `None` with fewer than two pairs, or
/// where one side is all the same, or of different lengths.
#[must_use]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = float(a.len() + 1) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let pairs = x.iter().zip(y);
        pairs.map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn only_the_order_counts() {
        let a = [0.1, 7.0, 2.0, 30.0];
        let grown = a.map(|x: f64| x.exp());
        assert_eq!(spearman(&a, &grown), Some(1.0));
        assert_eq!(spearman(&a, &a.map(|x| -x)), Some(-1.0));
        // 1 - 6 Σd² / (n (n² - 1)) without ties: d = -1, 2, -1, 0.
        let b = [8.0, 1.0, 9.0, 10.0];
        let expected = 1.0 - 6.0 * (1.0 + 4.0 + 1.0) / 60.0;
        assert!((spearman(&a, &b).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn no_order_has_no_correlation() {
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[1.0], &[1.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[1.0]), None);
    }
}
