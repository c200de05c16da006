//! Queries as digits, by the arithmetic of [`Digits::split`].

use super::{Integers, Kernel, takes};
use smartkv_core::{Axis, Digits, Format, Role};

/// Largest magnitude of a query as an integer.
const LARGEST: f32 = 8192.0;

/// See [`smartkv_core::Kernels::split_queries`].
pub(crate) fn split_queries<S: Integers>(
    simd: S,
    format: Format,
    head_dim: usize,
    q: &[f32],
    digits: &mut Digits,
) {
    if format.axis == Axis::Tokens || !takes(format, head_dim, Role::Keys) {
        return digits.clear();
    }
    let group = format.group(head_dim);
    if !group.is_multiple_of(S::LANES) {
        return digits.split_again(head_dim, group, q);
    }
    let parts = digits.parts(head_dim, group, q.len());
    simd.vectorize(Split {
        group,
        q,
        high: parts.high,
        low: parts.low,
        scale: parts.scale,
        sum: parts.sum,
    });
}

/// Splits groups of queries; a group is a whole number of vectors.
pub(super) struct Split<'a> {
    pub(super) group: usize,
    pub(super) q: &'a [f32],
    pub(super) high: &'a mut [i8],
    pub(super) low: &'a mut [i8],
    pub(super) scale: &'a mut [f32],
    pub(super) sum: &'a mut [i32],
}

impl Kernel for Split<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        let Self {
            group,
            q,
            high,
            low,
            scale,
            sum,
        } = self;
        let groups = scale.len();
        assert!(group.is_multiple_of(S::LANES), "groups of whole vectors");
        assert_eq!(q.len(), groups * group, "values");
        assert_eq!(
            (high.len(), low.len(), sum.len()),
            (q.len(), q.len(), groups)
        );
        for (g, (scale, sum)) in scale.iter_mut().zip(sum).enumerate() {
            // SAFETY: `group` values and digits lie at `g * group`, by the lengths just checked.
            unsafe {
                let at = g * group;
                let (high, low) = (high.as_mut_ptr().add(at), low.as_mut_ptr().add(at));
                (*scale, *sum) = split(simd, q.as_ptr().add(at), group, high, low);
            }
        }
    }
}

/// Splits one group of `len` values, a multiple of the lanes; gives its scale and sum.
///
/// # Safety
/// `from` must be valid for reading, `high` and `low` for writing `len` entries.
#[inline(always)]
pub(super) unsafe fn split<S: Integers>(
    simd: S,
    from: *const f32,
    len: usize,
    high: *mut i8,
    low: *mut i8,
) -> (f32, i32) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut most = simd.splat(0.0);
        for at in (0..len).step_by(S::LANES) {
            most = simd.max_abs(simd.load(from.add(at)), most);
        }
        let (scale, inverse) = grid(simd.largest(most));
        (scale, write(simd, from, len, inverse, high, low))
    }
}

/// Writes the digits of values times `inverse`, integers of 14 bits and a sign; gives their sum.
///
/// # Safety
/// As of [`split`].
#[inline(always)]
pub(super) unsafe fn write<S: Integers>(
    simd: S,
    from: *const f32,
    len: usize,
    inverse: f32,
    high: *mut i8,
    low: *mut i8,
) -> i32 {
    let inverse = simd.splat(inverse);
    let mut sum = simd.splat_int(0);
    for at in (0..len).step_by(S::LANES) {
        // SAFETY: promised by the caller.
        unsafe {
            let n = simd.nearest(simd.mul(simd.load(from.add(at)), inverse));
            let (a, b) = simd.split(n);
            sum = simd.add_int(sum, n);
            simd.store_digits(high.add(at), a);
            simd.store_digits(low.add(at), b);
        }
    }
    simd.total_int(sum)
}

/// The scale of a group with this largest magnitude, and its reciprocal.
#[inline(always)]
pub(super) fn grid(largest: f32) -> (f32, f32) {
    let scale = largest / LARGEST;
    // A reciprocal that overflows would make a NaN of zero.
    let inverse = if scale >= f32::MIN_POSITIVE {
        1.0 / scale
    } else {
        0.0
    };
    (scale, inverse)
}
