//! Plain scalar kernels: the definition of what every other implementation must compute.

use super::fp8::{f8_from_f32, f8_to_f32};
use super::{Kernels, Rows, RowsMut, Tiles};
use crate::format::{Axis, Bits, Format};
use crate::pack;
use crate::packed::{Role, TILE_ROWS, arrange, read_row, tile_bytes};
use half::f16;

/// Scalar kernels, right for every format on every machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl Kernels for Reference {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn scores(&self, keys: Rows<'_>, q: &[f32], out: &mut [f32], stride: usize) {
        let mut row = vec![0.0; keys.head_dim];
        for t in 0..keys.len {
            decode(keys.slice(t, 1), &mut row);
            for (i, query) in q.chunks_exact(keys.head_dim).enumerate() {
                out[i * stride + t] = query.iter().zip(&row).map(|(a, b)| a * b).sum();
            }
        }
    }

    fn mix(&self, values: Rows<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
        let mut row = vec![0.0; values.head_dim];
        for t in 0..values.len {
            decode(values.slice(t, 1), &mut row);
            for (i, sum) in acc.chunks_exact_mut(values.head_dim).enumerate() {
                let weight = p[i * stride + t];
                for (a, v) in sum.iter_mut().zip(&row) {
                    *a += weight * v;
                }
            }
        }
    }
}

/// See [`Kernels::softmax_part`].
pub(super) fn softmax_part(x: &mut [f32]) -> (f32, f32) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        x.fill(0.0);
        return (max, 0.0);
    }
    let mut sum = 0.0;
    for v in x {
        *v = (*v - max).exp();
        sum += *v;
    }
    (max, sum)
}

/// See [`Kernels::softcap`].
pub(super) fn softcap(x: &mut [f32], offset: f32, cap: f32) {
    for x in x {
        *x = cap * ((*x + offset) / cap).tanh();
    }
}

/// See [`Kernels::add_rows`].
pub(super) fn add_rows(x: &[f32], stride: usize, weights: &[f32], out: &mut [f32]) {
    for (i, weight) in weights.iter().enumerate() {
        let row = &x[i * stride..][..out.len()];
        for (out, x) in out.iter_mut().zip(row) {
            *out += weight * x;
        }
    }
}

/// See [`Kernels::encode`].
pub(super) fn encode(format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
    let RowsMut {
        payload,
        scales,
        zeros,
    } = out;
    match format.bits {
        Bits::F16 => payload.extend(x.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes())),
        Bits::F8 => payload.extend(x.iter().map(|&v| f8_from_f32(v))),
        bits => {
            let mut codes = vec![0u8; head_dim];
            let group = format.group(head_dim);
            for row in x.chunks_exact(head_dim) {
                for (values, codes) in row.chunks_exact(group).zip(codes.chunks_exact_mut(group)) {
                    let grid = Grid::of(format, values.iter().copied());
                    grid.store(scales, zeros);
                    for (code, &v) in codes.iter_mut().zip(values) {
                        *code = grid.code(v);
                    }
                }
                pack::pack(bits, &codes, payload);
            }
        }
    }
}

/// See [`Kernels::encode_tiles`].
pub(super) fn encode_tiles(
    format: Format,
    role: Role,
    head_dim: usize,
    x: &[f32],
    out: RowsMut<'_>,
) {
    let RowsMut {
        payload,
        scales,
        zeros,
    } = out;
    let whole = TILE_ROWS.max(format.block_rows()) * head_dim;
    assert!(x.len().is_multiple_of(whole), "whole tiles and blocks");
    let mut codes = vec![0u8; x.len()];
    match format.axis {
        Axis::Channels => {
            let group = format.group(head_dim);
            let tiles = x.chunks_exact(TILE_ROWS * head_dim);
            for (x, codes) in tiles.zip(codes.chunks_exact_mut(TILE_ROWS * head_dim)) {
                for first in (0..head_dim).step_by(group) {
                    for row in (0..TILE_ROWS).map(|t| t * head_dim + first) {
                        let values = &x[row..row + group];
                        let grid = Grid::of(format, values.iter().copied());
                        grid.store(scales, zeros);
                        for (code, &v) in codes[row..].iter_mut().zip(values) {
                            *code = grid.code(v);
                        }
                    }
                }
            }
        }
        Axis::Tokens => {
            let block = format.block_rows() * head_dim;
            for (x, codes) in x.chunks_exact(block).zip(codes.chunks_exact_mut(block)) {
                for channel in 0..head_dim {
                    let values = || x[channel..].iter().step_by(head_dim);
                    let grid = Grid::of(format, values().copied());
                    grid.store(scales, zeros);
                    let codes = codes[channel..].iter_mut().step_by(head_dim);
                    for (code, &v) in codes.zip(values()) {
                        *code = grid.code(v);
                    }
                }
            }
        }
    }
    let bytes = tile_bytes(format.bits, head_dim);
    for codes in codes.chunks_exact(TILE_ROWS * head_dim) {
        let start = payload.len();
        payload.resize(start + bytes, 0);
        arrange(format.bits, role, codes, &mut payload[start..]);
    }
}

/// See [`Kernels::decode`].
pub(super) fn decode(rows: Rows<'_>, out: &mut [f32]) {
    let Rows {
        format, head_dim, ..
    } = rows;
    match format.bits {
        Bits::F16 => {
            for (v, bytes) in out.iter_mut().zip(rows.payload.chunks_exact(2)) {
                *v = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
            }
        }
        Bits::F8 => {
            for (v, &byte) in out.iter_mut().zip(rows.payload) {
                *v = f8_to_f32(byte);
            }
        }
        bits => {
            let group = format.group(head_dim);
            let mut codes = vec![0u8; head_dim];
            let packed = rows.payload.chunks_exact(format.payload_bytes(head_dim));
            for (t, (out, packed)) in out.chunks_exact_mut(head_dim).zip(packed).enumerate() {
                pack::unpack(bits, packed, &mut codes);
                for (channel, (v, &code)) in out.iter_mut().zip(&codes).enumerate() {
                    let at = t * (head_dim / group) + channel / group;
                    let zero = (!format.symmetric).then(|| rows.zeros[at]);
                    *v = value(format, rows.scales[at], zero, code);
                }
            }
        }
    }
}

/// See [`Kernels::decode_tiles`].
pub(super) fn decode_tiles(tiles: Tiles<'_>, out: &mut [f32]) {
    let Tiles {
        format, head_dim, ..
    } = tiles;
    let group = format.group(head_dim);
    let bytes = tile_bytes(format.bits, head_dim);
    let mut codes = vec![0; head_dim];
    for (row, out) in out.chunks_exact_mut(head_dim).enumerate() {
        let (tile, t) = (row / TILE_ROWS, row % TILE_ROWS);
        let packed = &tiles.payload[tile * bytes..][..bytes];
        read_row(format.bits, tiles.role, packed, t, &mut codes);
        for (channel, (v, &code)) in out.iter_mut().zip(&codes).enumerate() {
            let at = match format.axis {
                Axis::Channels => (tile * (head_dim / group) + channel / group) * TILE_ROWS + t,
                Axis::Tokens => row / group * head_dim + channel,
            };
            // Too few of them must not pass for a symmetric format.
            let zero = (!format.symmetric).then(|| tiles.zeros[at]);
            *v = value(format, tiles.scales[at], zero, code);
        }
    }
}

/// See [`Kernels::score_tiles`].
pub(super) fn score_tiles(keys: Tiles<'_>, q: &[f32], out: &mut [f32], stride: usize) {
    let head_dim = keys.head_dim;
    let mut rows = vec![0.0; keys.count * TILE_ROWS * head_dim];
    decode_tiles(keys, &mut rows);
    for (i, query) in q.chunks_exact(head_dim).enumerate() {
        for (t, row) in rows.chunks_exact(head_dim).enumerate() {
            out[i * stride + t] = query.iter().zip(row).map(|(a, b)| a * b).sum();
        }
    }
}

/// See [`Kernels::mix_tiles`].
pub(super) fn mix_tiles(values: Tiles<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
    let head_dim = values.head_dim;
    let mut rows = vec![0.0; values.count * TILE_ROWS * head_dim];
    decode_tiles(values, &mut rows);
    for (i, sum) in acc.chunks_exact_mut(head_dim).enumerate() {
        for (t, row) in rows.chunks_exact(head_dim).enumerate() {
            let weight = p[i * stride + t];
            for (a, v) in sum.iter_mut().zip(row) {
                *a += weight * v;
            }
        }
    }
}

/// The value of a code of a group with this scale and zero point.
fn value(format: Format, scale: f16, zero: Option<f16>, code: u8) -> f32 {
    GroupValues::new(format, scale, zero).of(code)
}

/// The values of a group's codes.
pub(crate) struct GroupValues {
    scale: f32,
    origin: f32,
    book: Option<[i8; 16]>,
}

impl GroupValues {
    /// Those of a group with this scale and zero point.
    pub(crate) fn new(format: Format, scale: f16, zero: Option<f16>) -> Self {
        let (scale, zero) = (scale.to_f32(), zero.map(f16::to_f32));
        let symmetric = match format.codebook {
            Some(_) => 0.0,
            None => -scale * half_range(format.bits),
        };
        Self {
            scale,
            origin: zero.unwrap_or(symmetric),
            book: format.codebook.map(|book| *book.levels()),
        }
    }

    /// The value of a code.
    pub(crate) fn of(&self, code: u8) -> f32 {
        let level = match &self.book {
            Some(levels) => f32::from(levels[usize::from(code & 15)]),
            None => f32::from(code),
        };
        self.origin + self.scale * level
    }
}

/// Scale and zero point of one group, rounded to f16 so that no value lies outside the levels.
struct Grid {
    format: Format,
    scale: f16,
    zero: f16,
}

impl Grid {
    fn of(format: Format, values: impl Iterator<Item = f32> + Clone) -> Self {
        if let Some(reach) = format.codebook.and_then(|book| book.reach()) {
            let rms = mean_square(values).sqrt();
            return Self {
                format,
                scale: nearest_f16((rms * f64::from(reach) / 127.0).min(f16::MAX.to_f64())),
                zero: f16::ZERO,
            };
        }
        // Adding zero makes a negative zero positive, whatever the order of the values.
        let min = values.clone().fold(f32::INFINITY, f32::min) + 0.0;
        let max = values.fold(f32::NEG_INFINITY, f32::max);
        let (min, max) = (f64::from(min), f64::from(max));
        let (scale, zero) = match (&format.codebook, format.symmetric) {
            (None, true) => {
                // Codes run from -2^(b-1) to 2^(b-1)-1; the positive side has one level less.
                let levels = f64::from(format.bits.max_code());
                let positive = (f64::midpoint(levels, 1.0) - 1.0).max(1.0);
                (max.max(-min) / positive, f16::ZERO)
            }
            (None, false) => {
                let zero = floor_f16(min);
                let levels = f64::from(format.bits.max_code());
                ((max - zero.to_f64()) / levels, zero)
            }
            (Some(book), symmetric) => {
                let levels = book.of(format.bits);
                let (low, high) = (f64::from(levels[0]), f64::from(levels[levels.len() - 1]));
                let zero = if symmetric {
                    f16::ZERO
                } else {
                    // By way of f32, as processors convert: directly, some would round otherwise.
                    nearest_f16(min - (max - min) / (high - low) * low)
                };
                let reach = |end: f64, level: f64| (end - zero.to_f64()) / level;
                (reach(max, high).max(reach(min, low)).max(0.0), zero)
            }
        };
        Self {
            format,
            scale: ceil_f16(scale),
            zero,
        }
    }

    fn store(&self, scales: &mut Vec<f16>, zeros: &mut Vec<f16>) {
        scales.push(self.scale);
        if !self.format.symmetric {
            zeros.push(self.zero);
        }
    }

    fn code(&self, v: f32) -> u8 {
        let Self { format, .. } = *self;
        let (step, zero) = (self.scale.to_f32(), self.zero.to_f32());
        if let Some(book) = &format.codebook {
            let level = if step > 0.0 { (v - zero) / step } else { 0.0 };
            return book.nearest(format.bits, level);
        }
        let origin = if format.symmetric {
            -step * half_range(format.bits)
        } else {
            zero
        };
        let level = if step > 0.0 {
            ((v - origin) / step).round()
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "clamped to 255 at most"
        )]
        let code = level.clamp(0.0, format.bits.max_code() as f32) as u8;
        code
    }
}

/// Sums whose squares are added in turn, see [`Kernels::encode`].
pub const INTERLEAVED: usize = 8;

/// Mean of squares. Values are added in turn to [`INTERLEAVED`] sums, and then the upper half of
/// these to the lower one until one is left: an order that vectors of any length can follow.
fn mean_square(values: impl Iterator<Item = f32>) -> f64 {
    let (mut sums, mut n) = ([0.0; INTERLEAVED], 0.0);
    let mut next = (0..INTERLEAVED).cycle();
    for (v, i) in values.zip(&mut next) {
        sums[i] += f64::from(v) * f64::from(v);
        n += 1.0;
    }
    let mut left = INTERLEAVED;
    while left > 1 {
        left /= 2;
        for i in 0..left {
            sums[i] += sums[i + left];
        }
    }
    sums[0] / f64::max(n, 1.0)
}

/// `2^(bits-1)`: the code that stands for zero in a symmetric format.
fn half_range(bits: Bits) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 128")]
    let half = bits.max_code().div_ceil(2) as f32;
    half
}

/// The f16 nearest to the f32 nearest to `x`.
fn nearest_f16(x: f64) -> f16 {
    #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose")]
    let near = x as f32;
    f16::from_f32(near)
}

/// Smallest f16 not below `x >= 0`, saturating at the largest finite one. Never a negative zero.
fn ceil_f16(x: f64) -> f16 {
    let near = nearest_f16(x.min(f16::MAX.to_f64()) + 0.0);
    if near.to_f64() < x && near < f16::MAX {
        f16::from_bits(near.to_bits() + 1)
    } else {
        near
    }
}

/// Largest f16 not above `x`, saturating at the smallest finite one.
fn floor_f16(x: f64) -> f16 {
    let near = nearest_f16(x.clamp(f16::MIN.to_f64(), f16::MAX.to_f64()));
    if near.to_f64() <= x || near <= f16::MIN {
        return near;
    }
    // The next value towards minus infinity: up in magnitude below zero, down above it.
    match near.to_bits() {
        0x0000 => f16::from_bits(0x8001),
        bits if bits & 0x8000 != 0 => f16::from_bits(bits + 1),
        bits => f16::from_bits(bits - 1),
    }
}
