//! Sums of weighted rows of floats.

use super::simd::{Kernel, Simd};

/// See [`smartkv_core::Kernels::add_rows`].
pub(super) struct AddRows<'a> {
    pub(super) x: &'a [f32],
    pub(super) stride: usize,
    pub(super) weights: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            x,
            stride,
            weights,
            out,
        } = self;
        let len = out.len();
        let Some(last) = weights.len().checked_sub(1) else {
            return;
        };
        assert!(x.len() >= last * stride + len, "rows: too short");
        let whole = len / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: every row has `len` values, by the length just checked, and so has `out`.
            unsafe {
                let mut sum = simd.load(out.as_ptr().add(at));
                for (i, &weight) in weights.iter().enumerate() {
                    let row = simd.load(x.as_ptr().add(i * stride + at));
                    sum = simd.fma(simd.splat(weight), row, sum);
                }
                simd.store(out.as_mut_ptr().add(at), sum);
            }
        }
        for at in whole..len {
            for (i, &weight) in weights.iter().enumerate() {
                out[at] = weight.mul_add(x[i * stride + at], out[at]);
            }
        }
    }
}
