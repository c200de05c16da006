//! Plain scalar kernels: the definition of what every other implementation must compute.

use super::{Kernels, Rows, RowsMut};
use crate::format::{Bits, Format};
use crate::pack;
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

/// See [`Kernels::encode`].
pub(super) fn encode(format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
    let RowsMut {
        payload,
        scales,
        zeros,
    } = out;
    if format.bits == Bits::F16 {
        payload.extend(x.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()));
        return;
    }
    let group = format.group(head_dim);
    let mut codes = vec![0u8; group];
    for values in x.chunks_exact(group) {
        let (scale, zero) = grid(format, values);
        scales.push(scale);
        if !format.symmetric {
            zeros.push(zero);
        }
        let (step, origin) = (scale.to_f32(), origin(format, scale, zero));
        #[expect(clippy::cast_precision_loss, reason = "at most 255")]
        let max_code = format.bits.max_code() as f32;
        for (code, &v) in codes.iter_mut().zip(values) {
            let level = if step > 0.0 {
                ((v - origin) / step).round()
            } else {
                0.0
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped"
            )]
            let level = level.clamp(0.0, max_code) as u8;
            *code = level;
        }
        pack::pack(format.bits, &codes, payload);
    }
}

/// Scale and zero point of one group, rounded to f16 so that no value lies outside the grid.
fn grid(format: Format, values: &[f32]) -> (f16, f16) {
    let levels = f64::from(format.bits.max_code());
    if format.symmetric {
        // Codes run from -2^(b-1) to 2^(b-1)-1; the positive side has one level less.
        let positive = (f64::midpoint(levels, 1.0) - 1.0).max(1.0);
        let absmax = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        return (ceil_f16(f64::from(absmax) / positive), f16::ZERO);
    }
    let min = values.iter().copied().fold(f32::INFINITY, f32::min);
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let zero = floor_f16(f64::from(min));
    let scale = ceil_f16((f64::from(max) - zero.to_f64()) / levels);
    (scale, zero)
}

/// Value of code 0.
fn origin(format: Format, scale: f16, zero: f16) -> f32 {
    if format.symmetric {
        -scale.to_f32() * half_range(format.bits)
    } else {
        zero.to_f32()
    }
}

/// `2^(bits-1)`: the code that stands for zero in a symmetric format.
fn half_range(bits: Bits) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 128")]
    let half = bits.max_code().div_ceil(2) as f32;
    half
}

/// Smallest f16 not below `x >= 0`, saturating at the largest finite one.
fn ceil_f16(x: f64) -> f16 {
    let near = f16::from_f64(x.min(f16::MAX.to_f64()));
    if near.to_f64() < x && near < f16::MAX {
        f16::from_bits(near.to_bits() + 1)
    } else {
        near
    }
}

/// Largest f16 not above `x`, saturating at the smallest finite one.
fn floor_f16(x: f64) -> f16 {
    let near = f16::from_f64(x.clamp(f16::MIN.to_f64(), f16::MAX.to_f64()));
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

/// See [`Kernels::decode`].
pub(super) fn decode(rows: Rows<'_>, out: &mut [f32]) {
    let Rows {
        format, head_dim, ..
    } = rows;
    if format.bits == Bits::F16 {
        for (v, bytes) in out.iter_mut().zip(rows.payload.chunks_exact(2)) {
            *v = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        }
        return;
    }
    let group = format.group(head_dim);
    let bytes = group * format.bits.count() / 8;
    let mut codes = vec![0u8; group];
    for (g, values) in out[..rows.len * head_dim]
        .chunks_exact_mut(group)
        .enumerate()
    {
        pack::unpack(
            format.bits,
            &rows.payload[g * bytes..(g + 1) * bytes],
            &mut codes,
        );
        let scale = rows.scales[g];
        let zero = if format.symmetric {
            f16::ZERO
        } else {
            rows.zeros[g]
        };
        let (step, origin) = (scale.to_f32(), origin(format, scale, zero));
        for (v, &code) in values.iter_mut().zip(&codes) {
            *v = origin + step * f32::from(code);
        }
    }
}
