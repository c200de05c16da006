//! Weights as digits.

use super::Integers;
use super::digits::grid;
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
    let zero = simd.splat(0.0);
    let mut weighing = Weighing {
        scaled: [zero; VECTORS],
        most: simd.splat_int(0),
        zero,
    };
    // A loop over whole chunks is unrolled, so that the weights stay in registers.
    for at in 0..CHUNK / S::LANES {
        if at * S::LANES < tiles * TILE_ROWS {
            // SAFETY: promised by the caller.
            unsafe { weighing.take(simd, weights, at, grids) };
        }
    }
    weighing.split(simd, grids, digits)
}

/// Vectors of a chunk, where they are shortest.
const VECTORS: usize = CHUNK / 4;

/// A chunk of weights in the making.
struct Weighing<S: Integers> {
    /// Weights times scales, 0 beyond the last.
    scaled: [S::Reals; VECTORS],
    most: S::Sums,
    zero: S::Reals,
}

impl<S: Integers> Weighing<S> {
    /// Takes in the `at`-th vector.
    ///
    /// # Safety
    /// As of [`weigh`].
    #[inline(always)]
    unsafe fn take(&mut self, simd: S, weights: *const f32, at: usize, grids: Grids) {
        let row = at * S::LANES;
        let grid = row / TILE_ROWS * grids.step + row % TILE_ROWS;
        // SAFETY: promised by the caller.
        unsafe {
            let mut weight = simd.load(weights.add(row));
            match grids.zeros {
                Some(zeros) => {
                    self.zero = simd.fma(weight, simd.load_half(zeros.add(grid)), self.zero);
                }
                None => self.zero = simd.add(self.zero, weight),
            }
            if let Some(scales) = grids.scales {
                weight = simd.mul(weight, simd.load_half(scales.add(grid)));
            }
            self.most = simd.max_bits(weight, self.most);
            self.scaled[at] = weight;
        }
    }

    /// Splits the vectors.
    #[inline(always)]
    fn split(self, simd: S, grids: Grids, digits: &mut [i8; 2 * CHUNK]) -> Weighed {
        let (scale, inverse) = grid(f32::from_bits(simd.largest_bits(self.most)));
        let inverse = simd.splat(inverse);
        let (high, low) = digits.split_at_mut(CHUNK);
        let mut sum = simd.splat_int(0);
        for at in 0..CHUNK / S::LANES {
            let n = simd.nearest(simd.mul(self.scaled[at], inverse));
            let (a, b) = simd.split(n);
            sum = simd.add_int(sum, n);
            // SAFETY: each half has room for a chunk.
            unsafe {
                simd.store_digits(high.as_mut_ptr().add(at * S::LANES), a);
                simd.store_digits(low.as_mut_ptr().add(at * S::LANES), b);
            }
        }
        // Without scales, zero points are those of channels: the weights are summed up for them.
        let wanted = grids.zeros.is_some() || grids.scales.is_none();
        let zero = if wanted { simd.total(self.zero) } else { 0.0 };
        let sum = simd.total_int(sum);
        Weighed { scale, sum, zero }
    }
}
