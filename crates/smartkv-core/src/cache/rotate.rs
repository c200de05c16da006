//! The orthonormal Walsh–Hadamard transform of one head.
//!
//! It is its own inverse and keeps dot products, so keys may be stored rotated when queries are
//! rotated too, and values when the output is rotated back.

/// Rotates every head of `x` (`[n, head_dim]`) in place. Where `head_dim` is not a power of two,
/// blocks of its largest power-of-two divisor are rotated.
pub(super) fn rotate(x: &mut [f32], head_dim: usize) {
    let block = 1 << head_dim.trailing_zeros();
    #[expect(clippy::cast_precision_loss, reason = "a head dimension")]
    let norm = 1.0 / (block as f32).sqrt();
    for values in x.chunks_exact_mut(block) {
        let mut half = 1;
        while half < block {
            for pair in values.chunks_exact_mut(2 * half) {
                let (low, high) = pair.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        values.iter_mut().for_each(|v| *v *= norm);
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests {
    use super::rotate;

    #[test]
    fn is_orthonormal_and_its_own_inverse() {
        for head_dim in [8, 64, 80, 96] {
            let x: Vec<f32> = (0..head_dim)
                .map(|i| ((i * 7919) % 31) as f32 - 15.0)
                .collect();
            let mut y = x.clone();
            rotate(&mut y, head_dim);
            let norm = |v: &[f32]| v.iter().map(|a| a * a).sum::<f32>();
            assert!((norm(&x) - norm(&y)).abs() < 1e-3 * norm(&x));
            assert!(x.iter().zip(&y).any(|(a, b)| (a - b).abs() > 1.0));
            rotate(&mut y, head_dim);
            assert!(x.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn spreads_an_outlier_channel() {
        let mut x = vec![0.0; 64];
        x[5] = 8.0;
        rotate(&mut x, 64);
        assert!(x.iter().all(|v| (v.abs() - 1.0).abs() < 1e-6));
    }
}
