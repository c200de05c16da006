//! Products of digits with the codes of tiles of keys.

use super::dots::{Source, Sums};
use super::unpack::{Raw, Unpack, lines, plane, step};
use super::{Integers, Kernel, Meaning, parts, scratch};
use crate::cpu::parts as even_parts;
use half::f16;
use smartkv_core::packed::LINE;
use smartkv_core::{Bits, Format, TILE_ROWS};

/// Queries that share an unpacked line in registers.
const FEW: usize = 4;
/// Most queries of a block where lines are unpacked beforehand.
const MANY: usize = 6;
/// Tiles that are unpacked beforehand.
const TOGETHER: usize = 2;
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
        let copied = if BITS == 8 { 0 } else { TOGETHER * tile };
        let needed = scratch::vectors::<i32>(n * entries) + scratch::vectors::<u8>(copied);
        scratch::with(needed, |mut scratch| {
            let panels = scratch.take::<i32>(n * entries);
            let unpacked = scratch.take::<u8>(copied);
            for (i, count) in even_parts(n, MANY) {
                let panel = &mut panels[i * entries..(i + count) * entries];
                self.fill(panel, first + i, count);
            }
            let bytes = tile * BITS / 8;
            for start in (0..self.count).step_by(TOGETHER) {
                let tiles = TOGETHER.min(self.count - start);
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

    /// Puts what the products of `count` queries take in the order in which they take it, see
    /// [`Panel`].
    fn fill(&self, panel: &mut [i32], first: usize, count: usize) {
        let groups = self.head_dim / self.group;
        let (digits, constants) = panel.split_at_mut(self.head_dim / 4 * 2 * count);
        for i in 0..count {
            let row = (first + i) * self.head_dim..(first + i + 1) * self.head_dim;
            for (which, row) in [&self.high[row.clone()], &self.low[row]].iter().enumerate() {
                let to = digits[which * count + i..].iter_mut().step_by(2 * count);
                for (to, quad) in to.zip(row.as_chunks::<4>().0) {
                    *to = i32::from_ne_bytes(quad.map(i8::cast_unsigned));
                }
            }
            for g in 0..groups {
                let at = (first + i) * groups + g;
                let (scale, sum) = (self.scale[at], self.sum[at]);
                let to = &mut constants[g * 3 * count + i..];
                to[0] = scale.to_bits().cast_signed();
                to[count] = sum << self.meaning.origin.unwrap_or(0);
                to[2 * count] = weighted(scale, sum).to_bits().cast_signed();
            }
        }
    }
}

/// Entries of a query in a [`Panel`].
fn entries(head_dim: usize, group: usize) -> usize {
    head_dim / 4 * 2 + head_dim / group * 3
}

/// The sum of the queries of a group.
#[inline(always)]
fn weighted(scale: f32, sum: i32) -> f32 {
    scale * sum as f32
}

/// Where digits lie, with the constants of groups.
trait Constants: Source {
    /// Scale of a group.
    ///
    /// # Safety
    /// The query and the group must exist.
    unsafe fn scale(self, query: usize, group: usize) -> f32;
    /// Sum of a group, shifted left.
    ///
    /// # Safety
    /// As above.
    unsafe fn shifted(self, query: usize, group: usize, origin: u32) -> i32;
    /// Scale times sum.
    ///
    /// # Safety
    /// As above.
    unsafe fn weighted(self, query: usize, group: usize) -> f32;
}

/// Queries one after another.
#[derive(Clone, Copy)]
struct Natural {
    high: *const i8,
    low: *const i8,
    head_dim: usize,
    scale: *const f32,
    sum: *const i32,
    groups: usize,
}

impl Source for Natural {
    #[inline(always)]
    unsafe fn digits(self, query: usize, line: usize) -> (*const i8, *const i8) {
        let at = query * self.head_dim + 4 * line;
        // SAFETY: promised by the caller.
        unsafe { (self.high.add(at), self.low.add(at)) }
    }
}

impl Constants for Natural {
    #[inline(always)]
    unsafe fn scale(self, query: usize, group: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.scale.add(query * self.groups + group) }
    }

    #[inline(always)]
    unsafe fn shifted(self, query: usize, group: usize, origin: u32) -> i32 {
        // SAFETY: promised by the caller.
        unsafe { *self.sum.add(query * self.groups + group) << origin }
    }

    #[inline(always)]
    unsafe fn weighted(self, query: usize, group: usize) -> f32 {
        let at = query * self.groups + group;
        // SAFETY: promised by the caller.
        unsafe { weighted(*self.scale.add(at), *self.sum.add(at)) }
    }
}

/// `NQ` queries in the order of their use: of every line the high digits, then the low ones, and
/// after all lines of every group the scales, the shifted sums and the weighted sums.
#[derive(Clone, Copy)]
struct Panel<const NQ: usize> {
    digits: *const i8,
    constants: *const i32,
}

impl<const NQ: usize> Panel<NQ> {
    fn new(panel: &[i32], head_dim: usize) -> Self {
        let (digits, constants) = panel.split_at(head_dim / 4 * 2 * NQ);
        Self {
            digits: digits.as_ptr().cast(),
            constants: constants.as_ptr(),
        }
    }
}

impl<const NQ: usize> Source for Panel<NQ> {
    #[inline(always)]
    unsafe fn digits(self, query: usize, line: usize) -> (*const i8, *const i8) {
        // SAFETY: promised by the caller.
        unsafe {
            let high = self.digits.add(4 * (2 * NQ * line + query));
            (high, high.add(4 * NQ))
        }
    }
}

impl<const NQ: usize> Constants for Panel<NQ> {
    #[inline(always)]
    unsafe fn scale(self, query: usize, group: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.constants.add(3 * NQ * group + query).cast() }
    }

    #[inline(always)]
    unsafe fn shifted(self, query: usize, group: usize, _origin: u32) -> i32 {
        // SAFETY: promised by the caller.
        unsafe { *self.constants.add(3 * NQ * group + NQ + query) }
    }

    #[inline(always)]
    unsafe fn weighted(self, query: usize, group: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.constants.add(3 * NQ * group + 2 * NQ + query).cast() }
    }
}

/// Products of `NQ` queries, from `query` on, with the tiles `first .. first + tiles` of the
/// call, whose codes are `codes`.
struct Block<'a, 'b, Q, const BITS: usize, const BOOK: bool, const NQ: usize> {
    call: &'a mut Call<'b>,
    source: Q,
    codes: &'a [u8],
    first: usize,
    tiles: usize,
    query: usize,
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
        // As many tiles at a time as leave registers for the sums.
        let together = if S::LANES == 16 { tiles / 2 * 2 } else { 0 };
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
                let raw = |t: usize, at: usize| {
                    let tile = codes.add(t * bytes);
                    let high = at * if BITS == 3 { LINE } else { 0 };
                    let high = tile.add(plane(BITS, head_dim) + high);
                    Raw::<S, BITS, BOOK>::load(simd, tile.add(at * step(BITS)), high)
                };
                for g in 0..head_dim / group {
                    let mut sums = Sums::<S, NQ, T>::new(simd);
                    for at in g * steps..(g + 1) * steps {
                        let mut raws = [raw(0, at); T];
                        for (t, other) in raws.iter_mut().enumerate().skip(1) {
                            *other = raw(t, at);
                        }
                        for line in 0..lines(BITS) {
                            let mut codes = [raws[0].line(simd, table, line); T];
                            for (codes, raw) in codes.iter_mut().zip(&raws).skip(1) {
                                *codes = raw.line(simd, table, line);
                            }
                            sums.add(simd, codes, source, at * lines(BITS) + line);
                        }
                    }
                    self.add(simd, &mut scores, &sums, g, row);
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

    /// Adds the products of a group to the scores of `T` times the rows from `row` on.
    ///
    /// # Safety
    /// The rows and the group must exist.
    #[inline(always)]
    unsafe fn add<S: Integers, const T: usize>(
        &self,
        simd: S,
        scores: &mut [[S::Reals; T]; NQ],
        sums: &Sums<S, NQ, T>,
        g: usize,
        row: usize,
    ) {
        let (call, source) = (&*self.call, self.source);
        let groups = call.head_dim / call.group;
        let mut scale = [simd.splat(1.0); T];
        let mut zero = [simd.splat(0.0); T];
        // SAFETY: promised by the caller.
        unsafe {
            if let Rows::Scaled { scales, zeros } = call.rows {
                for t in 0..T {
                    let tile = row / TILE_ROWS + t;
                    let at = (tile * groups + g) * TILE_ROWS + row % TILE_ROWS;
                    scale[t] = simd.load_half(scales.as_ptr().add(at));
                    if let Some(zeros) = zeros {
                        zero[t] = simd.load_half(zeros.as_ptr().add(at));
                    }
                }
            }
            for (i, scores) in scores.iter_mut().enumerate() {
                let less = call.meaning.origin.map(|by| source.shifted(i, g, by));
                let products = sums.of(simd, i, less);
                let query = simd.splat(source.scale(i, g));
                let (zeros, weighted) = match call.rows {
                    Rows::Scaled { zeros: Some(_), .. } => {
                        (true, simd.splat(source.weighted(i, g)))
                    }
                    _ => (false, query),
                };
                for t in 0..T {
                    scores[t] = simd.fma(simd.mul(products[t], scale[t]), query, scores[t]);
                    if zeros {
                        scores[t] = simd.fma(zero[t], weighted, scores[t]);
                    }
                }
                if let Rows::Plain { start } = call.rows {
                    let start = simd.splat(start[self.query + i]);
                    for score in scores {
                        *score = simd.add(*score, start);
                    }
                }
            }
        }
    }
}
