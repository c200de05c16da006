//! Mix of tiles of values by weights: which queries are taken together, and how.

use super::blend::Blend;
use super::unpack::Unpack;
use super::weights::CHUNK;
use super::{Integers, Meaning, check, even_parts, scratch};
use smartkv_core::{Axis, Bits, Role, TILE_ROWS, Tiles};

/// Queries that share an unpacked line in registers.
const FEW: usize = 4;
/// Most queries of a block where lines are unpacked beforehand.
const MANY: usize = 6;
/// Codes to unpack at once, for the second-level cache.
const UNPACKED: usize = 64 << 10;

/// Weights, and the sums that they are mixed into.
pub(super) struct Call<'a> {
    pub(super) values: Tiles<'a>,
    pub(super) meaning: Meaning,
    pub(super) p: &'a [f32],
    pub(super) stride: usize,
    pub(super) acc: &'a mut [f32],
}

/// See [`smartkv_core::Kernels::mix_tiles`].
pub(crate) fn mix<S: Integers>(
    simd: S,
    values: Tiles<'_>,
    p: &[f32],
    stride: usize,
    acc: &mut [f32],
) {
    check(&values, Role::Values);
    let rows = values.count * TILE_ROWS;
    let n = acc.len() / values.head_dim;
    assert_eq!(acc.len(), n * values.head_dim, "whole accumulators");
    if n == 0 || rows == 0 {
        return;
    }
    assert!(p.len() >= (n - 1) * stride + rows, "weights: too short");
    let meaning = Meaning::of(values.format);
    let mut call = Call {
        values,
        meaning,
        p,
        stride,
        acc,
    };
    match (values.format.bits, values.format.codebook.is_some()) {
        (Bits::B2, false) => call.of_bits::<S, 2, false>(simd),
        (Bits::B2, true) => call.of_bits::<S, 2, true>(simd),
        (Bits::B3, false) => call.of_bits::<S, 3, false>(simd),
        (Bits::B3, true) => call.of_bits::<S, 3, true>(simd),
        (Bits::B4, false) => call.of_bits::<S, 4, false>(simd),
        (Bits::B4, true) => call.of_bits::<S, 4, true>(simd),
        (_, _) => call.of_bits::<S, 8, false>(simd),
    }
}

impl Call<'_> {
    /// Groups of channels whose weights are split apart: one where scales are those of channels.
    #[inline(always)]
    pub(super) fn groups(&self) -> usize {
        match self.values.format.axis {
            Axis::Channels => self.values.format.scales(self.values.head_dim),
            Axis::Tokens => 1,
        }
    }

    /// Tiles of a chunk that starts with this one: scales of channels end it with their block.
    #[inline(always)]
    pub(super) fn chunk(&self, tile: usize) -> usize {
        let most = CHUNK / TILE_ROWS;
        match self.values.format.axis {
            Axis::Channels => most,
            Axis::Tokens => {
                let block = self.values.format.block_rows() / TILE_ROWS;
                most.min(block - tile % block)
            }
        }
    }

    fn of_bits<S: Integers, const BITS: usize, const BOOK: bool>(&mut self, simd: S) {
        let Tiles {
            head_dim,
            count,
            payload,
            format,
            ..
        } = self.values;
        let n = self.acc.len() / head_dim;
        if n <= FEW {
            macro_rules! few {
                ($nq:literal) => {
                    simd.vectorize(Blend::<BITS, BOOK, $nq> {
                        call: self,
                        codes: payload,
                        first: 0,
                        tiles: count,
                        query: 0,
                    })
                };
            }
            return match n {
                1 => few!(1),
                2 => few!(2),
                3 => few!(3),
                _ => few!(4),
            };
        }
        let tile = TILE_ROWS * head_dim;
        let unit = match format.axis {
            Axis::Channels => CHUNK / TILE_ROWS,
            Axis::Tokens => format.block_rows() / TILE_ROWS,
        };
        let together = (UNPACKED / tile / unit).max(1) * unit;
        let copied = if BITS == 8 {
            0
        } else {
            together.min(count) * tile
        };
        scratch::with(scratch::vectors::<u8>(copied), |mut scratch| {
            let unpacked = scratch.take::<u8>(copied);
            let bytes = tile * BITS / 8;
            for first in (0..count).step_by(together) {
                let tiles = together.min(count - first);
                let packed = &payload[first * bytes..(first + tiles) * bytes];
                let codes = if BITS == 8 {
                    packed
                } else {
                    let to = unpacked.chunks_exact_mut(tile);
                    for (tile, codes) in packed.chunks_exact(bytes).zip(to) {
                        simd.vectorize(Unpack::<BITS, BOOK> {
                            levels: &self.meaning.levels,
                            tile,
                            codes,
                        });
                    }
                    &*unpacked
                };
                for (query, count) in even_parts(n, MANY) {
                    macro_rules! many {
                        ($nq:literal) => {
                            simd.vectorize(Blend::<8, false, $nq> {
                                call: self,
                                codes,
                                first,
                                tiles,
                                query,
                            })
                        };
                    }
                    match count {
                        3 => many!(3),
                        4 => many!(4),
                        5 => many!(5),
                        6 => many!(6),
                        _ => unreachable!("even parts of more than {FEW}"),
                    }
                }
            }
        });
    }
}
