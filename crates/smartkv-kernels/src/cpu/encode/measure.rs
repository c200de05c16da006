//! What the scales of some groups follow from.

use super::grid::{BATCH, Levels};
use crate::cpu::simd::Simd;
use smartkv_core::kernels::INTERLEAVED;

/// Of up to [`BATCH`] groups what their levels ask for; the rest stays 0.
pub(super) struct Measures {
    /// Smallest values.
    pub(super) min: [f32; BATCH],
    /// Largest values.
    pub(super) max: [f32; BATCH],
    /// Means of squares.
    pub(super) power: [f64; BATCH],
}

impl Measures {
    pub(super) const NONE: Self = Self {
        min: [0.0; BATCH],
        max: [0.0; BATCH],
        power: [0.0; BATCH],
    };

    /// Measures group `index`, of neighbouring values.
    #[inline(always)]
    pub(super) fn group<S: Simd>(&mut self, simd: S, levels: &Levels, index: usize, x: &[f32]) {
        if let Levels::Power { .. } = levels {
            self.power[index] = squares(x) / x.len() as f64;
        } else {
            (self.min[index], self.max[index]) = extremes(simd, x);
        }
    }

    /// Measures [`BATCH`] neighbouring channels of rows of `head_dim`, from `channel` on.
    #[inline(always)]
    pub(super) fn channels<S: Simd>(
        simd: S,
        levels: &Levels,
        x: &[f32],
        head_dim: usize,
        channel: usize,
    ) -> Self {
        assert!(BATCH.is_multiple_of(S::LANES) && channel + BATCH <= head_dim);
        let mut all = Self::NONE;
        if let Levels::Power { .. } = levels {
            all.power = powers(x, head_dim, channel);
            return all;
        }
        assert!(x.len() >= head_dim);
        for j in (0..BATCH).step_by(S::LANES) {
            // SAFETY: every row has `head_dim` values, of which `channel + BATCH` are no more; the
            // arrays hold `BATCH`.
            unsafe {
                let mut low = simd.load(x.as_ptr().add(channel + j));
                let mut high = low;
                for row in x.chunks_exact(head_dim) {
                    let v = simd.load(row.as_ptr().add(channel + j));
                    low = simd.min(v, low);
                    high = simd.max(v, high);
                }
                simd.store(all.min.as_mut_ptr().add(j), low);
                simd.store(all.max.as_mut_ptr().add(j), high);
            }
        }
        all
    }
}

/// Smallest and largest value of whole vectors.
#[inline(always)]
fn extremes<S: Simd>(simd: S, x: &[f32]) -> (f32, f32) {
    assert!(x.len() >= S::LANES && x.len().is_multiple_of(S::LANES));
    // SAFETY: the slice holds a vector at every multiple of its length.
    let (min, max) = unsafe {
        let mut min = simd.load(x.as_ptr());
        let mut max = min;
        for at in (S::LANES..x.len()).step_by(S::LANES) {
            let v = simd.load(x.as_ptr().add(at));
            min = simd.min(v, min);
            max = simd.max(v, max);
        }
        (min, max)
    };
    (simd.least(min), simd.greatest(max))
}

/// Sum of squares in the reference's order. Plain code: its sums are as many as the compiler puts
/// into vectors, and squares are exact, so no contraction could change them.
#[inline(always)]
fn squares(x: &[f32]) -> f64 {
    let (whole, rest) = x.as_chunks::<INTERLEAVED>();
    assert!(rest.is_empty(), "whole vectors");
    let mut sums = [[0.0]; INTERLEAVED];
    for x in whole {
        for ([sum], &x) in sums.iter_mut().zip(x) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let [sum] = joined(sums);
    sum
}

/// Means of squares of [`BATCH`] channels, each in the reference's order.
#[inline(always)]
fn powers(x: &[f32], head_dim: usize, channel: usize) -> [f64; BATCH] {
    let mut sums = [[0.0; BATCH]; INTERLEAVED];
    for (t, row) in x.chunks_exact(head_dim).enumerate() {
        let row = &row[channel..channel + BATCH];
        for (sum, &x) in sums[t % INTERLEAVED].iter_mut().zip(row) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rows = (x.len() / head_dim) as f64;
    joined(sums).map(|sum| sum / rows)
}

/// Adds the upper half of the sums to the lower one until one is left.
#[inline(always)]
fn joined<const N: usize>(mut sums: [[f64; N]; INTERLEAVED]) -> [f64; N] {
    let mut left = INTERLEAVED;
    while left > 1 {
        left /= 2;
        let (low, high) = sums.split_at_mut(left);
        for (low, high) in low.iter_mut().flatten().zip(high.iter().flatten()) {
            *low += high;
        }
    }
    sums[0]
}
