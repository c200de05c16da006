//! Attention over everything a lane holds, as mergeable online-softmax partials.
//!
//! The rows of a lane are numbered tiers first, window last, and cut into blocks that do not cut
//! a packed tile; the queries of a step are cut into tiles of their own. One work item is (lane,
//! tile, block). Cuts depend on shapes only, and partials merge in order, so results do not
//! depend on the number of threads. All buffers are kept from step to step.

use super::lane::Lane;
use super::pages::PageBounds;
use super::segment::Segment;
use super::visible::Limits;
use super::watched::Watched;
use crate::kernels::{Digits, Kernels};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Tokens of a query tile.
const TILE_TOKENS: usize = 32;
/// Rows of a block while decoding: small enough to spread few lanes over threads, and for the
/// scores of a group of queries to stay in the first-level cache.
const DECODE_BLOCK: usize = 1024;
/// Rows of a block in prefill: scores of a tile fit the second-level cache.
const PREFILL_BLOCK: usize = 1024;
/// Below this many (row, query) pairs a step is computed on the calling thread.
const SERIAL_PAIRS: usize = 1024;
/// Up to this many pages are chosen from on the calling thread.
const SERIAL_PAGES: usize = 256;
/// Up to this many numbers partials are merged on the calling thread.
const SERIAL_MERGE: usize = 8192;

/// One lane's part of a step: what goes in, and what comes out.
#[derive(Debug, Clone, Default)]
pub(super) struct LaneStep {
    /// Queries `[tokens, group, head_dim]`, scaled and rotated.
    pub(super) q: Vec<f32>,
    /// The step's keys and values, rotated.
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    /// What the scores of each query lack because of the frame, where that is not the same to
    /// the softmax; empty elsewhere.
    pub(super) offsets: Vec<f32>,
    /// Tokens in this step.
    pub(super) tokens: usize,
    /// Position of the first of them.
    pub(super) position: usize,
    /// Tokens whose attention is observed.
    pub(super) watched: Watched,
    /// `[tokens, group, head_dim]`, still rotated.
    pub(super) out: Vec<f32>,
    /// Per row, in attention order: attention summed over query heads and watched queries, and
    /// divided by the number of both.
    pub(super) mass: Vec<f32>,
    /// Rows that the step attends to; all that it may, when empty.
    runs: Vec<Range<usize>>,
    /// Digits of the queries for each grouping among the lane's tiers.
    digits: Vec<(usize, Digits)>,
    /// How many of them are of this step.
    groupings: usize,
    /// Weights of the blocks of a tile, for one query.
    weights: Vec<f32>,
    /// The same by block and query, as shares of the mass.
    shares: Vec<f32>,
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
/// output, and for watched tiles the unnormalised probabilities `[queries, rows]`, of all queries or
/// of those alone that are watched.
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
    /// First of its kept probabilities, and of how many queries it keeps any.
    p: usize,
    kept: usize,
    /// Pairs of a row and a token in the items before.
    pairs: usize,
}

impl Item {
    fn own_pairs(&self) -> usize {
        self.rows.len() * self.tile.len()
    }
}

/// Heads and channels, the same for all lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// Query heads of a lane.
    pub(super) group: usize,
    pub(super) head_dim: usize,
    pub(super) limits: Limits,
}

/// Attends for the lanes of a layer that have tokens in this step, and calls `finish` with each
/// of them.
pub(super) fn attend(
    kernels: &dyn Kernels,
    lanes: &mut [Lane],
    heads: Heads,
    scratch: &mut Scratch,
    finish: impl Fn(&mut Lane, &mut LaneStep) + Sync,
) {
    let Scratch {
        lanes: steps,
        items,
        partials,
    } = scratch;
    select(kernels, lanes, steps, heads.limits);
    cut(lanes, steps, heads, items, partials);
    for (step, lane) in steps.iter_mut().zip(&*lanes) {
        step.prepare(kernels, lane, heads);
    }
    let pairs = items.last().map_or(0, |i| i.pairs + i.own_pairs());
    let call = Call {
        kernels,
        lanes,
        steps,
        heads,
        parallel: pairs * heads.group > SERIAL_PAIRS,
    };
    call.run(items, partials.slices());

    let partials = &*partials;
    let merge = |(index, (lane, step)): (usize, (&mut Lane, &mut LaneStep))| {
        if step.tokens > 0 {
            let start = items.partition_point(|item| item.lane < index);
            let end = items.partition_point(|item| item.lane <= index);
            step.merge(kernels, lane.len(), &items[start..end], partials, heads);
            finish(lane, step);
        }
    };
    if partials.acc.len() + partials.p.len() > SERIAL_MERGE {
        let lanes = lanes.par_iter_mut().zip(steps).enumerate();
        lanes.with_max_len(1).for_each(merge);
    } else {
        lanes.iter_mut().zip(steps).enumerate().for_each(merge);
    }
}

/// Chooses the pages that steps of one token attend to, in lanes that have pages.
fn select(kernels: &dyn Kernels, lanes: &[Lane], steps: &mut [LaneStep], limits: Limits) {
    if lanes.iter().all(|lane| lane.pages().is_none()) {
        return;
    }
    let select = |(lane, step): (&Lane, &mut LaneStep)| match lane.pages() {
        // The best pages may all be behind a window.
        Some(pages) if step.tokens == 1 && limits.window.is_none() => {
            pages.select(kernels, &step.q, lane.len(), &mut step.runs);
        }
        _ => step.runs.clear(),
    };
    let bounds: usize = lanes
        .iter()
        .filter_map(Lane::pages)
        .map(PageBounds::len)
        .sum();
    if bounds > SERIAL_PAGES {
        lanes.par_iter().zip(steps).for_each(select);
    } else {
        lanes.iter().zip(steps).for_each(select);
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
    let (mut query, mut p, mut pairs) = (0, 0, 0);
    for (index, (lane, step)) in lanes.iter().zip(steps).enumerate() {
        // A decoded token has few queries: rather a longer last block than a short one.
        let (block, longest) = if step.tokens == 1 {
            (DECODE_BLOCK, DECODE_BLOCK + DECODE_BLOCK / 2)
        } else {
            (PREFILL_BLOCK, PREFILL_BLOCK)
        };
        let len = lane.len();
        for first in (0..step.tokens).step_by(TILE_TOKENS) {
            let tile = first..(first + TILE_TOKENS).min(step.tokens);
            let queries = tile.len() * heads.group;
            let kept = step.kept(&tile, heads.group);
            // The step's own tokens are the last rows of the window: those after the tile are
            // invisible to all of it.
            let end = len - (step.tokens - tile.end);
            let all = 0..end;
            let runs = if step.runs.is_empty() {
                std::slice::from_ref(&all)
            } else {
                &step.runs
            };
            for run in runs {
                let mut row = run.start;
                while row < run.end {
                    let next = if run.end - row <= longest {
                        run.end
                    } else {
                        lane.cut_at(row + block).min(run.end)
                    };
                    let item = Item {
                        lane: index,
                        tile: tile.clone(),
                        rows: row..next,
                        query,
                        p,
                        kept,
                        pairs,
                    };
                    pairs += item.own_pairs();
                    items.push(item);
                    query += queries;
                    p += kept * (next - row);
                    row = next;
                }
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
            [item] if item.kept == item.tile.len() * self.heads.group => {
                let Partials { max, sum, acc, p } = partials;
                self.compute(item, max, sum, acc, p);
            }
            [item] => PROBABILITIES.with_borrow_mut(|all| {
                all.resize(item.rows.len() * item.tile.len() * self.heads.group, 0.0);
                let Partials { max, sum, acc, p } = partials;
                self.compute(item, max, sum, acc, all);
                if item.kept > 0 {
                    self.keep(item, all, p);
                }
            }),
            _ => {
                let (left, right) = items.split_at(middle(items));
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

    /// Copies the probabilities of the watched queries of an item out of those of all.
    fn keep(&self, item: &Item, all: &[f32], p: &mut [f32]) {
        let block = item.rows.len() * self.heads.group;
        let watched = self.steps[item.lane].watched_in(&item.tile);
        for (token, p) in watched.zip(p.chunks_exact_mut(block)) {
            p.copy_from_slice(&all[(token - item.tile.start) * block..][..block]);
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
        let Heads {
            group,
            head_dim,
            limits,
        } = self.heads;
        let (lane, step) = (&self.lanes[item.lane], &self.steps[item.lane]);
        let width = item.rows.len();
        if limits.hide(lane, step, &item.rows, item.tile.start) {
            max.fill(f32::NEG_INFINITY);
            sum.fill(0.0);
            return p.fill(0.0);
        }
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
            let row = &mut row[..seen];
            limits.bound(self.kernels, step, item.tile.start * group + index, row);
            limits.mask(lane, step, &item.rows, token, row);
            (max[index], sum[index]) = self.kernels.softmax_part(row);
        }
        for (segment, rows, offset) in pieces(lane, &item.rows) {
            segment.v.mix(self.kernels, rows, &p[offset..], width, acc);
        }
    }
}

/// Where to split two items or more, so that there is about as much to do on both sides.
fn middle(items: &[Item]) -> usize {
    let last = &items[items.len() - 1];
    let half = (items[0].pairs + last.pairs + last.own_pairs()) / 2;
    let before = items.partition_point(|item| item.pairs + item.own_pairs() / 2 < half);
    before.clamp(1, items.len() - 1)
}

/// The parts of segments that a range of rows covers, with their offset in the range.
pub(super) fn pieces<'a>(
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
        self.groupings = 0;
        for segment in lane.segments() {
            let format = segment.k.format();
            if segment.is_empty() || format.bits.is_float() {
                continue;
            }
            let group = format.group(heads.head_dim);
            if self.digits().any(|(of, _)| *of == group) {
                continue;
            }
            if self.groupings == self.digits.len() {
                self.digits.push(<(usize, Digits)>::default());
            }
            let (of, digits) = &mut self.digits[self.groupings];
            *of = group;
            kernels.split_queries(format, heads.head_dim, &self.q, digits);
            self.groupings += 1;
        }
    }

    /// Of how many queries of a tile the probabilities are kept: none, or all, unless only some
    /// within it are watched.
    fn kept(&self, tile: &Range<usize>, group: usize) -> usize {
        let (others, newest) = (self.watched.others_in(tile), self.watched.newest_in(tile));
        match (others.len(), newest.len()) {
            (0, 0) => 0,
            (0, _) => tile.len() * group,
            (others, newest) => (others + newest) * group,
        }
    }

    /// Watched tokens of a tile.
    fn watched_in(&self, tile: &Range<usize>) -> impl Iterator<Item = usize> {
        let others = self.watched.others_in(tile).iter().copied();
        others.chain(self.watched.newest_in(tile))
    }

    /// Digits of this step, with their grouping.
    fn digits(&self) -> impl Iterator<Item = &(usize, Digits)> {
        self.digits[..self.groupings].iter()
    }

    fn queries(
        &self,
        segment: &Segment,
        head_dim: usize,
        queries: Range<usize>,
    ) -> crate::kernels::Queries<'_> {
        let group = segment.k.format().group(head_dim);
        let digits = self.digits().find(|(of, _)| *of == group);
        match digits {
            Some((_, digits)) => digits.rows(&self.q, head_dim, queries),
            None => Digits::NONE.rows(&self.q, head_dim, queries),
        }
    }

    /// Merges the partials of every tile.
    fn merge(
        &mut self,
        kernels: &dyn Kernels,
        len: usize,
        items: &[Item],
        partials: &Partials<Vec<f32>>,
        heads: Heads,
    ) {
        self.out.clear();
        self.out
            .resize(self.tokens * heads.group * heads.head_dim, 0.0);
        self.mass.clear();
        self.mass
            .resize(if self.watched.len() > 0 { len } else { 0 }, 0.0);
        for blocks in items.chunk_by(|a, b| a.tile == b.tile) {
            self.join(kernels, blocks, partials, heads);
        }
    }

    /// Joins the blocks of a tile: exact, `exp` of the shared maximum apart.
    fn join(
        &mut self,
        kernels: &dyn Kernels,
        blocks: &[Item],
        partials: &Partials<Vec<f32>>,
        heads: Heads,
    ) {
        let Heads {
            group, head_dim, ..
        } = heads;
        let (first, tile) = (blocks[0].query, &blocks[0].tile);
        let queries = tile.len() * group;
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let share = 1.0 / (self.watched.len().max(1) * group) as f32;
        self.shares.clear();
        self.shares.resize(blocks.len() * queries, 0.0);
        for index in 0..queries {
            let maxima = blocks.iter().map(|item| partials.max[item.query + index]);
            let max = maxima.clone().fold(f32::NEG_INFINITY, f32::max);
            self.weights.clear();
            self.weights.extend(maxima.map(|of| (of - max).exp()));
            let sums = blocks.iter().map(|item| partials.sum[item.query + index]);
            let sum: f32 = sums.zip(&self.weights).map(|(sum, w)| sum * w).sum();
            self.weights.iter_mut().for_each(|weight| *weight /= sum);
            let shares = self.shares[index..].iter_mut().step_by(queries);
            for (to, weight) in shares.zip(&self.weights) {
                *to = weight * share;
            }
            let acc = &partials.acc[(first + index) * head_dim..];
            let out = &mut self.out[(tile.start * group + index) * head_dim..][..head_dim];
            kernels.add_rows(acc, queries * head_dim, &self.weights, out);
        }
        let kept = blocks[0].kept;
        if kept == 0 {
            return;
        }
        // Those of a tile that are watched come last, or the others are left out.
        let newest = self.watched.newest_in(tile).start - tile.start;
        let sparse = !self.watched.others_in(tile).is_empty();
        let unwatched = if sparse { 0 } else { newest * group };
        for (index, item) in blocks.iter().enumerate() {
            let mut shares = &self.shares[index * queries..][..queries];
            if sparse {
                self.weights.clear();
                let others = self.watched.others_in(tile).iter().copied();
                for token in others.chain(self.watched.newest_in(tile)) {
                    let first = (token - tile.start) * group;
                    self.weights.extend(&shares[first..first + group]);
                }
                shares = &self.weights;
            }
            let width = item.rows.len();
            let p = &partials.p[item.p..][..kept * width];
            let mass = &mut self.mass[item.rows.clone()];
            kernels.add_rows(&p[unwatched * width..], width, &shares[unwatched..], mass);
        }
    }
}
