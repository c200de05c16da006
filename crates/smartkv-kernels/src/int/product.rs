//! Products of digits with the codes of tiles of keys: which queries are taken together, and how.

use super::block::Block;
use super::queries::{Natural, Panel, entries, fill};
use super::unpack::{Unpack, lines};
use super::{Integers, Meaning, even_parts, scratch};
use half::f16;
use smartkv_core::{Bits, Format, TILE_ROWS};

/// Queries that share an unpacked line in registers.
const FEW: usize = 4;
/// Most queries of a block where lines are unpacked beforehand.
const MANY: usize = 6;
/// Codes to unpack at once, for the second-level cache: a block of queries, which stays in the
/// first-level cache, takes them one after another, and writes as many scores in a row.
const UNPACKED: usize = 128 << 10;
/// Bytes of digits to take at once: every tile reads them again, from the second-level cache.
const PANELS: usize = 512 << 10;

/// How sums become scores.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// By a scale, and a zero point, of each row and group.
    Scaled {
        scales: &'a [f16],
        zeros: Option<&'a [f16]>,
    },
    /// By adding what the scores of a query start from.
    Plain { start: &'a [f32] },
}

/// Products of queries with tiles; all slices have the lengths that the shape asks for.
pub(super) struct Call<'a> {
    pub(super) head_dim: usize,
    /// Channels that share a scale.
    pub(super) group: usize,
    pub(super) meaning: Meaning,
    /// Digits of the queries, as in [`smartkv_core::Queries`].
    pub(super) high: &'a [i8],
    pub(super) low: &'a [i8],
    pub(super) scale: &'a [f32],
    pub(super) sum: &'a [i32],
    pub(super) rows: Rows<'a>,
    pub(super) codes: &'a [u8],
    pub(super) count: usize,
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
}

impl Call<'_> {
    /// Writes all scores.
    pub(super) fn run<S: Integers>(mut self, simd: S, format: Format) {
        match (format.bits, format.codebook.is_some()) {
            (Bits::B2, false) => self.of_bits::<S, 2, false>(simd),
            (Bits::B2, true) => self.of_bits::<S, 2, true>(simd),
            (Bits::B3, false) => self.of_bits::<S, 3, false>(simd),
            (Bits::B3, true) => self.of_bits::<S, 3, true>(simd),
            (Bits::B4, false) => self.of_bits::<S, 4, false>(simd),
            (Bits::B4, true) => self.of_bits::<S, 4, true>(simd),
            (_, _) => self.of_bits::<S, 8, false>(simd),
        }
    }

    fn of_bits<S: Integers, const BITS: usize, const BOOK: bool>(&mut self, simd: S) {
        let n = self.high.len() / self.head_dim;
        if n <= FEW && self.group.is_multiple_of(4 * lines(BITS)) {
            let source = Natural {
                high: self.high.as_ptr(),
                low: self.low.as_ptr(),
                head_dim: self.head_dim,
                scale: self.scale.as_ptr(),
                sum: self.sum.as_ptr(),
                groups: self.head_dim / self.group,
            };
            let (codes, tiles) = (self.codes, 0..self.count);
            macro_rules! few {
                ($nq:literal) => {
                    simd.vectorize(Block::<_, BITS, BOOK, $nq> {
                        call: self,
                        source,
                        codes,
                        first: tiles.start,
                        tiles: tiles.len(),
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
        let per_query = 4 * entries(self.head_dim, self.group);
        for (first, count) in even_parts(n, (PANELS / per_query).max(MANY)) {
            self.many::<S, BITS, BOOK>(simd, first, count);
        }
    }

    /// Queries `first .. first + n`: lines are unpacked once for all of them.
    fn many<S: Integers, const BITS: usize, const BOOK: bool>(
        &mut self,
        simd: S,
        first: usize,
        n: usize,
    ) {
        let entries = entries(self.head_dim, self.group);
        let tile = TILE_ROWS * self.head_dim;
        let together = (UNPACKED / tile).max(2).next_multiple_of(2).min(self.count);
        let copied = if BITS == 8 { 0 } else { together * tile };
        let needed = scratch::vectors::<i32>(n * entries) + scratch::vectors::<u8>(copied);
        scratch::with(needed, |mut scratch| {
            let panels = scratch.take::<i32>(n * entries);
            let unpacked = scratch.take::<u8>(copied);
            for (i, count) in even_parts(n, MANY) {
                let panel = &mut panels[i * entries..(i + count) * entries];
                fill(self, panel, first + i, count);
            }
            let bytes = tile * BITS / 8;
            for start in (0..self.count).step_by(together) {
                let tiles = together.min(self.count - start);
                let packed = &self.codes[start * bytes..(start + tiles) * bytes];
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
                for (i, count) in even_parts(n, MANY) {
                    let panel = &panels[i * entries..(i + count) * entries];
                    macro_rules! many {
                        ($nq:literal) => {
                            simd.vectorize(Block::<_, 8, false, $nq> {
                                source: Panel::<$nq>::new(panel, self.head_dim),
                                call: self,
                                codes,
                                first: start,
                                tiles,
                                query: first + i,
                            })
                        };
                    }
                    match count {
                        1 => many!(1),
                        2 => many!(2),
                        3 => many!(3),
                        4 => many!(4),
                        5 => many!(5),
                        _ => many!(6),
                    }
                }
            }
        });
    }
}
