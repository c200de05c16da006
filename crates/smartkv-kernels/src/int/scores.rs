//! Scores of queries against tiles of keys.

use super::digits::Split;
use super::product::{Call, Rows};
use super::{Integers, Kernel, Meaning, check, scratch, split_queries};
use half::f16;
use smartkv_core::packed::tile_bytes;
use smartkv_core::{Axis, Digits, Queries, Role, TILE_ROWS, Tiles};

/// See [`smartkv_core::Kernels::score_tiles`].
pub(crate) fn scores<S: Integers>(
    simd: S,
    keys: Tiles<'_>,
    q: Queries<'_>,
    out: &mut [f32],
    stride: usize,
) {
    check(&keys, Role::Keys);
    let (head_dim, rows) = (keys.head_dim, keys.count * TILE_ROWS);
    let n = q.values.len() / head_dim;
    assert_eq!(q.values.len(), n * head_dim, "whole queries");
    if n == 0 || rows == 0 {
        return;
    }
    assert!(
        n == 1 || stride >= rows,
        "stride {stride} for {rows} scores"
    );
    assert!(out.len() >= (n - 1) * stride + rows, "scores: too short");
    if keys.format.axis == Axis::Tokens {
        return by_blocks(simd, keys, q.values, out, stride);
    }
    let mut made = Digits::default();
    let q = if q.high.is_empty() {
        split_queries(simd, keys.format, head_dim, q.values, &mut made);
        made.all(q.values)
    } else {
        q
    };
    let call = Call {
        head_dim,
        group: keys.format.group(head_dim),
        meaning: Meaning::of(keys.format),
        high: q.high,
        low: q.low,
        scale: q.scale,
        sum: q.sum,
        rows: Rows::Scaled {
            scales: keys.scales,
            zeros: (!keys.format.symmetric).then_some(keys.zeros),
        },
        codes: keys.payload,
        count: keys.count,
        out,
        stride,
    };
    call.run(simd, keys.format);
}

/// Keys whose scales are those of channels: they are made part of the queries, block after block.
fn by_blocks<S: Integers>(simd: S, keys: Tiles<'_>, q: &[f32], out: &mut [f32], stride: usize) {
    let head_dim = keys.head_dim;
    let n = q.len() / head_dim;
    let block = keys.format.block_rows();
    let tiles = block / TILE_ROWS;
    let bytes = tiles * tile_bytes(keys.format.bits, head_dim);
    let needed = scratch::vectors::<f32>(q.len())
        + 2 * scratch::vectors::<i8>(q.len())
        + 3 * scratch::vectors::<f32>(n);
    scratch::with(needed, |mut scratch| {
        let scaled = scratch.take::<f32>(q.len());
        let (high, low) = (scratch.take::<i8>(q.len()), scratch.take::<i8>(q.len()));
        let (scale, sum) = (scratch.take::<f32>(n), scratch.take::<i32>(n));
        let start = scratch.take::<f32>(n);
        for at in 0..keys.count / tiles {
            let channels = at * head_dim..(at + 1) * head_dim;
            let zeros = (!keys.format.symmetric).then(|| &keys.zeros[channels.clone()]);
            simd.vectorize(Fold {
                scales: &keys.scales[channels],
                zeros,
                q,
                scaled,
                start,
            });
            simd.vectorize(Split {
                group: head_dim,
                q: scaled,
                high,
                low,
                scale,
                sum,
            });
            let call = Call {
                head_dim,
                group: head_dim,
                meaning: Meaning::of(keys.format),
                high,
                low,
                scale,
                sum,
                rows: Rows::Plain { start },
                codes: &keys.payload[at * bytes..(at + 1) * bytes],
                count: tiles,
                out: &mut out[at * block..],
                stride,
            };
            call.run(simd, keys.format);
        }
    });
}

/// Multiplies queries by the scales of channels, and sums up what the zero points add.
struct Fold<'a> {
    scales: &'a [f16],
    zeros: Option<&'a [f16]>,
    q: &'a [f32],
    scaled: &'a mut [f32],
    start: &'a mut [f32],
}

impl Kernel for Fold<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        let head_dim = self.scales.len();
        assert!(head_dim.is_multiple_of(TILE_ROWS), "whole vectors");
        assert!(self.zeros.is_none_or(|zeros| zeros.len() == head_dim));
        let queries = self.q.chunks_exact(head_dim);
        let scaled = self.scaled.chunks_exact_mut(head_dim);
        for ((q, scaled), start) in queries.zip(scaled).zip(self.start) {
            let mut sum = simd.splat(0.0);
            for c in (0..head_dim).step_by(S::LANES) {
                // SAFETY: all have `head_dim` entries, a multiple of the lanes.
                unsafe {
                    let query = simd.load(q.as_ptr().add(c));
                    let scale = simd.load_half(self.scales.as_ptr().add(c));
                    simd.store(scaled.as_mut_ptr().add(c), simd.mul(query, scale));
                    if let Some(zeros) = self.zeros {
                        sum = simd.fma(query, simd.load_half(zeros.as_ptr().add(c)), sum);
                    }
                }
            }
            *start = simd.total(sum);
        }
    }
}
