//! Weights as digits.

use super::Integers;
use super::digits::{grid, write};
use super::dots::Source;
use half::f16;
use smartkv_core::TILE_ROWS;

/// Rows whose weights share a scale.
pub(super) const CHUNK: usize = 64;

/// Digits of the weights of a chunk, query after query: the high ones, then the low ones.
#[repr(align(64))]
pub(super) struct Digits<const NQ: usize>(pub(super) [[i8; 2 * CHUNK]; NQ]);

/// Where [`Digits`] lie.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) *const i8);

impl Source for At {
    #[inline(always)]
    unsafe fn digits(self, query: usize, line: usize) -> (*const i8, *const i8) {
        // SAFETY: promised by the caller.
        unsafe {
            let high = self.0.add(2 * CHUNK * query + 4 * line);
            (high, high.add(CHUNK))
        }
    }
}

/// What belongs to the digits of a query.
#[derive(Clone, Copy)]
pub(super) struct Weighed {
    /// `weight * scale of the row = this * digits`; NaN if a weight is not finite.
    pub(super) scale: f32,
    /// Sum of all as integers.
    pub(super) sum: i32,
    /// Sum of the weights times the zero points, which are 1 if there are no scales.
    pub(super) zero: f32,
}

/// Scales and zero points of a group in a chunk: of its first tile, and the distance to the next.
#[derive(Clone, Copy)]
pub(super) struct Grids {
    pub(super) scales: Option<*const f16>,
    pub(super) zeros: Option<*const f16>,
    pub(super) step: usize,
}

/// Splits the weights of a query with the rows of some tiles, at most a chunk.
///
/// # Safety
/// There must be as many weights, scales and zero points.
#[inline(always)]
pub(super) unsafe fn weigh<S: Integers>(
    simd: S,
    weights: *const f32,
    tiles: usize,
    grids: Grids,
    digits: &mut [i8; 2 * CHUNK],
) -> Weighed {
    debug_assert!(tiles * TILE_ROWS <= CHUNK);
    let mut scaled = [0.0f32; CHUNK];
    let mut most = simd.splat_int(0);
    let mut zero = simd.splat(0.0);
    // SAFETY: promised by the caller; the buffers hold a chunk.
    unsafe {
        for tile in 0..tiles {
            for row in (0..TILE_ROWS).step_by(S::LANES) {
                let at = tile * TILE_ROWS + row;
                let mut weight = simd.load(weights.add(at));
                match grids.zeros {
                    Some(zeros) => {
                        let zeros = simd.load_half(zeros.add(tile * grids.step + row));
                        zero = simd.fma(weight, zeros, zero);
                    }
                    None => zero = simd.add(zero, weight),
                }
                if let Some(scales) = grids.scales {
                    let scales = simd.load_half(scales.add(tile * grids.step + row));
                    weight = simd.mul(weight, scales);
                }
                most = simd.max_bits(weight, most);
                simd.store(scaled.as_mut_ptr().add(at), weight);
            }
        }
        let (scale, inverse) = grid(f32::from_bits(simd.largest_bits(most)));
        let (high, low) = digits.split_at_mut(CHUNK);
        let (high, low) = (high.as_mut_ptr(), low.as_mut_ptr());
        let sum = write(simd, scaled.as_ptr(), tiles * TILE_ROWS, inverse, high, low);
        // Without scales, zero points are those of channels: the weights are summed up for them.
        let wanted = grids.zeros.is_some() || grids.scales.is_none();
        let zero = if wanted { simd.total(zero) } else { 0.0 };
        Weighed { scale, sum, zero }
    }
}
