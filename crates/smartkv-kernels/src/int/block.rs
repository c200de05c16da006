//! The kernel of scores: a block of queries and some tiles.
#![expect(
    clippy::needless_range_loop,
    reason = "unrolled, and held in registers"
)]

use super::dots::Sums;
use super::product::{Call, Rows};
use super::queries::Constants;
use super::unpack::{Raw, lines, plane, step};
use super::{Integers, Kernel, ahead, ask_scales, parts};
use smartkv_core::TILE_ROWS;
use smartkv_core::packed::LINE;

/// Products of `NQ` queries, from `query` on, with the tiles `first .. first + tiles` of the
/// call, whose codes are `codes`.
pub(super) struct Block<'a, 'b, Q, const BITS: usize, const BOOK: bool, const NQ: usize> {
    pub(super) call: &'a mut Call<'b>,
    pub(super) source: Q,
    pub(super) codes: &'a [u8],
    pub(super) first: usize,
    pub(super) tiles: usize,
    pub(super) query: usize,
}

impl<Q: Constants, const BITS: usize, const BOOK: bool, const NQ: usize> Kernel
    for Block<'_, '_, Q, BITS, BOOK, NQ>
{
    type Out = ();

    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        let tiles = self.tiles;
        let call = &*self.call;
        let (n, rows) = (call.high.len() / call.head_dim, call.count * TILE_ROWS);
        let groups = call.head_dim / call.group;
        assert!(call.group.is_multiple_of(4 * lines(BITS)), "whole lines");
        assert!(self.query + NQ <= n && self.first + tiles <= call.count);
        assert!(self.codes.len() >= tiles * TILE_ROWS * call.head_dim * BITS / 8);
        assert!(call.out.len() >= (n - 1) * call.stride + rows, "scores");
        match call.rows {
            Rows::Plain { start } => assert!(groups == 1 && start.len() >= n),
            Rows::Scaled { scales, zeros } => {
                assert!(scales.len() >= groups * rows);
                assert!(zeros.is_none_or(|zeros| zeros.len() >= groups * rows));
            }
        }
        // As many tiles at a time as leave registers for the sums; one where they come from
        // memory, which is read faster in a row.
        let together = if S::LANES == 16 && !Q::STREAMS {
            tiles / 2 * 2
        } else {
            0
        };
        let out = self.call.out.as_mut_ptr();
        // SAFETY: the tiles exist, and every slice holds what its shape says.
        unsafe {
            for tile in (0..together).step_by(2) {
                self.tiles::<S, 2>(simd, tile, out);
            }
            for tile in together..tiles {
                self.tiles::<S, 1>(simd, tile, out);
            }
        }
    }
}

impl<Q: Constants, const BITS: usize, const BOOK: bool, const NQ: usize>
    Block<'_, '_, Q, BITS, BOOK, NQ>
{
    /// `T` tiles from the `tile`-th on.
    ///
    /// # Safety
    /// They must exist, and every slice hold what the shape says; `out` is the call's.
    #[inline(always)]
    unsafe fn tiles<S: Integers, const T: usize>(&self, simd: S, tile: usize, out: *mut f32) {
        let (call, source) = (&*self.call, self.source);
        let (head_dim, group) = (call.head_dim, call.group);
        let steps = group / (4 * lines(BITS));
        let table = simd.table(&call.meaning.levels);
        let bytes = TILE_ROWS * head_dim * BITS / 8;
        for part in 0..parts::<S>() {
            let row = (self.first + tile) * TILE_ROWS + part * S::LANES;
            let mut scores = [[simd.splat(0.0); T]; NQ];
            // SAFETY: promised by the caller; steps are counted through all groups.
            unsafe {
                let codes = self.codes.as_ptr().add(tile * bytes + part * 4 * S::LANES);
                let left = self.codes.len() - tile * bytes;
                let ahead = if Q::STREAMS {
                    ahead(T * bytes, left)
                } else {
                    0
                };
                for g in 0..head_dim / group {
                    let mut sums = Sums::<S, NQ, T>::new(simd);
                    for at in g * steps..(g + 1) * steps {
                        let mut raws = [self.raw(simd, codes, at, ahead); T];
                        for t in 1..T {
                            raws[t] = self.raw(simd, codes.add(t * bytes), at, ahead);
                        }
                        for line in 0..lines(BITS) {
                            let mut codes = [raws[0].line(simd, table, line); T];
                            for t in 1..T {
                                codes[t] = raws[t].line(simd, table, line);
                            }
                            sums.add(simd, codes, source, at * lines(BITS) + line);
                        }
                    }
                    self.add(simd, &mut scores, &sums.whole(simd), g, row);
                }
                for (i, scores) in scores.iter().enumerate() {
                    let out = out.add((self.query + i) * call.stride + row);
                    for (t, &scores) in scores.iter().enumerate() {
                        simd.store(out.add(t * TILE_ROWS), scores);
                    }
                }
            }
        }
    }

    /// The `at`-th bytes of lines that are unpacked together.
    ///
    /// # Safety
    /// They must exist in this tile.
    #[inline(always)]
    unsafe fn raw<S: Integers>(
        &self,
        simd: S,
        tile: *const u8,
        at: usize,
        ahead: usize,
    ) -> Raw<S, BITS, BOOK> {
        let high = plane(BITS, self.call.head_dim) + if BITS == 3 { at * LINE } else { 0 };
        // SAFETY: promised by the caller.
        unsafe { Raw::load(simd, tile.add(at * step(BITS)), tile.add(high), ahead) }
    }

    /// Adds the products of a group to the scores of `T` times the rows from `row` on.
    ///
    /// # Safety
    /// The rows and the group must exist.
    #[inline(always)]
    unsafe fn add<S: Integers, const T: usize>(
        &self,
        simd: S,
        scores: &mut [[S::Reals; T]; NQ],
        sums: &[[S::Sums; T]; NQ],
        g: usize,
        row: usize,
    ) {
        let call = &*self.call;
        let groups = call.head_dim / call.group;
        let (tile, in_tile) = (row / TILE_ROWS, row % TILE_ROWS);
        let first = (tile * groups + g) * TILE_ROWS + in_tile;
        let step = groups * TILE_ROWS;
        let mut scale = [simd.splat(1.0); T];
        let mut zero = [simd.splat(0.0); T];
        // SAFETY: promised by the caller. The branches are outside of the loops, so that these
        // are unrolled and the sums stay in registers.
        unsafe {
            match call.rows {
                Rows::Scaled { scales, zeros } => {
                    if Q::STREAMS {
                        ask_scales(simd, scales, first);
                        ask_scales(simd, zeros.unwrap_or(&[]), first);
                    }
                    for t in 0..T {
                        scale[t] = simd.load_half(scales.as_ptr().add(first + t * step));
                    }
                    if let Some(zeros) = zeros {
                        for t in 0..T {
                            zero[t] = simd.load_half(zeros.as_ptr().add(first + t * step));
                        }
                        if call.meaning.origin.is_some() {
                            self.scaled::<S, T, true, true>(simd, scores, sums, g, scale, zero);
                        } else {
                            self.scaled::<S, T, false, true>(simd, scores, sums, g, scale, zero);
                        }
                    } else {
                        self.scaled::<S, T, true, false>(simd, scores, sums, g, scale, zero);
                    }
                }
                Rows::Plain { start } => {
                    if call.meaning.origin.is_some() {
                        self.scaled::<S, T, true, false>(simd, scores, sums, g, scale, zero);
                    } else {
                        self.scaled::<S, T, false, false>(simd, scores, sums, g, scale, zero);
                    }
                    for i in 0..NQ {
                        let start = simd.splat(*start.as_ptr().add(self.query + i));
                        for t in 0..T {
                            scores[i][t] = simd.add(scores[i][t], start);
                        }
                    }
                }
            }
        }
    }

    /// Adds the products of a group by these scales and zero points.
    ///
    /// # Safety
    /// The group must exist.
    #[inline(always)]
    unsafe fn scaled<S: Integers, const T: usize, const ORIGIN: bool, const ZEROS: bool>(
        &self,
        simd: S,
        scores: &mut [[S::Reals; T]; NQ],
        sums: &[[S::Sums; T]; NQ],
        g: usize,
        scale: [S::Reals; T],
        zero: [S::Reals; T],
    ) {
        let source = self.source;
        let origin = self.call.meaning.origin.unwrap_or(0);
        for i in 0..NQ {
            // SAFETY: promised by the caller.
            unsafe {
                let less = simd.splat_int(source.shifted(i, g, origin));
                let query = simd.splat(source.scale(i, g));
                let weighted = simd.splat(source.weighted(i, g));
                for t in 0..T {
                    let mut sum = sums[i][t];
                    if ORIGIN {
                        sum = simd.sub_int(sum, less);
                    }
                    let product = simd.mul(simd.real(sum), scale[t]);
                    scores[i][t] = simd.fma(product, query, scores[i][t]);
                    if ZEROS {
                        scores[i][t] = simd.fma(zero[t], weighted, scores[i][t]);
                    }
                }
            }
        }
    }
}
