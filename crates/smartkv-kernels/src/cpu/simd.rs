//! The vector operations that the kernels are written over.

use half::f16;
use std::fmt::Debug;

/// Stands for e4m3 where a number of bits does for a format.
pub(super) const F8: usize = 0x108;
/// Stands for signed bytes: levels of a codebook.
pub(super) const LEVEL: usize = 0x208;

/// Bits of an element, or of what stands for another.
pub(super) const fn width(bits: usize) -> usize {
    bits & 0xFF
}

/// Rounding to the nearest, of two as near to the even one.
pub(super) const NEAREST: i32 = 0;
/// Rounding towards minus infinity.
pub(super) const DOWN: i32 = 1;
/// Rounding towards plus infinity.
pub(super) const UP: i32 = 2;

/// A vector of f32 on one instruction set.
///
/// A value of the type is proof that the processor has the instructions: it is made only by
/// [`Simd::detect`]. So arithmetic is safe, and only memory access is not.
///
/// Every method but [`Simd::vectorize`] must be inlined into a function compiled for the
/// instruction set, hence `#[inline(always)]` on all that use them.
pub(super) trait Simd: Copy + Debug + Send + Sync + 'static {
    /// [`Simd::LANES`] f32 values.
    type V: Copy;
    /// A narrower set for shapes whose groups are not a multiple of [`Simd::LANES`].
    type Narrow: Simd;

    /// Name for reports.
    const NAME: &'static str;
    /// Values in a vector: 8 or 16.
    const LANES: usize;
    /// Widest codes whose values a table in one vector holds.
    const TABLE_BITS: usize;
    /// Queries that the tile kernel holds in registers, at most 8.
    const TILE_QUERIES: usize;

    /// The set, if this processor has it.
    fn detect() -> Option<Self>;
    /// The narrower set; every shape fits it.
    fn narrow(self) -> Self::Narrow;
    /// Runs a kernel in a function compiled for the instruction set.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a / b`, rounded to nearest.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of both; `b` where `a` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of both; `b` where `a` is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// What has the low bits of `a` for an exponent, all else 0.
    fn exponent(self, a: Self::V) -> Self::V;
    /// `a`, but 0 where `x < limit`.
    fn zero_below(self, a: Self::V, x: Self::V, limit: Self::V) -> Self::V;

    /// Loads a vector.
    ///
    /// # Safety
    /// `at` must be valid for reading `LANES` values.
    unsafe fn load(self, at: *const f32) -> Self::V;
    /// Stores a vector.
    ///
    /// # Safety
    /// `at` must be valid for writing `LANES` values.
    unsafe fn store(self, at: *mut f32, v: Self::V);

    /// What [`Simd::decode`] needs to know of a group with this scale and zero point.
    fn grid<const BITS: usize>(self, scale: f32, zero: f32) -> Grid<Self::V>;
    /// The same of a codebook's levels, for codes of at most [`Simd::TABLE_BITS`].
    fn table(self, levels: &[f32; MAX_LANES], scale: f32, zero: f32) -> Grid<Self::V>;
    /// Bytes that decoding may read beyond those that it decodes.
    fn overread<const BITS: usize>() -> usize;
    /// Decodes `LANES` elements of a group; 16 bits stand for f16, and [`F8`] and [`LEVEL`] for
    /// what they say.
    ///
    /// # Safety
    /// `at` must be valid for reading `LANES * width / 8 + overread` bytes.
    unsafe fn decode<const BITS: usize>(self, at: *const u8, grid: Grid<Self::V>) -> Self::V;

    /// Decodes `2 * LANES` elements of a group, in an order of the set's choice: the one that
    /// [`Simd::in_order`] gives to `2 * LANES` consecutive values.
    ///
    /// # Safety
    /// `at` must be valid for reading `2 * LANES * width / 8 + overread` bytes.
    #[inline(always)]
    unsafe fn decode_pair<const BITS: usize>(
        self,
        at: *const u8,
        grid: Grid<Self::V>,
    ) -> [Self::V; 2] {
        // SAFETY: promised by the caller.
        unsafe {
            [
                self.decode::<BITS>(at, grid),
                self.decode::<BITS>(at.add(Self::LANES * width(BITS) / 8), grid),
            ]
        }
    }
    /// Whether the order of [`Simd::decode_pair`] is not the natural one.
    #[inline(always)]
    fn reorders<const BITS: usize>() -> bool {
        false
    }
    /// Consecutive values in the order of [`Simd::decode_pair`].
    #[inline(always)]
    fn in_order<const BITS: usize>(self, natural: [Self::V; 2]) -> [Self::V; 2] {
        natural
    }
    /// The inverse of [`Simd::in_order`].
    #[inline(always)]
    fn natural<const BITS: usize>(self, in_order: [Self::V; 2]) -> [Self::V; 2] {
        in_order
    }

    /// The sum of each of `LANES` consecutive vectors.
    ///
    /// # Safety
    /// `at` must be valid for reading `LANES * LANES` values.
    unsafe fn row_sums(self, at: *const f32) -> Self::V;
    /// Transposes 8 rows of 8 values.
    ///
    /// # Safety
    /// `from` must be valid for reading and `to` for writing 8 rows of 8 values at the given
    /// distances.
    unsafe fn transpose8(self, from: *const f32, from_step: usize, to: *mut f32, to_step: usize);

    /// The smallest lane; none may be NaN.
    fn least(self, a: Self::V) -> f32;
    /// The largest lane; none may be NaN.
    fn greatest(self, a: Self::V) -> f32;
    /// Stores values within 0 ..= 255 as bytes, rounded to nearest, halves up.
    ///
    /// # Safety
    /// `at` must be valid for writing `LANES` bytes.
    unsafe fn store_codes(self, at: *mut u8, v: Self::V);
    /// Stores values as f16, rounded as [`NEAREST`], [`DOWN`] or [`UP`] says.
    ///
    /// # Safety
    /// `at` must be valid for writing `LANES` values, which need not be aligned.
    unsafe fn store_f16<const ROUNDING: i32>(self, at: *mut f16, v: Self::V);
    /// Stores values as e4m3, as [`smartkv_core::kernels::f8_from_f32`] makes it.
    ///
    /// # Safety
    /// `at` must be valid for writing `LANES` bytes.
    unsafe fn store_f8(self, at: *mut u8, v: Self::V);

    /// Stores the first `count <= LANES` values of a vector.
    ///
    /// # Safety
    /// `at` must be valid for writing `count` values.
    #[inline(always)]
    unsafe fn store_first(self, at: *mut f32, v: Self::V, count: usize) {
        debug_assert!(count <= Self::LANES);
        if count == Self::LANES {
            // SAFETY: promised by the caller.
            unsafe { self.store(at, v) };
            return;
        }
        let mut all = [0.0; MAX_LANES];
        // SAFETY: `all` takes any vector, and the caller promised `count` values at `at`.
        unsafe {
            self.store(all.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(all.as_ptr(), at, count);
        }
    }
}

/// The widest vector.
pub(super) const MAX_LANES: usize = 16;

/// Code-to-value map of a group: scale and zero point, or a table of all values in `scale`.
#[derive(Clone, Copy)]
pub(super) struct Grid<V> {
    pub(super) scale: V,
    pub(super) zero: V,
}

/// Code that [`Simd::vectorize`] compiles for an instruction set. `run` must be
/// `#[inline(always)]`.
pub(super) trait Kernel {
    /// What the kernel returns.
    type Out;
    /// The computation.
    fn run<S: Simd>(self, simd: S) -> Self::Out;
}
