//! Rows of floating-point elements.

use super::grow;
use crate::cpu::simd::{F8, Kernel, MAX_LANES, NEAREST, Simd};

/// Appends values as f16 (`BITS` 16) or e4m3 ([`F8`]).
pub(super) struct Narrow<'a, const BITS: usize>(pub(super) &'a [f32], pub(super) &'a mut Vec<u8>);

impl<const BITS: usize> Kernel for Narrow<'_, BITS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(x, payload) = self;
        let bytes = if BITS == F8 { 1 } else { 2 };
        let payload = grow(payload, x.len() * bytes, 0);
        let whole = x.len() / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: `x` holds a vector from `at` on, and `payload` its bytes.
            unsafe {
                let v = simd.load(x.as_ptr().add(at));
                store::<S, BITS>(simd, payload.as_mut_ptr().add(at * bytes), v);
            }
        }
        let rest = x.len() - whole;
        if rest > 0 {
            let (mut padded, mut stored) = ([0.0; MAX_LANES], [0; 2 * MAX_LANES]);
            padded[..rest].copy_from_slice(&x[whole..]);
            // SAFETY: both arrays take the widest vector.
            unsafe {
                let v = simd.load(padded.as_ptr());
                store::<S, BITS>(simd, stored.as_mut_ptr(), v);
            }
            payload[whole * bytes..].copy_from_slice(&stored[..rest * bytes]);
        }
    }
}

/// Stores a vector.
///
/// # Safety
/// `at` must be valid for writing `LANES` elements.
#[inline(always)]
unsafe fn store<S: Simd, const BITS: usize>(simd: S, at: *mut u8, v: S::V) {
    // SAFETY: promised by the caller.
    unsafe {
        if BITS == F8 {
            simd.store_f8(at, v);
        } else {
            simd.store_f16::<NEAREST>(at.cast(), v);
        }
    }
}
