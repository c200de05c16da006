//! The vector operations that the kernels are written over.

use smartkv_core::{Format, RowsMut};
use std::fmt::Debug;

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
    /// The larger of both; `b` where `a` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The nearest integer.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^n` for integral `n` within -126 ..= 127.
    fn pow2(self, n: Self::V) -> Self::V;
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
    /// Bytes that decoding may read beyond those that it decodes.
    fn overread<const BITS: usize>() -> usize;
    /// Decodes `LANES` elements of a group; 16 bits stand for f16.
    ///
    /// # Safety
    /// `at` must be valid for reading `LANES * BITS / 8 + overread` bytes.
    unsafe fn decode<const BITS: usize>(self, at: *const u8, grid: Grid<Self::V>) -> Self::V;

    /// Decodes `2 * LANES` elements of a group, in an order of the set's choice: the one that
    /// [`Simd::in_order`] gives to `2 * LANES` consecutive values.
    ///
    /// # Safety
    /// `at` must be valid for reading `2 * LANES * BITS / 8 + overread` bytes.
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
                self.decode::<BITS>(at.add(Self::LANES * BITS / 8), grid),
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

    /// See [`smartkv_core::Kernels::encode`].
    fn encode(self, format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>);

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
