//! Decoding of tiles: codes are taken apart to bytes, row after row, and then scaled.

use super::encode::{lines, takes_tiles};
use super::simd::{Grid, Kernel, LEVEL, Simd};
use half::slice::HalfFloatSliceExt as _;
use smartkv_core::packed::tile_bytes;
use smartkv_core::{Axis, Bits, TILE_ROWS, Tiles};

/// [`smartkv_core::Kernels::decode_tiles`] of a shape that [`takes_tiles`] accepts.
pub(super) fn decode<S: Simd>(simd: S, tiles: Tiles<'_>, out: &mut [f32]) {
    let Tiles {
        format,
        head_dim,
        count,
        ..
    } = tiles;
    assert!(takes_tiles(format, head_dim), "{format}, {head_dim}");
    let rows = count * TILE_ROWS;
    let blocks = rows / format.block_rows();
    assert!(rows.is_multiple_of(format.block_rows()), "a cut block");
    assert_eq!(out.len(), rows * head_dim, "output");
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
    let narrow = format.axis == Axis::Channels && !format.group(head_dim).is_multiple_of(S::LANES);
    match (format.bits, narrow) {
        (Bits::B2, false) => simd.vectorize(Untile::<2> { tiles, out }),
        (Bits::B3, false) => simd.vectorize(Untile::<3> { tiles, out }),
        (Bits::B4, false) => simd.vectorize(Untile::<4> { tiles, out }),
        (Bits::B2, true) => simd.narrow().vectorize(Untile::<2> { tiles, out }),
        (Bits::B3, true) => simd.narrow().vectorize(Untile::<3> { tiles, out }),
        (Bits::B4, true) => simd.narrow().vectorize(Untile::<4> { tiles, out }),
        (_, false) => simd.vectorize(Untile::<8> { tiles, out }),
        (_, true) => simd.narrow().vectorize(Untile::<8> { tiles, out }),
    }
}

struct Untile<'a, const BITS: usize> {
    tiles: Tiles<'a>,
    out: &'a mut [f32],
}

impl<const BITS: usize> Kernel for Untile<'_, BITS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tiles, out } = self;
        let (format, head_dim) = (tiles.format, tiles.head_dim);
        let mut codes = vec![0; TILE_ROWS * head_dim];
        // Scales and zero points of what shares them: a tile, or a block.
        let shared = match format.axis {
            Axis::Channels => TILE_ROWS * format.scales(head_dim),
            Axis::Tokens => head_dim,
        };
        let (mut scale, mut zero) = (vec![0.0; shared], vec![0.0; shared]);
        let rows_shared = TILE_ROWS.max(format.block_rows());
        let bytes = tile_bytes(format.bits, head_dim);
        let all = out.chunks_exact_mut(TILE_ROWS * head_dim);
        for (tile, (out, payload)) in all.zip(tiles.payload.chunks_exact(bytes)).enumerate() {
            lines::unpack::<BITS>(tiles.role, payload, &mut codes);
            let at = tile * TILE_ROWS / rows_shared * shared;
            let half = (1u32 << (BITS - 1)) as f32;
            tiles.scales[at..at + shared].convert_to_f32_slice(&mut scale);
            if !format.symmetric {
                tiles.zeros[at..at + shared].convert_to_f32_slice(&mut zero);
            } else if format.codebook.is_none() {
                for (zero, scale) in zero.iter_mut().zip(&scale) {
                    *zero = -scale * half;
                }
            }
            if let Some(book) = &format.codebook {
                for code in &mut codes {
                    *code = book.levels()[usize::from(*code & 15)].cast_unsigned();
                }
                scaled::<S, LEVEL>(simd, &tiles, &codes, &scale, &zero, out);
            } else {
                scaled::<S, 8>(simd, &tiles, &codes, &scale, &zero, out);
            }
        }
    }
}

/// Values of the codes of one tile.
#[inline(always)]
fn scaled<S: Simd, const BITS: usize>(
    simd: S,
    tiles: &Tiles<'_>,
    codes: &[u8],
    scale: &[f32],
    zero: &[f32],
    out: &mut [f32],
) {
    let head_dim = tiles.head_dim;
    assert!(codes.len() == TILE_ROWS * head_dim && out.len() == codes.len());
    if tiles.format.axis == Axis::Tokens {
        assert!(scale.len() == head_dim && zero.len() == head_dim);
        assert!(head_dim.is_multiple_of(S::LANES));
        for j in (0..head_dim).step_by(S::LANES) {
            // SAFETY: every slice holds a vector at `j` of each row.
            unsafe {
                let grid = Grid {
                    scale: simd.load(scale.as_ptr().add(j)),
                    zero: simd.load(zero.as_ptr().add(j)),
                };
                for t in 0..TILE_ROWS {
                    let at = t * head_dim + j;
                    let v = simd.decode::<BITS>(codes.as_ptr().add(at), grid);
                    simd.store(out.as_mut_ptr().add(at), v);
                }
            }
        }
        return;
    }
    let group = tiles.format.group(head_dim);
    assert!(group.is_multiple_of(S::LANES) && scale.len() == head_dim / group * TILE_ROWS);
    for t in 0..TILE_ROWS {
        for g in 0..head_dim / group {
            let at = g * TILE_ROWS + t;
            let grid = Grid {
                scale: simd.splat(scale[at]),
                zero: simd.splat(zero[at]),
            };
            let first = t * head_dim + g * group;
            for at in (first..first + group).step_by(S::LANES) {
                // SAFETY: both slices hold the row's groups, which are whole vectors.
                unsafe {
                    let v = simd.decode::<BITS>(codes.as_ptr().add(at), grid);
                    simd.store(out.as_mut_ptr().add(at), v);
                }
            }
        }
    }
}
