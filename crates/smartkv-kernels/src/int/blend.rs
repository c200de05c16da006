//! The kernel of the mix: a block of queries and some tiles.
#![expect(
    clippy::needless_range_loop,
    reason = "unrolled, and held in registers"
)]

use super::dots::Sums;
use super::mix::Call;
use super::unpack::{line, plane};
use super::weights::{At, CHUNK, Digits, Grids, Weighed, weigh};
use super::{Integers, Kernel, ahead, ask_scales, parts};
use smartkv_core::{Axis, TILE_ROWS};

/// Mixes the tiles `first .. first + tiles` of the call, whose codes are `codes`, for `NQ` queries
/// from `query` on.
pub(super) struct Blend<'a, 'b, const BITS: usize, const BOOK: bool, const NQ: usize> {
    pub(super) call: &'a mut Call<'b>,
    pub(super) codes: &'a [u8],
    pub(super) first: usize,
    pub(super) tiles: usize,
    pub(super) query: usize,
}

/// A chunk: its tiles, counted from the first of the call, and their codes.
#[derive(Clone, Copy)]
struct Chunk {
    tile: usize,
    tiles: usize,
    codes: *const u8,
    /// How far ahead to ask for codes.
    ahead: usize,
}

impl<const BITS: usize, const BOOK: bool, const NQ: usize> Kernel
    for Blend<'_, '_, BITS, BOOK, NQ>
{
    type Out = ();

    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        let call = &*self.call;
        let head_dim = call.values.head_dim;
        let (n, rows) = (call.acc.len() / head_dim, call.values.count * TILE_ROWS);
        let bytes = TILE_ROWS * head_dim * BITS / 8;
        assert!(self.query + NQ <= n && self.first + self.tiles <= call.values.count);
        assert!(self.codes.len() >= self.tiles * bytes, "codes");
        assert!(call.p.len() >= (n - 1) * call.stride + rows, "weights");
        let acc = self.call.acc.as_mut_ptr();
        let (start, end) = (self.first, self.first + self.tiles);
        let mut tile = start;
        while tile < end {
            let tiles = self.call.chunk(tile).min(end - tile);
            // SAFETY: the tiles exist, by the lengths just checked and those of scales and zero
            // points, which were checked before.
            unsafe {
                let at = (tile - start) * bytes;
                let chunk = Chunk {
                    tile,
                    tiles,
                    codes: self.codes.as_ptr().add(at),
                    ahead: ahead(tiles * bytes, self.codes.len() - at),
                };
                self.chunk(simd, chunk, acc);
            }
            tile += tiles;
        }
    }
}

impl<const BITS: usize, const BOOK: bool, const NQ: usize> Blend<'_, '_, BITS, BOOK, NQ> {
    /// Mixes a chunk.
    ///
    /// # Safety
    /// It must exist, with its weights; `acc` is the call's.
    #[inline(always)]
    unsafe fn chunk<S: Integers>(&self, simd: S, chunk: Chunk, acc: *mut f32) {
        let call = &*self.call;
        let values = &call.values;
        let (group, by_channel) = match values.format.axis {
            Axis::Channels => (values.format.group(values.head_dim), false),
            Axis::Tokens => (values.head_dim, true),
        };
        let groups = values.head_dim / group;
        let mut digits = Digits([[0i8; 2 * CHUNK]; NQ]);
        for g in 0..groups {
            let none = Weighed {
                scale: 0.0,
                sum: 0,
                zero: 0.0,
            };
            let mut weighed = [none; NQ];
            let mut grids = Grids {
                scales: None,
                zeros: None,
                step: groups * TILE_ROWS,
            };
            if !by_channel {
                let at = (chunk.tile * groups + g) * TILE_ROWS;
                for k in 0..chunk.tiles {
                    ask_scales(simd, values.scales, at + k * grids.step);
                    ask_scales(simd, values.zeros, at + k * grids.step);
                }
                // SAFETY: the scales of these tiles exist, and so do the zero points if any.
                unsafe {
                    grids.scales = Some(values.scales.as_ptr().add(at));
                    if !values.format.symmetric {
                        grids.zeros = Some(values.zeros.as_ptr().add(at));
                    }
                }
            }
            let mut any = false;
            for i in 0..NQ {
                // SAFETY: the weights of these rows exist.
                weighed[i] = unsafe {
                    let at = (self.query + i) * call.stride + chunk.tile * TILE_ROWS;
                    weigh(
                        simd,
                        call.p.as_ptr().add(at),
                        chunk.tiles,
                        grids,
                        &mut digits.0[i],
                    )
                };
                any |= weighed[i].scale != 0.0 || weighed[i].zero != 0.0;
            }
            if any {
                let units = g * group / S::LANES..(g + 1) * group / S::LANES;
                let at = At(digits.0.as_ptr().cast());
                // As many vectors of channels at a time as leave registers for the sums.
                let most = match (S::LANES, NQ) {
                    (8, 1..=3) => 2,
                    (8, _) => 1,
                    (_, 1..=3) => 4,
                    _ => 2,
                };
                let mut unit = units.start;
                while unit < units.end {
                    let left = (units.end - unit).min(most);
                    // SAFETY: the channels and their accumulators exist.
                    unsafe {
                        if most >= 4 && left >= 4 {
                            self.units::<S, 4>(simd, chunk, unit, at, &weighed, acc);
                            unit += 4;
                        } else if most >= 2 && left >= 2 {
                            self.units::<S, 2>(simd, chunk, unit, at, &weighed, acc);
                            unit += 2;
                        } else {
                            self.units::<S, 1>(simd, chunk, unit, at, &weighed, acc);
                            unit += 1;
                        }
                    }
                }
            }
        }
    }

    /// Mixes `T` vectors of channels of a chunk, from the `unit`-th on.
    ///
    /// # Safety
    /// The channels must exist, and `digits` be those of `NQ` queries.
    #[inline(always)]
    unsafe fn units<S: Integers, const T: usize>(
        &self,
        simd: S,
        chunk: Chunk,
        unit: usize,
        digits: At,
        weighed: &[Weighed; NQ],
        acc: *mut f32,
    ) {
        let call = &*self.call;
        let values = &call.values;
        let head_dim = values.head_dim;
        let bytes = TILE_ROWS * head_dim * BITS / 8;
        let table = simd.table(&call.meaning.levels);
        let mut sums = Sums::<S, NQ, T>::new(simd);
        // SAFETY: promised by the caller.
        unsafe {
            for k in 0..chunk.tiles {
                for quad in 0..4 {
                    let tile = chunk.codes.add(k * bytes);
                    let mut lines = [self.line(simd, table, tile, unit, quad, chunk.ahead); T];
                    for t in 1..T {
                        lines[t] = self.line(simd, table, tile, unit + t, quad, chunk.ahead);
                    }
                    sums.add(simd, lines, digits, 4 * k + quad);
                }
            }
            let sums = sums.whole(simd);
            let acc = acc.add(self.query * head_dim + unit * S::LANES);
            if values.format.axis == Axis::Channels {
                for i in 0..NQ {
                    let zero = simd.splat(weighed[i].zero);
                    for t in 0..T {
                        let at = acc.add(i * head_dim + t * S::LANES);
                        let product = self.product(simd, sums[i][t], weighed[i]);
                        simd.store(at, simd.add(simd.add(simd.load(at), zero), product));
                    }
                }
                return;
            }
            let block = chunk.tile * TILE_ROWS / values.format.block_rows();
            let channel = block * head_dim + unit * S::LANES;
            for t in 0..T {
                let channel = channel + t * S::LANES;
                let scale = simd.load_half(values.scales.as_ptr().add(channel));
                let mut zero = simd.splat(0.0);
                if !values.format.symmetric {
                    zero = simd.load_half(values.zeros.as_ptr().add(channel));
                }
                for i in 0..NQ {
                    let at = acc.add(i * head_dim + t * S::LANES);
                    let product = self.product(simd, sums[i][t], weighed[i]);
                    let sum = simd.fma(simd.splat(weighed[i].zero), zero, simd.load(at));
                    simd.store(at, simd.fma(product, scale, sum));
                }
            }
        }
    }

    /// The codes of a vector of channels and four rows.
    ///
    /// # Safety
    /// The tile must have them.
    #[inline(always)]
    unsafe fn line<S: Integers>(
        &self,
        simd: S,
        table: S::Codes,
        tile: *const u8,
        unit: usize,
        quad: usize,
        ahead: usize,
    ) -> S::Codes {
        let (block, part) = (unit / parts::<S>(), unit % parts::<S>());
        let plane = plane(BITS, self.call.values.head_dim);
        // SAFETY: promised by the caller.
        unsafe {
            let tile = tile.add(part * 4 * S::LANES);
            line::<S, BITS, BOOK>(simd, table, tile, plane, (block, quad), ahead)
        }
    }

    /// What a sum of digits times codes stands for, but for scales of channels.
    #[inline(always)]
    fn product<S: Integers>(&self, simd: S, sum: S::Sums, weighed: Weighed) -> S::Reals {
        let less = self.call.meaning.origin.map_or(0, |by| weighed.sum << by);
        let sum = simd.sub_int(sum, simd.splat_int(less));
        simd.mul(simd.real(sum), simd.splat(weighed.scale))
    }
}
