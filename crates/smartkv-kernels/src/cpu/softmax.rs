//! The exponential and its sum.

use super::simd::{Kernel, MAX_LANES, Simd};

/// Vectors whose maxima are taken at a time.
const ABREAST: usize = 4;

/// See [`smartkv_core::Kernels::softmax_part`].
pub(super) struct SoftmaxPart<'a> {
    pub(super) x: &'a mut [f32],
}

impl Kernel for SoftmaxPart<'_> {
    type Out = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, f32) {
        let x = self.x;
        let whole = x.len() / S::LANES * S::LANES;
        let (body, rest) = x.split_at_mut(whole);
        let mut tail = [f32::NEG_INFINITY; MAX_LANES];
        tail[..rest.len()].copy_from_slice(rest);

        // SAFETY: `tail` is a whole vector.
        let mut largest = unsafe { simd.load(tail.as_ptr()) };
        // `max` gives its second argument for a NaN: keep the sum's NaN, not the maximum's.
        largest = simd.max(largest, simd.splat(f32::NEG_INFINITY));
        // Several at a time: one maximum would wait for the one before.
        let mut several = [largest; ABREAST];
        let parts = body.chunks_exact(ABREAST * S::LANES);
        for part in parts.remainder().chunks_exact(S::LANES) {
            // SAFETY: the part is a whole vector.
            largest = simd.max(unsafe { simd.load(part.as_ptr()) }, largest);
        }
        for part in parts {
            for (largest, part) in several.iter_mut().zip(part.chunks_exact(S::LANES)) {
                // SAFETY: the part is a whole vector.
                *largest = simd.max(unsafe { simd.load(part.as_ptr()) }, *largest);
            }
        }
        for more in several {
            largest = simd.max(more, largest);
        }
        let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
        // SAFETY: `lanes` takes any vector.
        unsafe { simd.store(lanes.as_mut_ptr(), largest) };
        let max = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
        if max == f32::NEG_INFINITY {
            body.fill(0.0);
            rest.fill(0.0);
            return (max, 0.0);
        }

        let shift = simd.splat(max);
        let mut sum = simd.splat(0.0);
        for part in body.chunks_exact_mut(S::LANES) {
            // SAFETY: the part is a whole vector.
            unsafe {
                let y = exp_nonpositive(simd, simd.sub(simd.load(part.as_ptr()), shift));
                simd.store(part.as_mut_ptr(), y);
                sum = simd.add(sum, y);
            }
        }
        if !rest.is_empty() {
            // SAFETY: `tail` is a whole vector. Its padding is `-inf`, which adds nothing.
            unsafe {
                let y = exp_nonpositive(simd, simd.sub(simd.load(tail.as_ptr()), shift));
                simd.store(tail.as_mut_ptr(), y);
                sum = simd.add(sum, y);
            }
            rest.copy_from_slice(&tail[..rest.len()]);
        }
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: `lanes` takes any vector.
        unsafe { simd.store(lanes.as_mut_ptr(), sum) };
        (max, lanes.iter().sum())
    }
}

/// `exp(x)` for `x <= 0`, with a relative error below 3e-7; 0 where the result would be
/// subnormal. NaN stays NaN.
#[inline(always)]
fn exp_nonpositive<S: Simd>(simd: S, x: S::V) -> S::V {
    /// `ln 2` in two parts; the first has few bits, so that its multiples are exact.
    const LN2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    /// Coefficients of `(exp(r) - 1 - r) / r²` for `|r| <= ln 2 / 2`, highest first: the
    /// approximation of the Cephes library.
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    /// Just above `ln 2^-126`: the smallest normal result.
    const SMALLEST: f32 = -87.336_54;
    /// Added to a number below 2^22, leaves the nearest integer in the low bits, and there, as
    /// 127 is part of it, the exponent of a power of two.
    const MAGIC: f32 = 12_582_912.0 + 127.0;

    let magic = simd.splat(MAGIC);
    let shifted = simd.fma(x, simd.splat(std::f32::consts::LOG2_E), magic);
    let n = simd.sub(shifted, magic);
    let r = simd.fma(n, simd.splat(-LN2[0]), x);
    let r = simd.fma(n, simd.splat(-LN2[1]), r);
    let mut y = simd.splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        y = simd.fma(y, r, simd.splat(*coefficient));
    }
    let y = simd.add(simd.fma(y, simd.mul(r, r), r), simd.splat(1.0));
    simd.zero_below(simd.mul(y, simd.exponent(shifted)), x, simd.splat(SMALLEST))
}
