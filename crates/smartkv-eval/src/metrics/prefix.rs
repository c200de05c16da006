//! How far two outputs agree: the fidelity of greedy generation against a reference cache.

/// How many leading items two sequences share.
#[must_use]
pub fn common_prefix<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Index of the first difference; `None` for equal sequences. A sequence that ends first
/// diverges where it ends.
#[must_use]
pub fn first_divergence<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    let shared = common_prefix(a, b);
    (shared < a.len().max(b.len())).then_some(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_end_is_a_divergence() {
        assert_eq!(first_divergence(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(first_divergence(&[1, 2], &[1, 2, 3]), Some(2));
        assert_eq!(first_divergence(&[1, 5, 3], &[1, 2, 3]), Some(1));
        assert_eq!(first_divergence::<u32>(&[], &[]), None);
        assert_eq!(common_prefix(&[1, 5, 3], &[1, 2, 3]), 1);
    }
}
