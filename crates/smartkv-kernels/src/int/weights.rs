//! Weights as digits.
#![expect(
    clippy::needless_range_loop,
    reason = "unrolled, and held in registers"
)]

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
    /// Sum of all as integers; 0 where codes count from 0, which takes none.
    pub(super) sum: i32,
}

/// Vectors of a chunk, where they are shortest.
pub(super) const VECTORS: usize = CHUNK / 4;

/// Scales and zero points of a group in a chunk, shared by its queries.
pub(super) struct Grids<S: Integers> {
    /// Tiles in the chunk.
    tiles: usize,
    scales: [S::Reals; VECTORS],
    zeros: [S::Reals; VECTORS],
}

impl<S: Integers> Grids<S> {
    /// Of rows whose scales are those of channels: 1, and as if there were zero points of 1.
    #[inline(always)]
    pub(super) fn none(simd: S, tiles: usize) -> Self {
        let ones = [simd.splat(1.0); VECTORS];
        Self {
            tiles,
            scales: ones,
            zeros: ones,
        }
    }

    /// Loads those of some tiles, which lie `step` apart. Zero points that there are not stay as
    /// they are.
    ///
    /// # Safety
    /// They must exist.
    #[inline(always)]
    pub(super) unsafe fn load(
        &mut self,
        simd: S,
        step: usize,
        scales: *const f16,
        zeros: Option<*const f16>,
    ) {
        for at in 0..CHUNK / S::LANES {
            let row = at * S::LANES;
            if row < self.tiles * TILE_ROWS {
                let place = row / TILE_ROWS * step + row % TILE_ROWS;
                // SAFETY: promised by the caller.
                unsafe {
                    self.scales[at] = simd.load_half(scales.add(place));
                    if let Some(zeros) = zeros {
                        self.zeros[at] = simd.load_half(zeros.add(place));
                    }
                }
            }
        }
    }
}

/// Splits the weights of a query with the rows of a chunk, times their scales, and adds to `zero`
/// the weights times the zero points. The sum is that of the integers if it is wanted.
///
/// # Safety
/// There must be as many weights.
#[inline(always)]
pub(super) unsafe fn weigh<S: Integers>(
    simd: S,
    weights: *const f32,
    grids: &Grids<S>,
    summed: bool,
    zero: &mut S::Reals,
    digits: &mut [i8; 2 * CHUNK],
) -> Weighed {
    debug_assert!(grids.tiles * TILE_ROWS <= CHUNK);
    let mut scaled = [simd.splat(0.0); VECTORS];
    let mut most = simd.splat_int(0);
    // A loop over whole chunks is unrolled, so that the weights stay in registers.
    for at in 0..CHUNK / S::LANES {
        if at * S::LANES < grids.tiles * TILE_ROWS {
            // SAFETY: promised by the caller.
            let mut weight = unsafe { simd.load(weights.add(at * S::LANES)) };
            *zero = simd.fma(weight, grids.zeros[at], *zero);
            weight = simd.mul(weight, grids.scales[at]);
            most = simd.max_bits(weight, most);
            scaled[at] = weight;
        }
    }
    let (scale, inverse) = grid(f32::from_bits(simd.largest_bits(most)));
    let inverse = simd.splat(inverse);
    let mut n = [simd.splat_int(0); VECTORS];
    for at in 0..CHUNK / S::LANES {
        n[at] = simd.nearest(simd.mul(scaled[at], inverse));
    }
    let (high, low) = digits.split_at_mut(CHUNK);
    // SAFETY: each half has room for a chunk.
    unsafe { simd.store_split(&n, high.as_mut_ptr(), low.as_mut_ptr()) };
    let mut sum = 0;
    if summed {
        let mut all = n[0];
        for at in 1..CHUNK / S::LANES {
            all = simd.add_int(all, n[at]);
        }
        sum = simd.total_int(all);
    }
    Weighed { scale, sum }
}
