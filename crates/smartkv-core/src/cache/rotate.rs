//! The orthonormal Walsh–Hadamard transform of one head.
//!
//! It is its own inverse and keeps dot products, so keys may be stored rotated when queries are
//! rotated too, and values when the output is rotated back.

use crate::layout::Rotation;

/// Rotates every head of `x` (`[n, head_dim]`) in place.
pub(super) fn rotate(rotation: Rotation, x: &mut [f32], head_dim: usize) {
    match rotation {
        Rotation::None => {}
        Rotation::Hadamard => hadamard(x, head_dim),
        Rotation::Random => {
            flip(x, head_dim);
            hadamard(x, head_dim);
        }
    }
}

/// Undoes [`rotate`].
pub(super) fn back(rotation: Rotation, x: &mut [f32], head_dim: usize) {
    match rotation {
        Rotation::None => {}
        Rotation::Hadamard => hadamard(x, head_dim),
        Rotation::Random => {
            hadamard(x, head_dim);
            flip(x, head_dim);
        }
    }
}

/// Changes the sign of about half of the channels, always the same ones.
fn flip(x: &mut [f32], head_dim: usize) {
    for row in x.chunks_exact_mut(head_dim) {
        for (channel, value) in row.iter_mut().enumerate() {
            // A bit from the middle of a multiplicative hash.
            let hash = (channel as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            if hash >> 40 & 1 == 1 {
                *value = -*value;
            }
        }
    }
}

/// Where `head_dim` is not a power of two, blocks of its largest power-of-two divisor are rotated.
fn hadamard(x: &mut [f32], head_dim: usize) {
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
    use super::{back, rotate};
    use crate::layout::Rotation;

    #[test]
    fn is_orthonormal_and_has_an_inverse() {
        for (head_dim, rotation) in [
            (8, Rotation::Hadamard),
            (64, Rotation::Random),
            (80, Rotation::Random),
            (96, Rotation::Hadamard),
        ] {
            let x: Vec<f32> = (0..head_dim)
                .map(|i| ((i * 7919) % 31) as f32 - 15.0)
                .collect();
            let mut y = x.clone();
            rotate(rotation, &mut y, head_dim);
            let norm = |v: &[f32]| v.iter().map(|a| a * a).sum::<f32>();
            assert!((norm(&x) - norm(&y)).abs() < 1e-3 * norm(&x));
            assert!(x.iter().zip(&y).any(|(a, b)| (a - b).abs() > 1.0));
            back(rotation, &mut y, head_dim);
            assert!(x.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn spreads_an_outlier_channel() {
        let mut x = vec![0.0; 64];
        x[5] = 8.0;
        rotate(Rotation::Random, &mut x, 64);
        assert!(x.iter().all(|v| (v.abs() - 1.0).abs() < 1e-6));
    }
}
