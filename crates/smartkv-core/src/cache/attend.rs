//! Attention over everything a lane holds, as mergeable online-softmax partials.
//!
//! The rows of a lane are numbered tiers first, window last, and cut into blocks that do not cut
//! a packed tile; the queries of a step are cut into tiles of their own. One work item is (lane, tile, block). Cuts depend on shapes only,
//! and partials merge in order, so results do not depend on the number of threads.

use super::lane::Lane;
use super::segment::Segment;
use crate::kernels::{Digits, Kernels};
use rayon::prelude::*;

/// Tokens of a query tile.
const TILE_TOKENS: usize = 32;
/// Rows of a block while decoding: small enough to spread few lanes over threads.
const DECODE_BLOCK: usize = 512;
/// Rows of a block in prefill: scores of a tile fit the second-level cache.
const PREFILL_BLOCK: usize = 1024;
/// Below this many (row, query) pairs a step is computed on the calling thread.
const SERIAL_PAIRS: usize = 1024;

/// The queries of one lane in one step: `[tokens, group, head_dim]`, scaled and rotated.
pub(super) struct LaneQueries<'a> {
    pub(super) q: &'a [f32],
    /// Tokens in this step.
    pub(super) tokens: usize,
    /// Query heads of the lane.
    pub(super) group: usize,
    pub(super) head_dim: usize,
    /// Newest tokens whose attention is observed.
    pub(super) watched: usize,
}

/// What attention returns for one lane.
#[derive(Debug, Default)]
pub(super) struct LaneOutput {
    /// `[tokens, group, head_dim]`, still rotated.
    pub(super) out: Vec<f32>,
    /// Per row, in attention order: mean probability over watched queries that see it.
    pub(super) mass: Vec<f32>,
    /// Per row: watched queries that see it.
    pub(super) visible: Vec<u32>,
}

/// One work item's result: per query a maximum, a sum and an unnormalised output.
struct Partial {
    max: Vec<f32>,
    sum: Vec<f32>,
    acc: Vec<f32>,
    /// Unnormalised probabilities `[queries, rows]`, kept for watched tiles only.
    p: Vec<f32>,
}

struct Item {
    lane: usize,
    tile: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
}

/// Attends for several lanes at once.
pub(super) fn attend(
    kernels: &dyn Kernels,
    lanes: &[&Lane],
    queries: &[LaneQueries<'_>],
) -> Vec<LaneOutput> {
    let items = cut(lanes, queries);
    let work: usize = items
        .iter()
        .map(|i| i.rows.len() * i.tile.len() * queries[i.lane].group)
        .sum();
    let compute = |item: &Item| partial(kernels, lanes[item.lane], &queries[item.lane], item);
    let partials: Vec<Partial> = if work <= SERIAL_PAIRS {
        items.iter().map(compute).collect()
    } else {
        items.par_iter().map(compute).collect()
    };

    let mut outputs: Vec<LaneOutput> = lanes
        .iter()
        .zip(queries)
        .map(|(lane, q)| empty_output(lane, q))
        .collect();
    // Items of one (lane, tile) are neighbours.
    let mut start = 0;
    while start < items.len() {
        let (lane, tile) = (items[start].lane, items[start].tile.clone());
        let same = |item: &&Item| item.lane == lane && item.tile == tile;
        let end = start + items[start..].iter().take_while(same).count();
        merge(
            &items[start..end],
            &partials[start..end],
            &queries[lane],
            &mut outputs[lane],
        );
        start = end;
    }
    for (output, q) in outputs.iter_mut().zip(queries) {
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        for (mass, &visible) in output.mass.iter_mut().zip(&output.visible) {
            *mass /= visible as f32 * q.group as f32;
        }
    }
    outputs
}

fn cut(lanes: &[&Lane], queries: &[LaneQueries<'_>]) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, (lane, q)) in lanes.iter().zip(queries).enumerate() {
        let block = if q.tokens == 1 {
            DECODE_BLOCK
        } else {
            PREFILL_BLOCK
        };
        let len = lane.len();
        for first in (0..q.tokens).step_by(TILE_TOKENS) {
            let tile = first..(first + TILE_TOKENS).min(q.tokens);
            // The step's own tokens are the last rows of the window: those after the tile are
            // invisible to all of it.
            let end = len - (q.tokens - tile.end);
            let mut row = 0;
            while row < end {
                let next = lane.cut_at(row + block).min(end);
                items.push(Item {
                    lane: index,
                    tile: tile.clone(),
                    rows: row..next,
                });
                row = next;
            }
        }
    }
    items
}

fn partial(kernels: &dyn Kernels, lane: &Lane, q: &LaneQueries<'_>, item: &Item) -> Partial {
    let width = item.rows.len();
    let queries = item.tile.len() * q.group;
    let tile = &q.q[item.tile.start * q.group * q.head_dim..][..queries * q.head_dim];
    let mut p = vec![0.0; queries * width];
    // Tiers mostly share their grouping, and with it the digits of the queries.
    let mut digits: Option<(usize, Digits)> = None;
    for (segment, rows, offset) in pieces(lane, &item.rows) {
        let format = segment.k.format();
        let group = format.group(q.head_dim);
        if digits.as_ref().is_none_or(|(of, _)| *of != group) {
            digits = Some((group, kernels.digits(format, q.head_dim, tile)));
        }
        if let Some((_, digits)) = &digits {
            segment
                .k
                .scores(kernels, rows, tile, digits, &mut p[offset..], width);
        }
    }
    let len = lane.len();
    let mut partial = Partial {
        max: Vec::with_capacity(queries),
        sum: Vec::with_capacity(queries),
        acc: vec![0.0; queries * q.head_dim],
        p: Vec::new(),
    };
    for (index, row) in p.chunks_exact_mut(width).enumerate() {
        let token = item.tile.start + index / q.group;
        // Token i of the step sees every row but those of the tokens after it.
        let seen = (len - (q.tokens - 1 - token))
            .saturating_sub(item.rows.start)
            .min(width);
        row[seen..].fill(0.0);
        let (max, sum) = kernels.softmax_part(&mut row[..seen]);
        partial.max.push(max);
        partial.sum.push(sum);
    }
    for (segment, rows, offset) in pieces(lane, &item.rows) {
        segment
            .v
            .mix(kernels, rows, &p[offset..], width, &mut partial.acc);
    }
    if item.tile.end > q.tokens - q.watched {
        partial.p = p;
    }
    partial
}

/// The parts of segments that a range of rows covers, with their offset in the range.
fn pieces<'a>(
    lane: &'a Lane,
    rows: &std::ops::Range<usize>,
) -> impl Iterator<Item = (&'a Segment, std::ops::Range<usize>, usize)> {
    let (start, end) = (rows.start, rows.end);
    let mut first = 0;
    lane.segments().filter_map(move |segment| {
        let begin = first;
        first += segment.len();
        let (from, to) = (start.max(begin), end.min(first));
        (from < to).then(|| (segment, from - begin..to - begin, from - start))
    })
}

fn empty_output(lane: &Lane, q: &LaneQueries<'_>) -> LaneOutput {
    let mut output = LaneOutput {
        out: vec![0.0; q.tokens * q.group * q.head_dim],
        ..LaneOutput::default()
    };
    if q.watched > 0 {
        let len = lane.len();
        output.mass = vec![0.0; len];
        let own = len - q.tokens;
        output.visible = (0..len)
            .map(|row| {
                let watched = q.watched.min(q.tokens);
                // Row of the step's token j is seen by tokens j ..: the watched ones among them.
                let after = q.tokens - row.saturating_sub(own);
                u32::try_from(watched.min(after)).unwrap_or(u32::MAX)
            })
            .collect();
    }
    output
}

/// Joins the partials of one tile: the merge is exact, `exp` of the shared maximum apart.
fn merge(items: &[Item], partials: &[Partial], q: &LaneQueries<'_>, output: &mut LaneOutput) {
    let tile = &items[0].tile;
    for index in 0..tile.len() * q.group {
        let max = partials
            .iter()
            .map(|p| p.max[index])
            .fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = partials
            .iter()
            .map(|p| (p.max[index] - max).exp())
            .collect();
        let sum: f32 = partials
            .iter()
            .zip(&weights)
            .map(|(p, w)| p.sum[index] * w)
            .sum();
        let out = &mut output.out[(tile.start * q.group + index) * q.head_dim..][..q.head_dim];
        for (partial, weight) in partials.iter().zip(&weights) {
            let factor = weight / sum;
            let acc = &partial.acc[index * q.head_dim..][..q.head_dim];
            for (o, a) in out.iter_mut().zip(acc) {
                *o += factor * a;
            }
        }
        let token = tile.start + index / q.group;
        if token + q.watched >= q.tokens {
            for ((item, partial), weight) in items.iter().zip(partials).zip(&weights) {
                let factor = weight / sum;
                let p = &partial.p[index * item.rows.len()..][..item.rows.len()];
                for (mass, p) in output.mass[item.rows.clone()].iter_mut().zip(p) {
                    *mass += factor * p;
                }
            }
        }
    }
}
