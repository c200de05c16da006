//! The suite that every implementation of [`Kernels`] must pass, whatever it runs on.
//!
//! What is expected comes from [`Reference`](smartkv_core::Reference): its encoding, bit for bit,
//! and dot products of its decoded rows taken in f64. Inputs have channels of large values and a
//! large first row, as real keys do; outputs start as garbage, and what lies between and after
//! them must stay.

mod add;
mod random;
mod rows;
mod softcap;
mod softmax;
mod stored;
mod sum;
mod tiles;

pub use add::add_rows;
pub use rows::check;
pub use softcap::softcap;
pub use softmax::softmax_part;
pub use tiles::check as check_tiles;

use smartkv_core::packed::tiled;
use smartkv_core::{Bits, Codebook, Format, Kernels, Role, TILE_ROWS};

/// Largest accepted differences. Encoding and decoding have none: codes and stored scales are
/// defined to the bit, and `scale * code` is exact in f32, so a decoded value is rounded once
/// however it is computed.
pub mod tolerance {
    /// Of scores and mixes, relative to the sum of the absolute values of all terms: f32 sums of
    /// up to 256 products in any order, `256 * 2^-24`, and some room. Of tiles the zero point and
    /// the code's part of a value are terms of their own.
    pub const SUM: f64 = 2e-5;
    /// Of queries and weights that become integers, relative to the largest that shares their
    /// scale: half a step of 2^13 steps, and the rounding of the scale itself.
    pub const DIGITS: f64 = 1.001 / 16384.0;
    /// Rows whose weights may share a scale with those of another row, before and after it.
    pub const AROUND: usize = 63;
    /// Of an exponential, relative: a few roundings of an approximation, or the fast exponential
    /// of an accelerator. Far below what any stored format loses.
    pub const EXP: f64 = 2e-6;
    /// Of an exponential, absolute: subnormal results may become 0.
    pub const EXP_SMALLEST: f64 = 1.2e-38;
}

/// Head dimensions that are tried.
pub const HEAD_DIMS: [usize; 10] = [8, 16, 24, 32, 40, 64, 80, 96, 128, 256];
/// Numbers of rows that are tried: none, one, and around the sizes of vectors and blocks.
pub const ROWS: [usize; 8] = [0, 1, 2, 7, 31, 32, 33, 100];
/// Numbers of tiles that are tried, where blocks allow it: up to and beyond 64 rows.
pub const TILES: [usize; 4] = [1, 2, 5, 9];
/// Values of so many tiles at most, for the suite to be fast.
const TILE_VALUES: usize = TILE_ROWS * 640;
/// Numbers of queries that are tried: groups of query heads, and a piece of a prompt.
pub const QUERIES: [usize; 7] = [1, 2, 3, 4, 5, 9, 33];

/// What outputs hold before a kernel writes them, and what it must not touch.
const GUARD: f32 = -1.234_567_9e30;

/// Checks kernels against [`Reference`](smartkv_core::Reference) on every format and many shapes.
///
/// # Panics
/// At the first difference, with the kernels, the operation, the format and the shape.
pub fn conformance(kernels: &dyn Kernels) {
    softmax_part(kernels);
    softcap(kernels);
    add_rows(kernels);
    // Every shape meets one number of queries, and every number as many shapes.
    let mut queries = QUERIES.iter().cycle();
    let mut some = || [*queries.next().expect("without end")];
    for head_dim in HEAD_DIMS {
        for format in formats(head_dim) {
            for rows in ROWS {
                check(kernels, format, head_dim, rows, &some());
            }
        }
        let few = |tiles: &usize| tiles * TILE_ROWS * head_dim <= TILE_VALUES;
        for format in tile_formats(head_dim) {
            for tiles in TILES.into_iter().filter(few) {
                check_tiles(kernels, format, Role::Keys, head_dim, tiles, &some());
                check_tiles(kernels, format, Role::Values, head_dim, tiles, &some());
            }
        }
    }
}

/// Every format that stores single rows of `head_dim` channels, up to groups of 64 and whole
/// rows: with and without codebooks, and some with groups that no vector fits.
#[must_use]
pub fn formats(head_dim: usize) -> Vec<Format> {
    let mut formats = vec![Format::F16, Format::F8];
    for bits in [Bits::B2, Bits::B3, Bits::B4, Bits::B8] {
        for group in [0, 8, 16, 32, 64] {
            formats.push(Format::asymmetric(bits, group));
            formats.push(Format::symmetric(bits, group));
        }
        for group in [1, 4, 5, 12, 20] {
            formats.push(Format::new(bits, group, group % 2 == 1));
        }
        if bits != Bits::B8 {
            for group in [0, 5, 8, 16, 32] {
                formats.push(Format::asymmetric(bits, group).with_codebook(codebook(bits)));
                formats.push(Format::symmetric(bits, group).with_codebook(codebook(bits)));
            }
            for group in [0, 5, 8, 16, 32] {
                formats.push(Format::symmetric(bits, group).with_codebook(gaussian(bits)));
            }
        }
    }
    formats.retain(|format| format.check(head_dim).is_ok());
    formats
}

/// Every format that stores rows of `head_dim` channels in tiles: those of [`formats`] that do,
/// and those with a scale a channel and block of tokens.
#[must_use]
pub fn tile_formats(head_dim: usize) -> Vec<Format> {
    let mut all = formats(head_dim);
    for bits in [Bits::B2, Bits::B3, Bits::B4, Bits::B8] {
        for (tokens, symmetric) in [
            (16, true),
            (32, false),
            (64, true),
            (80, false),
            (128, false),
        ] {
            let plain = Format {
                symmetric,
                ..Format::per_channel(bits, tokens)
            };
            all.push(plain);
            if bits != Bits::B8 {
                all.push(plain.with_codebook(codebook(bits)));
                if symmetric {
                    all.push(plain.with_codebook(gaussian(bits)));
                }
            }
        }
    }
    all.retain(|format| tiled(*format, head_dim) && format.check(head_dim).is_ok());
    all
}

/// Levels that the root mean square scales.
fn gaussian(bits: Bits) -> Codebook {
    Codebook::gaussian(bits).expect("levels of these bits")
}

/// Levels that are denser around zero, as values are, and not the same on both sides.
fn codebook(bits: Bits) -> Codebook {
    let count = 1i8 << bits.count();
    let levels: Vec<f32> = (0..count)
        .map(|i| f32::from(2 * i + 1 - count) / f32::from(count))
        .map(|at| at * (0.5 + at.abs()) + 0.03)
        .collect();
    Codebook::new(&levels).expect("rising levels")
}
