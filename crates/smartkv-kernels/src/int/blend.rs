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
        let mut zeros = [[simd.splat(0.0); NQ]; GROUPS];
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
                self.chunk(simd, chunk, &mut zeros, acc);
            }
            tile += tiles;
        }
        for (g, zeros) in zeros.iter().enumerate().take(self.places()) {
            // SAFETY: the group and its accumulators exist.
            unsafe { self.settle(simd, 0, g, zeros, acc) };
        }
    }
}

/// Groups of channels up to which zero points are summed up over all rows at once.
const GROUPS: usize = 8;

impl<const BITS: usize, const BOOK: bool, const NQ: usize> Blend<'_, '_, BITS, BOOK, NQ> {
    /// Groups whose zero points are summed up over all rows at once; all or none.
    #[inline(always)]
    fn places(&self) -> usize {
        let groups = self.call.groups();
        let at_once = self.call.values.format.axis == Axis::Channels && groups <= GROUPS;
        if at_once { groups } else { 0 }
    }

    /// Mixes a chunk. What zero points add to a group is left in `zeros` if it has a place there.
    ///
    /// # Safety
    /// The chunk must exist, with its weights; `acc` is the call's.
    #[inline(always)]
    unsafe fn chunk<S: Integers>(
        &self,
        simd: S,
        chunk: Chunk,
        zeros: &mut [[S::Reals; NQ]; GROUPS],
        acc: *mut f32,
    ) {
        let values = &self.call.values;
        let (groups, places) = (self.call.groups(), self.places());
        let step = groups * TILE_ROWS;
        for g in 0..groups {
            let mut grids = Grids::none(simd, chunk.tiles);
            if values.format.axis == Axis::Channels {
                let at = (chunk.tile * groups + g) * TILE_ROWS;
                for k in 0..chunk.tiles {
                    ask_scales(simd, values.scales, at + k * step);
                    ask_scales(simd, values.zeros, at + k * step);
                }
                // SAFETY: the scales of these tiles exist, and so do the zero points if any.
                unsafe {
                    let origins = (!values.format.symmetric).then(|| values.zeros.as_ptr().add(at));
                    grids.load(simd, step, values.scales.as_ptr().add(at), origins);
                }
            }
            let mut own = [simd.splat(0.0); NQ];
            let sums = if g < places { &mut zeros[g] } else { &mut own };
            // SAFETY: promised by the caller.
            unsafe {
                self.group(simd, chunk, g, &grids, sums, acc);
                if g >= places {
                    self.settle(simd, chunk.tile, g, &own, acc);
                }
            }
        }
    }

    /// Adds what zero points add to the channels of a group: the sums of `zeros`, times the zero
    /// points of channels where there are such.
    ///
    /// # Safety
    /// The tile and the group must exist; `acc` is the call's.
    #[inline(always)]
    unsafe fn settle<S: Integers>(
        &self,
        simd: S,
        tile: usize,
        g: usize,
        zeros: &[S::Reals; NQ],
        acc: *mut f32,
    ) {
        let values = &self.call.values;
        if values.format.symmetric {
            return;
        }
        let head_dim = values.head_dim;
        let group = head_dim / self.call.groups();
        let block = tile * TILE_ROWS / values.format.block_rows();
        for (i, &zero) in zeros.iter().enumerate() {
            let sum = simd.splat(simd.total(zero));
            for channel in (g * group..(g + 1) * group).step_by(S::LANES) {
                // SAFETY: promised by the caller; zero points of channels are those of a block.
                unsafe {
                    let mut zero = simd.splat(1.0);
                    if values.format.axis == Axis::Tokens {
                        let at = block * head_dim + channel;
                        zero = simd.load_half(values.zeros.as_ptr().add(at));
                    }
                    let at = acc.add((self.query + i) * head_dim + channel);
                    simd.store(at, simd.fma(sum, zero, simd.load(at)));
                }
            }
        }
    }

    /// Mixes the channels of a group, zero points apart: what they sum up is added to `zeros`.
    ///
    /// # Safety
    /// As of [`chunk`](Self::chunk); the group must exist.
    #[inline(always)]
    unsafe fn group<S: Integers>(
        &self,
        simd: S,
        chunk: Chunk,
        g: usize,
        grids: &Grids<S>,
        zeros: &mut [S::Reals; NQ],
        acc: *mut f32,
    ) {
        let call = &*self.call;
        let group = call.values.head_dim / call.groups();
        let mut digits = Digits([[0i8; 2 * CHUNK]; NQ]);
        let mut weighed = [Weighed { scale: 0.0, sum: 0 }; NQ];
        let mut any = false;
        for i in 0..NQ {
            // SAFETY: the weights of these rows exist.
            weighed[i] = unsafe {
                let at = (self.query + i) * call.stride + chunk.tile * TILE_ROWS;
                weigh(
                    simd,
                    call.p.as_ptr().add(at),
                    grids,
                    call.meaning.origin.is_some(),
                    &mut zeros[i],
                    &mut digits.0[i],
                )
            };
            any |= weighed[i].scale != 0.0;
        }
        if !any {
            return;
        }
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
            let by_channel = values.format.axis == Axis::Tokens;
            let block = chunk.tile * TILE_ROWS / values.format.block_rows();
            for t in 0..T {
                let mut scale = simd.splat(1.0);
                if by_channel {
                    let channel = block * head_dim + (unit + t) * S::LANES;
                    scale = simd.load_half(values.scales.as_ptr().add(channel));
                }
                for i in 0..NQ {
                    let at = acc.add(i * head_dim + t * S::LANES);
                    let product = self.product(simd, sums[i][t], weighed[i]);
                    simd.store(at, simd.fma(product, scale, simd.load(at)));
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
