//! From packed bytes to one code a byte.

use super::{Integers, Kernel, parts};
use smartkv_core::TILE_ROWS;
use smartkv_core::packed::LINE;

/// Lines that share bytes, and so are unpacked together.
pub(super) const fn lines(bits: usize) -> usize {
    match bits {
        2 => 4,
        3 => 8,
        4 => 2,
        _ => 1,
    }
}

/// Bytes of [`lines`] lines, but for the plane of high bits.
pub(super) const fn step(bits: usize) -> usize {
    if bits == 3 { 2 * LINE } else { LINE }
}

/// Where the plane of high bits starts in a tile, if there is one.
pub(super) const fn plane(bits: usize, head_dim: usize) -> usize {
    if bits == 3 {
        TILE_ROWS * head_dim / 4
    } else {
        0
    }
}

/// Packed bytes of [`lines`] lines.
#[derive(Clone, Copy)]
pub(super) struct Raw<S: Integers, const BITS: usize, const BOOK: bool> {
    bytes: [S::Codes; 2],
    high: S::Codes,
}

impl<S: Integers, const BITS: usize, const BOOK: bool> Raw<S, BITS, BOOK> {
    /// Loads the bytes at `at` and, of 3-bit codes, the high bits at `high`; asks for those that lie
    /// `ahead`.
    ///
    /// # Safety
    /// Both must lie within a tile, at the same part of a line: `at` before the bytes of
    /// [`lines`] lines, `high` before the high bits of as many.
    #[inline(always)]
    pub(super) unsafe fn load(simd: S, at: *const u8, high: *const u8, ahead: usize) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            simd.prefetch(at.wrapping_add(ahead));
            let bytes = simd.load_codes(at);
            if BITS != 3 {
                return Self {
                    bytes: [bytes; 2],
                    high: bytes,
                };
            }
            simd.prefetch(at.wrapping_add(LINE + ahead));
            simd.prefetch(high.wrapping_add(ahead));
            Self {
                bytes: [bytes, simd.load_codes(at.add(LINE))],
                high: simd.load_codes(high),
            }
        }
    }

    /// The codes of one of the lines; of a codebook, its bytes.
    #[inline(always)]
    pub(super) fn line(&self, simd: S, table: S::Codes, line: usize) -> S::Codes {
        let codes = match BITS {
            2 => two(simd, self.bytes[0], line),
            3 => {
                let low = two(simd, self.bytes[line / 4], line % 4);
                simd.or(low, third(simd, self.high, line))
            }
            4 if line == 0 => simd.and(self.bytes[0], simd.splat_code(15)),
            4 => simd.and(simd.right(self.bytes[0], 4), simd.splat_code(15)),
            _ => self.bytes[0],
        };
        if BOOK {
            simd.lookup(table, codes)
        } else {
            codes
        }
    }
}

/// Bits `2 * line` and the next.
#[inline(always)]
pub(super) fn two<S: Integers>(simd: S, bytes: S::Codes, line: usize) -> S::Codes {
    let bytes = if line == 0 {
        bytes
    } else {
        simd.right(bytes, 2 * line)
    };
    simd.and(bytes, simd.splat_code(3))
}

/// Bit `line`, as the third of a code.
#[inline(always)]
pub(super) fn third<S: Integers>(simd: S, bytes: S::Codes, line: usize) -> S::Codes {
    let bytes = match line {
        0 | 1 => simd.left(bytes, 2 - line),
        2 => bytes,
        _ => simd.right(bytes, line - 2),
    };
    simd.and(bytes, simd.splat_code(4))
}

/// The codes of line `quad`, below 4, of the `block`-th four lines of a tile; asks for the bytes
/// that lie `ahead`.
///
/// # Safety
/// The tile, from the same part of a line on, must have these lines; `plane` is where its high
/// bits start.
#[inline(always)]
pub(super) unsafe fn line<S: Integers, const BITS: usize, const BOOK: bool>(
    simd: S,
    table: S::Codes,
    tile: *const u8,
    plane: usize,
    (block, quad): (usize, usize),
    ahead: usize,
) -> S::Codes {
    // SAFETY: promised by the caller.
    unsafe {
        let line = 4 * block + quad;
        let shared = if BITS == 3 { 4 } else { lines(BITS) };
        let at = tile.add(line / shared * LINE);
        let bytes = simd.load_codes(at);
        if quad % shared == 0 {
            simd.prefetch(at.wrapping_add(ahead));
        }
        let mut high = bytes;
        if BITS == 3 {
            if quad == 0 {
                simd.prefetch(tile.wrapping_add(plane + block / 2 * LINE + ahead));
            }
            // Eight lines share the bytes of high bits: two blocks.
            let both = simd.load_codes(tile.add(plane + block / 2 * LINE));
            high = simd.right(both, block % 2 * 4);
        }
        let raw = Raw::<S, BITS, BOOK> {
            bytes: [bytes; 2],
            high,
        };
        raw.line(simd, table, quad % shared)
    }
}

/// Unpacks a tile: its lines one after another, one code a byte.
pub(super) struct Unpack<'a, const BITS: usize, const BOOK: bool> {
    /// Bytes of a codebook.
    pub(super) levels: &'a [u8; 16],
    /// The tile.
    pub(super) tile: &'a [u8],
    /// `TILE_ROWS * head_dim` codes.
    pub(super) codes: &'a mut [u8],
}

impl<const BITS: usize, const BOOK: bool> Kernel for Unpack<'_, BITS, BOOK> {
    type Out = ();

    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        let Self {
            levels,
            tile,
            codes,
        } = self;
        let head_dim = codes.len() / TILE_ROWS;
        let steps = codes.len() / (LINE * lines(BITS));
        assert_eq!(codes.len(), steps * LINE * lines(BITS), "whole lines");
        assert_eq!(tile.len(), codes.len() * BITS / 8, "bytes of a tile");
        let table = simd.table(levels);
        for at in 0..steps {
            for part in (0..parts::<S>()).map(|part| part * 4 * S::LANES) {
                // SAFETY: a tile has `steps` times the bytes of the lines unpacked together, by
                // the lengths just checked, and as many codes.
                unsafe {
                    let bytes = tile.as_ptr().add(at * step(BITS) + part);
                    let high = tile.as_ptr().add(if BITS == 3 {
                        plane(BITS, head_dim) + at * LINE + part
                    } else {
                        0
                    });
                    let raw = Raw::<S, BITS, BOOK>::load(simd, bytes, high, 0);
                    for line in 0..lines(BITS) {
                        let to = codes
                            .as_mut_ptr()
                            .add((at * lines(BITS) + line) * LINE + part);
                        simd.store_codes(to, raw.line(simd, table, line));
                    }
                }
            }
        }
    }
}
