//! Kernels on tiles: dot products of integer codes with the digits of queries or weights.
//!
//! Written once over [`Integers`]. A *line* of a tile is [`LINE`] bytes, 16 lanes of 4 codes; a
//! set with narrower vectors takes it in *parts*, which never mix.

mod blend;
mod block;
mod digits;
mod dots;
mod mix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod product;
mod queries;
mod scores;
mod scratch;
mod unpack;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use digits::split_queries;
pub(crate) use mix::mix;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use scores::scores;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Ymm, Zmm};

use half::f16;
use smartkv_core::packed::{LINE, tile_bytes, tiled};
use smartkv_core::{Axis, Format, Role, TILE_ROWS, Tiles};
use std::fmt::Debug;
use weights::{CHUNK, VECTORS};

/// Vectors for dot products on one instruction set.
///
/// As with the vectors of f32 kernels, a value of the type is proof that the processor has the
/// instructions, and every method but [`vectorize`](Self::vectorize) must be inlined into a
/// function compiled for them.
pub(crate) trait Integers: Copy + Debug + Send + Sync + 'static {
    /// Four codes (unsigned) or digits (signed) a lane.
    type Codes: Copy;
    /// An i32 a lane.
    type Sums: Copy;
    /// An f32 a lane.
    type Reals: Copy;

    /// Lanes of a vector: 4, 8 or 16.
    const LANES: usize;

    /// Runs a kernel in a function compiled for the instruction set.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out;

    /// Loads codes.
    ///
    /// # Safety
    /// `at` must be valid for reading `4 * LANES` bytes.
    unsafe fn load_codes(self, at: *const u8) -> Self::Codes;
    /// Asks for the memory at `at` ahead of its use; any address will do.
    fn prefetch(self, at: *const u8);
    /// Stores codes.
    ///
    /// # Safety
    /// `at` must be valid for writing `4 * LANES` bytes.
    unsafe fn store_codes(self, at: *mut u8, codes: Self::Codes);
    /// The same byte everywhere.
    fn splat_code(self, code: u8) -> Self::Codes;
    /// The same four digits in every lane.
    ///
    /// # Safety
    /// `at` must be valid for reading 4 digits.
    unsafe fn spread(self, at: *const i8) -> Self::Codes;
    /// Bits of both.
    fn and(self, a: Self::Codes, b: Self::Codes) -> Self::Codes;
    /// Bits of either.
    fn or(self, a: Self::Codes, b: Self::Codes) -> Self::Codes;
    /// Bytes shifted right; what comes in from above is undefined.
    fn right(self, a: Self::Codes, by: usize) -> Self::Codes;
    /// Bytes shifted left; what comes in from below is undefined.
    fn left(self, a: Self::Codes, by: usize) -> Self::Codes;
    /// Sixteen bytes for [`lookup`](Self::lookup).
    fn table(self, bytes: &[u8; 16]) -> Self::Codes;
    /// The byte of the table that each code, below 16, names.
    fn lookup(self, table: Self::Codes, codes: Self::Codes) -> Self::Codes;

    /// `sums` and, in each lane, the four products of codes and digits. Digits are within ±64.
    fn dot(self, sums: Self::Sums, codes: Self::Codes, digits: Self::Codes) -> Self::Sums;
    /// `x` in every lane.
    fn splat_int(self, x: i32) -> Self::Sums;
    /// `a - b`.
    fn sub_int(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// `a + b`.
    fn add_int(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// `128 * high + low`.
    fn whole(self, high: Self::Sums, low: Self::Sums) -> Self::Sums;
    /// The digits of integers of 14 bits and a sign, as `(high, low)`.
    fn split(self, n: Self::Sums) -> (Self::Sums, Self::Sums);
    /// Stores the low byte of every lane.
    ///
    /// # Safety
    /// `at` must be valid for writing `LANES` digits.
    unsafe fn store_digits(self, at: *mut i8, digits: Self::Sums);
    /// Stores the digits of [`CHUNK`] integers of 14 bits and a sign, `n` apart from what is beyond
    /// them.
    ///
    /// # Safety
    /// `high` and `low` must be valid for writing `CHUNK` digits.
    #[inline(always)]
    unsafe fn store_split(self, n: &[Self::Sums; VECTORS], high: *mut i8, low: *mut i8) {
        for (at, &n) in n.iter().enumerate().take(CHUNK / Self::LANES) {
            let (a, b) = self.split(n);
            // SAFETY: promised by the caller.
            unsafe {
                self.store_digits(high.add(at * Self::LANES), a);
                self.store_digits(low.add(at * Self::LANES), b);
            }
        }
    }
    /// Sum of the lanes.
    fn total_int(self, a: Self::Sums) -> i32;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::Reals;
    /// Loads a vector.
    ///
    /// # Safety
    /// `at` must be valid for reading `LANES` values.
    unsafe fn load(self, at: *const f32) -> Self::Reals;
    /// Stores a vector.
    ///
    /// # Safety
    /// `at` must be valid for writing `LANES` values.
    unsafe fn store(self, at: *mut f32, v: Self::Reals);
    /// Loads a vector of half precision.
    ///
    /// # Safety
    /// `at` must be valid for reading `LANES` values.
    unsafe fn load_half(self, at: *const f16) -> Self::Reals;
    /// `a + b`.
    fn add(self, a: Self::Reals, b: Self::Reals) -> Self::Reals;
    /// `a * b`.
    fn mul(self, a: Self::Reals, b: Self::Reals) -> Self::Reals;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::Reals, b: Self::Reals, c: Self::Reals) -> Self::Reals;
    /// Converts integers.
    fn real(self, a: Self::Sums) -> Self::Reals;
    /// The nearest integers, of two as near the even one; 0 for NaN. Beyond i32 undefined.
    fn nearest(self, a: Self::Reals) -> Self::Sums;
    /// The larger of `|a|` and `most`; `most` where `a` is NaN.
    fn max_abs(self, a: Self::Reals, most: Self::Reals) -> Self::Reals;
    /// The largest lane; none may be NaN.
    fn largest(self, a: Self::Reals) -> f32;
    /// The larger of the bits of `|a|` and `most`, as unsigned integers: those of infinities and
    /// NaN are larger than of anything else.
    fn max_bits(self, a: Self::Reals, most: Self::Sums) -> Self::Sums;
    /// The largest lane as an unsigned integer.
    fn largest_bits(self, a: Self::Sums) -> u32;
    /// Sum of the lanes.
    fn total(self, a: Self::Reals) -> f32;
}

/// Code that [`Integers::vectorize`] compiles for an instruction set. `run` must be
/// `#[inline(always)]`.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Out;
    /// The computation.
    fn run<S: Integers>(self, simd: S) -> Self::Out;
}

/// Whether the kernels take tiles of this shape; any other is left to the reference.
pub(crate) fn takes(format: Format, head_dim: usize, role: Role) -> bool {
    let whole = match (format.axis, role) {
        // A line lies in one group.
        (Axis::Channels, Role::Keys) => format.group(head_dim).is_multiple_of(4),
        (Axis::Channels, Role::Values) => format.group(head_dim).is_multiple_of(16),
        (Axis::Tokens, _) => format.block_rows().is_multiple_of(TILE_ROWS),
    };
    whole && tiled(format, head_dim) && format.check(head_dim).is_ok()
}

/// Checks that the slices of `tiles` hold what its shape says.
///
/// # Panics
/// When one does not, or the tiles are arranged for something else.
fn check(tiles: &Tiles<'_>, role: Role) {
    let Tiles {
        format,
        head_dim,
        count,
        ..
    } = *tiles;
    assert_eq!(tiles.role, role, "tiles are arranged for something else");
    assert!(takes(format, head_dim, role), "{format}, {head_dim}");
    let rows = count * TILE_ROWS;
    assert!(
        rows.is_multiple_of(format.block_rows()),
        "{rows} rows of {format}"
    );
    let blocks = rows / format.block_rows();
    assert!(
        tiles.payload.len() / tile_bytes(format.bits, head_dim) >= count,
        "payload of {count} tiles: too short"
    );
    assert!(
        tiles.scales.len() >= blocks * format.scales(head_dim),
        "scales of {count} tiles: too short"
    );
    assert!(
        tiles.zeros.len() >= blocks * format.zeros(head_dim),
        "zeros of {count} tiles: too short"
    );
}

/// What codes mean, apart from scales: `zero or 0 + scale * (unpacked code - 2^shift)`.
#[derive(Clone, Copy)]
struct Meaning {
    /// Bytes of a codebook: its levels and 128. Unused without one.
    levels: [u8; 16],
    /// Shift of the code of zero; none where codes count from 0.
    origin: Option<u32>,
}

impl Meaning {
    fn of(format: Format) -> Self {
        let bits = format.bits.count();
        let (mut levels, mut origin) = ([0; 16], None);
        if let Some(book) = &format.codebook {
            for (byte, level) in levels.iter_mut().zip(book.levels()) {
                *byte = level.cast_unsigned() ^ 128;
            }
            origin = Some(7);
        } else if format.symmetric {
            origin = Some(bits as u32 - 1);
        }
        Self { levels, origin }
    }
}

/// How far ahead of its use memory is asked for: what arrives while a request is answered.
const AHEAD: usize = 4096;

/// [`AHEAD`] for bytes of which `left` follow, these included; nothing beyond the last is asked
/// for.
fn ahead(bytes: usize, left: usize) -> usize {
    if left >= bytes + AHEAD { AHEAD } else { 0 }
}

/// Asks for scales or zero points some tiles after `at`.
#[inline(always)]
fn ask_scales<S: Integers>(simd: S, all: &[f16], at: usize) {
    let at = (at + SCALES_AHEAD).min(all.len());
    simd.prefetch(all.as_ptr().wrapping_add(at).cast());
}

/// As [`AHEAD`], in scales.
const SCALES_AHEAD: usize = 512;

/// Starts and lengths of the parts of `n` queries: at most `most` each, and as even as can be.
pub(crate) fn even_parts(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n.div_ceil(most);
    (0..count).map(move |part| {
        let start = part * n / count;
        (start, (part + 1) * n / count - start)
    })
}

/// Vectors of a line.
const fn parts<S: Integers>() -> usize {
    LINE / (4 * S::LANES)
}
