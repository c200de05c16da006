//! Encoding: the arithmetic of the reference, a vector of values at a time.
//!
//! Groups are taken by sixteen: their smallest and largest values are found first, or the sums of
//! their squares, then scales and zero points of all sixteen are computed at once, then their
//! codes, a byte each. Bytes are packed last, densely for rows and plane by plane for tiles.

mod float;
mod grid;
pub(super) mod lines;
mod measure;

use super::simd::{F8, Kernel, Simd};
use grid::{BATCH, Levels, Steps};
use half::f16;
use measure::Measures;
use smartkv_core::packed::{tile_bytes, tiled};
use smartkv_core::{Axis, Bits, Format, Role, RowsMut, TILE_ROWS, pack};

/// Whether the vector kernels encode rows of this shape.
pub(super) fn takes(format: Format, head_dim: usize) -> bool {
    let group = format.group(head_dim);
    format.check(head_dim).is_ok() && format.axis == Axis::Channels && group.is_multiple_of(8)
}

/// Whether the vector kernels encode and decode tiles of this shape.
pub(super) fn takes_tiles(format: Format, head_dim: usize) -> bool {
    let whole = format.axis == Axis::Tokens || format.group(head_dim).is_multiple_of(8);
    whole && tiled(format, head_dim) && format.check(head_dim).is_ok()
}

/// [`smartkv_core::Kernels::encode`] of a shape that [`takes`] accepts.
pub(super) fn rows<S: Simd>(simd: S, format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
    assert!(takes(format, head_dim), "{format}, head_dim {head_dim}");
    assert!(x.len().is_multiple_of(head_dim), "whole rows");
    match format.bits {
        Bits::F8 => return simd.vectorize(float::Narrow::<F8>(x, out.payload)),
        Bits::F16 => return simd.vectorize(float::Narrow::<16>(x, out.payload)),
        _ => {}
    }
    let group = format.group(head_dim);
    let payload = grow(out.payload, x.len() / 8 * format.bits.count(), 0);
    let scales = grow(out.scales, x.len() / group, f16::ZERO);
    let stored = if format.symmetric { 0 } else { x.len() / group };
    let zeros = grow(out.zeros, stored, f16::ZERO);
    let call = EncodeRows {
        levels: &Levels::of(format),
        bits: format.bits,
        group,
        x,
        payload,
        scales,
        zeros,
    };
    if group.is_multiple_of(S::LANES) {
        simd.vectorize(call);
    } else {
        simd.narrow().vectorize(call);
    }
}

/// [`smartkv_core::Kernels::encode_tiles`] of a shape that [`takes_tiles`] accepts.
pub(super) fn tiles<S: Simd>(
    simd: S,
    format: Format,
    role: Role,
    head_dim: usize,
    x: &[f32],
    out: RowsMut<'_>,
) {
    assert!(takes_tiles(format, head_dim), "{format}, {head_dim}");
    // Blocks hold whole tiles.
    let together = TILE_ROWS.max(format.block_rows());
    assert!(
        x.len().is_multiple_of(together * head_dim),
        "rows by {together}"
    );
    let rows = x.len() / head_dim;
    let (tiles, blocks) = (rows / TILE_ROWS, rows / format.block_rows());
    let call = EncodeTiles {
        levels: &Levels::of(format),
        format,
        role,
        head_dim,
        x,
        payload: grow(out.payload, tiles * tile_bytes(format.bits, head_dim), 0),
        scales: grow(out.scales, blocks * format.scales(head_dim), f16::ZERO),
        zeros: grow(out.zeros, blocks * format.zeros(head_dim), f16::ZERO),
    };
    let narrow = format.axis == Axis::Channels && !format.group(head_dim).is_multiple_of(S::LANES);
    match (format.bits, narrow) {
        (Bits::B2, false) => simd.vectorize(Planes::<2>(call)),
        (Bits::B3, false) => simd.vectorize(Planes::<3>(call)),
        (Bits::B4, false) => simd.vectorize(Planes::<4>(call)),
        (Bits::B2, true) => simd.narrow().vectorize(Planes::<2>(call)),
        (Bits::B3, true) => simd.narrow().vectorize(Planes::<3>(call)),
        (Bits::B4, true) => simd.narrow().vectorize(Planes::<4>(call)),
        (_, false) => simd.vectorize(Planes::<8>(call)),
        (_, true) => simd.narrow().vectorize(Planes::<8>(call)),
    }
}

/// Appends `count` values to a buffer, and gives them.
fn grow<T: Copy>(buffer: &mut Vec<T>, count: usize, value: T) -> &mut [T] {
    let start = buffer.len();
    buffer.resize(start + count, value);
    &mut buffer[start..]
}

/// Groups of neighbouring values, one after another.
struct EncodeRows<'a> {
    levels: &'a Levels,
    bits: Bits,
    group: usize,
    x: &'a [f32],
    payload: &'a mut [u8],
    scales: &'a mut [f16],
    zeros: &'a mut [f16],
}

impl Kernel for EncodeRows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            levels,
            bits,
            group,
            x,
            payload,
            scales,
            zeros,
        } = self;
        let mut codes = vec![0; (BATCH * group).min(x.len())];
        let batches = x.chunks(BATCH * group);
        let batches = batches.zip(payload.chunks_mut(BATCH * group / 8 * bits.count()));
        for (batch, (x, payload)) in batches.enumerate() {
            let count = x.len() / group;
            let mut measures = Measures::NONE;
            for (i, x) in x.chunks_exact(group).enumerate() {
                measures.group(simd, levels, i, x);
            }
            let steps = Steps::of(simd, levels, &measures);
            let first = batch * BATCH;
            scales[first..first + count].copy_from_slice(&steps.scales[..count]);
            if !zeros.is_empty() {
                zeros[first..first + count].copy_from_slice(&steps.zeros[..count]);
            }
            let codes = &mut codes[..x.len()];
            for (i, x) in x.chunks_exact(group).enumerate() {
                let codes = &mut codes[i * group..(i + 1) * group];
                along(simd, levels, x, steps.step[i], steps.origin[i], codes);
            }
            pack::pack_into(bits, codes, payload);
        }
    }
}

/// Whole tiles, and blocks of them.
struct EncodeTiles<'a> {
    levels: &'a Levels,
    format: Format,
    role: Role,
    head_dim: usize,
    x: &'a [f32],
    payload: &'a mut [u8],
    scales: &'a mut [f16],
    zeros: &'a mut [f16],
}

/// [`EncodeTiles`] for one width of codes.
struct Planes<'a, const BITS: usize>(EncodeTiles<'a>);

impl<const BITS: usize> Kernel for Planes<'_, BITS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let EncodeTiles {
            levels,
            format,
            role,
            head_dim,
            x,
            payload,
            scales,
            zeros,
        } = self.0;
        let rows = TILE_ROWS.max(format.block_rows());
        let per_block = match format.axis {
            Axis::Channels => TILE_ROWS * format.scales(head_dim),
            Axis::Tokens => head_dim,
        };
        let bytes = tile_bytes(format.bits, head_dim);
        let mut codes = vec![0; rows * head_dim];
        let blocks = x.chunks_exact(rows * head_dim);
        let blocks = blocks.zip(payload.chunks_exact_mut(rows / TILE_ROWS * bytes));
        for (index, ((x, payload), scales)) in
            blocks.zip(scales.chunks_exact_mut(per_block)).enumerate()
        {
            let zeros = match zeros.is_empty() {
                true => &mut [][..],
                false => &mut zeros[index * per_block..(index + 1) * per_block],
            };
            match format.axis {
                Axis::Channels => {
                    let group = format.group(head_dim);
                    channels(simd, levels, group, x, &mut codes, scales, zeros);
                }
                Axis::Tokens => tokens(simd, levels, head_dim, x, &mut codes, scales, zeros),
            }
            let tiles = codes.chunks_exact(TILE_ROWS * head_dim);
            for (codes, payload) in tiles.zip(payload.chunks_exact_mut(bytes)) {
                lines::pack::<BITS>(role, codes, payload);
            }
        }
    }
}

/// One tile with groups of channels: 16 scales a group, one a row.
#[inline(always)]
fn channels<S: Simd>(
    simd: S,
    levels: &Levels,
    group: usize,
    x: &[f32],
    codes: &mut [u8],
    scales: &mut [f16],
    zeros: &mut [f16],
) {
    let head_dim = x.len() / TILE_ROWS;
    for (g, scales) in scales.chunks_exact_mut(BATCH).enumerate() {
        let part = |t: usize| t * head_dim + g * group..t * head_dim + (g + 1) * group;
        let mut measures = Measures::NONE;
        for t in 0..TILE_ROWS {
            measures.group(simd, levels, t, &x[part(t)]);
        }
        let steps = Steps::of(simd, levels, &measures);
        scales.copy_from_slice(&steps.scales);
        if !zeros.is_empty() {
            zeros[g * BATCH..(g + 1) * BATCH].copy_from_slice(&steps.zeros);
        }
        for t in 0..TILE_ROWS {
            let (step, origin) = (steps.step[t], steps.origin[t]);
            along(simd, levels, &x[part(t)], step, origin, &mut codes[part(t)]);
        }
    }
}

/// One block with groups of tokens: a scale a channel.
#[inline(always)]
fn tokens<S: Simd>(
    simd: S,
    levels: &Levels,
    head_dim: usize,
    x: &[f32],
    codes: &mut [u8],
    scales: &mut [f16],
    zeros: &mut [f16],
) {
    assert!(BATCH.is_multiple_of(S::LANES) && head_dim.is_multiple_of(BATCH));
    assert!(x.len() >= head_dim && codes.len() == x.len());
    for (c, scales) in scales.chunks_exact_mut(BATCH).enumerate() {
        let c = c * BATCH;
        let measures = Measures::channels(simd, levels, x, head_dim, c);
        let steps = Steps::of(simd, levels, &measures);
        scales.copy_from_slice(&steps.scales);
        if !zeros.is_empty() {
            zeros[c..c + BATCH].copy_from_slice(&steps.zeros);
        }
        for j in (0..BATCH).step_by(S::LANES) {
            // SAFETY: every row has `head_dim` values and codes, of which `c + BATCH` are no more;
            // the arrays hold `BATCH`.
            unsafe {
                let step = simd.load(steps.step.as_ptr().add(j));
                let origin = simd.load(steps.origin.as_ptr().add(j));
                let codes = codes.chunks_exact_mut(head_dim);
                for (row, codes) in x.chunks_exact(head_dim).zip(codes) {
                    let v = simd.load(row.as_ptr().add(c + j));
                    let level = levels.level(simd, v, step, origin);
                    simd.store_codes(codes.as_mut_ptr().add(c + j), level);
                }
            }
        }
    }
}

/// Codes of a group of neighbouring values.
#[inline(always)]
fn along<S: Simd>(simd: S, levels: &Levels, x: &[f32], step: f32, origin: f32, codes: &mut [u8]) {
    assert!(x.len().is_multiple_of(S::LANES) && codes.len() == x.len());
    let (step, origin) = (simd.splat(step), simd.splat(origin));
    for at in (0..x.len()).step_by(S::LANES) {
        // SAFETY: both slices hold a vector from `at` on.
        unsafe {
            let level = levels.level(simd, simd.load(x.as_ptr().add(at)), step, origin);
            simd.store_codes(codes.as_mut_ptr().add(at), level);
        }
    }
}
