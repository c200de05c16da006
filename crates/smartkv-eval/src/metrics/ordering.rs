//! Shares and orderings, as `ZeroSCROLLS` (Shaham et al. 2023) defines them.
//!
//! Its evaluation program is not public: the formulas are those of the paper, the reading of an
//! answer is ours.

use super::python::numbers;
use crate::stats::float;

/// `space_digest`: `2^(-10 |p - q|)` of two shares in `0..=1`. An error of 10 points halves it.
///
/// 0 if either is not a number.
#[must_use]
pub fn exponential_similarity(predicted: f64, reference: f64) -> f64 {
    let distance = (predicted - reference).abs();
    if distance.is_nan() {
        return 0.0;
    }
    (-10.0 * distance).exp2()
}

/// The share that an answer states: its first number before a `%` sign, else its first number,
/// divided by 100. `None` without a number, or with one above 100.
#[must_use]
pub fn stated_share(answer: &str) -> Option<f64> {
    let mut found: Option<(f64, bool)> = None;
    for (at, _) in answer.match_indices(|c: char| c.is_ascii_digit()) {
        let inside = answer[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.');
        if inside {
            continue;
        }
        let rest = &answer[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Ok(value) = rest[..end].trim_end_matches('.').parse::<f64>() else {
            continue;
        };
        let percent = rest[end..].trim_start().starts_with('%');
        if percent || found.is_none() {
            found = Some((value, percent));
        }
        if percent {
            break;
        }
    }
    let (value, _) = found?;
    (value <= 100.0).then_some(value / 100.0)
}

/// `book_sum_sort`: share of the pairs that stand in the reference's order.
///
/// 0 unless both hold the same items, each once: other answers have no order to judge. 1 for one
/// item, 0 for none.
#[must_use]
pub fn concordance_index<T: Ord>(predicted: &[T], reference: &[T]) -> f64 {
    let n = reference.len();
    let mut ranked: Vec<(&T, usize)> = reference.iter().zip(0..).collect();
    ranked.sort_unstable();
    let ranks: Option<Vec<usize>> = predicted
        .iter()
        .map(|item| {
            let at = ranked.binary_search_by(|(other, _)| (*other).cmp(item));
            at.ok().map(|at| ranked[at].1)
        })
        .collect();
    let repeated = ranked.windows(2).any(|pair| pair[0].0 == pair[1].0);
    let Some(ranks) = ranks.filter(|ranks| ranks.len() == n && n > 0 && !repeated) else {
        return 0.0;
    };
    let mut seen = vec![false; n];
    for &rank in &ranks {
        if std::mem::replace(&mut seen[rank], true) {
            return 0.0;
        }
    }
    if n == 1 {
        return 1.0;
    }
    let pairs = float(n) * float(n - 1) / 2.0;
    (pairs - float(inversions(ranks).1)) / pairs
}

/// The items of an answer to `book_sum_sort`: its numbers, in order.
#[must_use]
pub fn stated_order(answer: &str) -> Vec<&str> {
    numbers(answer).collect()
}

/// Sorts, counting the pairs that stood in the wrong order.
fn inversions(mut items: Vec<usize>) -> (Vec<usize>, usize) {
    if items.len() < 2 {
        return (items, 0);
    }
    let right = items.split_off(items.len() / 2);
    let ((left, a), (right, b)) = (inversions(items), inversions(right));
    let mut count = a + b;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        if first <= second {
            merged.extend(left.next());
        } else {
            count += left.len();
            merged.extend(right.next());
        }
    }
    merged.extend(left);
    merged.extend(right);
    (merged, count)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    #[test]
    fn ten_points_halve_the_similarity() {
        assert_eq!(exponential_similarity(0.3, 0.3), 1.0);
        assert!((exponential_similarity(0.4, 0.3) - 0.5).abs() < 1e-12);
        assert_eq!(exponential_similarity(f64::NAN, 0.3), 0.0);
        assert_eq!(exponential_similarity(f64::INFINITY, 0.3), 0.0);
    }

    #[test]
    fn shares_are_read_from_text() {
        for (answer, share) in [
            ("70%", Some(0.7)),
            ("7 of 10, so 70 %.", Some(0.7)),
            ("about 62.5% or 10%", Some(0.625)),
            ("55", Some(0.55)),
            ("55.", Some(0.55)),
            ("250%", None),
            ("most", None),
            ("1.2.3", None),
        ] {
            assert_eq!(stated_share(answer), share, "{answer}");
        }
    }

    #[test]
    fn concordance_counts_ordered_pairs() {
        assert_eq!(concordance_index(&[1, 2, 3, 4], &[1, 2, 3, 4]), 1.0);
        assert_eq!(concordance_index(&[4, 3, 2, 1], &[1, 2, 3, 4]), 0.0);
        assert_eq!(concordance_index(&[2, 1, 3, 4], &[1, 2, 3, 4]), 5.0 / 6.0);
        assert_eq!(concordance_index(&[3, 1, 2], &[3, 2, 1]), 2.0 / 3.0);
        for wrong in [&[1, 2][..], &[1, 2, 2], &[1, 2, 9], &[]] {
            assert_eq!(concordance_index(wrong, &[1, 2, 3]), 0.0, "{wrong:?}");
        }
        assert_eq!(concordance_index(&[1, 1], &[1, 1]), 0.0);
        assert_eq!(concordance_index(&["a"], &["a"]), 1.0);
        assert_eq!(stated_order("2, 1 and 3"), ["2", "1", "3"]);
    }
}
