//! Attention over everything a lane holds, as mergeable online-softmax partials.
//!
//! The rows of a lane are numbered tiers first, window last, and cut into blocks that do not cut
//! a packed tile; the queries of a step are cut into tiles of their own. One work item is (lane,
//! tile, block). Cuts depend on shapes only, and partials merge in order, so results do not
//! depend on the number of threads. All buffers are kept from step to step.

use super::lane::Lane;
use super::segment::Segment;
use crate::kernels::{Digits, Kernels};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Tokens of a query tile.
const TILE_TOKENS: usize = 32;
/// Rows of a block while decoding: small enough to spread few lanes over threads.
const DECODE_BLOCK: usize = 512;
/// Rows of a block in prefill: scores of a tile fit the second-level cache.
const PREFILL_BLOCK: usize = 1024;
/// Below this many (row, query) pairs a step is computed on the calling thread.
const SERIAL_PAIRS: usize = 1024;

/// One lane's part of a step: what goes in, and what comes out.
#[derive(Debug, Clone, Default)]
pub(super) struct LaneStep {
    /// Queries `[tokens, group, head_dim]`, scaled and rotated.
    pub(super) q: Vec<f32>,
    /// The step's keys and values, rotated.
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    /// Tokens in this step.
    pub(super) tokens: usize,
    /// Newest tokens whose attention is observed.
    pub(super) watched: usize,
    /// `[tokens, group, head_dim]`, still rotated.
    pub(super) out: Vec<f32>,
    /// Per row, in attention order: attention summed over query heads and watched queries.
    pub(super) mass: Vec<f32>,
    /// Digits of the queries for each grouping among the lane's tiers.
    digits: Vec<(usize, Digits)>,
}

/// Buffers of a step, reused by the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// One entry per lane of a layer.
    pub(super) lanes: Vec<LaneStep>,
    items: Vec<Item>,
    partials: Partials<Vec<f32>>,
}

/// Results of work items, one after another. Per query a maximum and a sum, an unnormalised
/// output, and for watched tiles the unnormalised probabilities `[queries, rows]`.
#[derive(Debug, Clone, Default)]
struct Partials<B> {
    max: B,
    sum: B,
    acc: B,
    p: B,
}

/// Part of a step, and where its results begin in [`Partials`].
#[derive(Debug, Clone)]
struct Item {
    lane: usize,
    /// Tokens of the step.
    tile: Range<usize>,
    /// Rows of the lane.
    rows: Range<usize>,
    /// First of the item's queries among those of all items.
    query: usize,
    /// First of its kept probabilities, and whether it keeps any.
    p: usize,
    kept: bool,
}

/// Heads and channels, the same for all lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// Query heads of a lane.
    pub(super) group: usize,
    pub(super) head_dim: usize,
}

/// Attends for the lanes of a layer that have tokens in this step.
pub(super) fn attend(kernels: &dyn Kernels, lanes: &[Lane], heads: Heads, scratch: &mut Scratch) {
    let Scratch {
        lanes: steps,
        items,
        partials,
    } = scratch;
    cut(lanes, steps, heads, items, partials);
    let work: usize = items
        .iter()
        .map(|i| i.rows.len() * i.tile.len() * heads.group)
        .sum();
    for (step, lane) in steps.iter_mut().zip(lanes) {
        step.prepare(kernels, lane, heads);
    }
    let call = Call {
        kernels,
        lanes,
        steps,
        heads,
        parallel: work > SERIAL_PAIRS,
    };
    call.run(items, partials.slices());

    let partials = &*partials;
    let finish = |(index, step): (usize, &mut LaneStep)| {
        let start = items.partition_point(|item| item.lane < index);
        let end = items.partition_point(|item| item.lane <= index);
        step.merge(lanes[index].len(), &items[start..end], partials, heads);
    };
    if work > 8 * SERIAL_PAIRS {
        steps.par_iter_mut().enumerate().for_each(finish);
    } else {
        steps.iter_mut().enumerate().for_each(finish);
    }
}

fn cut(
    lanes: &[Lane],
    steps: &[LaneStep],
    heads: Heads,
    items: &mut Vec<Item>,
    partials: &mut Partials<Vec<f32>>,
) {
    items.clear();
    let (mut query, mut p) = (0, 0);
    for (index, (lane, step)) in lanes.iter().zip(steps).enumerate() {
        let block = if step.tokens == 1 {
            DECODE_BLOCK
        } else {
            PREFILL_BLOCK
        };
        let len = lane.len();
        for first in (0..step.tokens).step_by(TILE_TOKENS) {
            let tile = first..(first + TILE_TOKENS).min(step.tokens);
            let kept = tile.end > step.tokens - step.watched;
            let queries = tile.len() * heads.group;
            // The step's own tokens are the last rows of the window: those after the tile are
            // invisible to all of it.
            let end = len - (step.tokens - tile.end);
            let mut row = 0;
            while row < end {
                let next = lane.cut_at(row + block).min(end);
                items.push(Item {
                    lane: index,
                    tile: tile.clone(),
                    rows: row..next,
                    query,
                    p,
                    kept,
                });
                query += queries;
                p += if kept { queries * (next - row) } else { 0 };
                row = next;
            }
        }
    }
    partials.max.resize(query, 0.0);
    partials.sum.resize(query, 0.0);
    partials.acc.clear();
    partials.acc.resize(query * heads.head_dim, 0.0);
    partials.p.resize(p, 0.0);
}

impl Partials<Vec<f32>> {
    fn slices(&mut self) -> Partials<&mut [f32]> {
        Partials {
            max: &mut self.max,
            sum: &mut self.sum,
            acc: &mut self.acc,
            p: &mut self.p,
        }
    }
}

impl Partials<&mut [f32]> {
    /// Splits after this many queries and kept probabilities.
    fn split(self, queries: usize, p: usize, head_dim: usize) -> (Self, Self) {
        let (max, max_rest) = self.max.split_at_mut(queries);
        let (sum, sum_rest) = self.sum.split_at_mut(queries);
        let (acc, acc_rest) = self.acc.split_at_mut(queries * head_dim);
        let (p, p_rest) = self.p.split_at_mut(p);
        let part = |max, sum, acc, p| Partials { max, sum, acc, p };
        (
            part(max, sum, acc, p),
            part(max_rest, sum_rest, acc_rest, p_rest),
        )
    }
}

/// What every work item reads.
struct Call<'a> {
    kernels: &'a dyn Kernels,
    lanes: &'a [Lane],
    steps: &'a [LaneStep],
    heads: Heads,
    parallel: bool,
}

thread_local! {
    /// Probabilities that nobody asks for afterwards.
    static PROBABILITIES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Call<'_> {
    /// Computes the items, halving them over threads.
    fn run(&self, items: &[Item], partials: Partials<&mut [f32]>) {
        match items {
            [] => {}
            [item] if item.kept => {
                let Partials { max, sum, acc, p } = partials;
                self.compute(item, max, sum, acc, p);
            }
            [item] => PROBABILITIES.with_borrow_mut(|p| {
                p.resize(item.rows.len() * item.tile.len() * self.heads.group, 0.0);
                let Partials { max, sum, acc, .. } = partials;
                self.compute(item, max, sum, acc, p);
            }),
            _ => {
                let (left, right) = items.split_at(items.len() / 2);
                let (queries, p) = (right[0].query - left[0].query, right[0].p - left[0].p);
                let (first, second) = partials.split(queries, p, self.heads.head_dim);
                if self.parallel {
                    rayon::join(|| self.run(left, first), || self.run(right, second));
                } else {
                    self.run(left, first);
                    self.run(right, second);
                }
            }
        }
    }

    fn compute(
        &self,
        item: &Item,
        max: &mut [f32],
        sum: &mut [f32],
        acc: &mut [f32],
        p: &mut [f32],
    ) {
        let Heads { group, head_dim } = self.heads;
        let (lane, step) = (&self.lanes[item.lane], &self.steps[item.lane]);
        let width = item.rows.len();
        let queries = item.tile.start * group..item.tile.end * group;
        for (segment, rows, offset) in pieces(lane, &item.rows) {
            let q = step.queries(segment, head_dim, queries.clone());
            let out = &mut p[offset..];
            segment.k.scores(self.kernels, rows, q, out, width);
        }
        let len = lane.len();
        for (index, row) in p.chunks_exact_mut(width).enumerate() {
            let token = item.tile.start + index / group;
            // Token i of the step sees every row but those of the tokens after it.
            let seen = (len - (step.tokens - 1 - token))
                .saturating_sub(item.rows.start)
                .min(width);
            row[seen..].fill(0.0);
            (max[index], sum[index]) = self.kernels.softmax_part(&mut row[..seen]);
        }
        for (segment, rows, offset) in pieces(lane, &item.rows) {
            segment.v.mix(self.kernels, rows, &p[offset..], width, acc);
        }
    }
}

/// The parts of segments that a range of rows covers, with their offset in the range.
fn pieces<'a>(
    lane: &'a Lane,
    rows: &Range<usize>,
) -> impl Iterator<Item = (&'a Segment, Range<usize>, usize)> {
    let (start, end) = (rows.start, rows.end);
    let mut first = 0;
    lane.segments().filter_map(move |segment| {
        let begin = first;
        first += segment.len();
        let (from, to) = (start.max(begin), end.min(first));
        (from < to).then(|| (segment, from - begin..to - begin, from - start))
    })
}

impl LaneStep {
    /// Splits the queries into digits, once for each grouping in use.
    fn prepare(&mut self, kernels: &dyn Kernels, lane: &Lane, heads: Heads) {
        self.digits.clear();
        for segment in lane.segments() {
            let format = segment.k.format();
            let group = format.group(heads.head_dim);
            let known = self.digits.iter().any(|(of, _)| *of == group);
            if !known && !segment.is_empty() && !format.bits.is_float() {
                let digits = kernels.digits(format, heads.head_dim, &self.q);
                self.digits.push((group, digits));
            }
        }
    }

    fn queries(
        &self,
        segment: &Segment,
        head_dim: usize,
        queries: Range<usize>,
    ) -> crate::kernels::Queries<'_> {
        let group = segment.k.format().group(head_dim);
        let digits = self.digits.iter().find(|(of, _)| *of == group);
        match digits {
            Some((_, digits)) => digits.rows(&self.q, head_dim, queries),
            None => Digits::NONE.rows(&self.q, head_dim, queries),
        }
    }

    /// Joins the partials of every tile: the merge is exact, `exp` of the shared maximum apart.
    fn merge(&mut self, len: usize, items: &[Item], partials: &Partials<Vec<f32>>, heads: Heads) {
        let Heads { group, head_dim } = heads;
        self.out.clear();
        self.out.resize(self.tokens * group * head_dim, 0.0);
        self.mass.clear();
        self.mass
            .resize(if self.watched > 0 { len } else { 0 }, 0.0);
        let mut factors = [0.0; MERGED];
        let mut rest = items;
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|item| item.tile == first.tile);
            let (blocks, others) = rest.split_at(same.count());
            rest = others;
            for index in 0..first.tile.len() * group {
                let max = blocks
                    .iter()
                    .map(|item| partials.max[item.query + index])
                    .fold(f32::NEG_INFINITY, f32::max);
                let weight = |item: &Item| (partials.max[item.query + index] - max).exp();
                let sum: f32 = blocks
                    .iter()
                    .map(|item| partials.sum[item.query + index] * weight(item))
                    .sum();
                let token = first.tile.start + index / group;
                let watched = token + self.watched >= self.tokens;
                let out = (first.tile.start * group + index) * head_dim;
                let out = &mut self.out[out..out + head_dim];
                for blocks in blocks.chunks(MERGED) {
                    for (factor, item) in factors.iter_mut().zip(blocks) {
                        *factor = weight(item) / sum;
                    }
                    for (item, factor) in blocks.iter().zip(factors) {
                        let acc = &partials.acc[(item.query + index) * head_dim..][..head_dim];
                        add_scaled(out, factor, acc);
                        if watched {
                            let width = item.rows.len();
                            let p = &partials.p[item.p + index * width..][..width];
                            add_scaled(&mut self.mass[item.rows.clone()], factor, p);
                        }
                    }
                }
            }
        }
    }
}

/// Blocks whose factors are computed together.
const MERGED: usize = 16;

/// `to += factor * from`.
fn add_scaled(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}
