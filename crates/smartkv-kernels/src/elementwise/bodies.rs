//! The loops of [`super::Elementwise`], inlined into one function for each instruction set.
//!
//! `FMA` says whether a fused multiply-add is one instruction: elsewhere it would be a call.

use half::bf16;

/// Independent sums, so that a compiler without licence to reorder can still use wide registers.
const LANES: usize = 64;

#[inline(always)]
fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Adds the lanes in pairs: the order is fixed, whatever the width of a register.
#[inline(always)]
fn total(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// `1 / sqrt(mean of squares + eps)` from the sum of squares.
#[inline(always)]
fn factor(squares: f32, width: usize, eps: f32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
    let mean = squares / width as f32;
    1.0 / (mean + eps).sqrt()
}

#[inline(always)]
pub(super) fn rms_norm<const FMA: bool>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let factor = factor(dot::<FMA>(x, x), width, eps);
        scale(x, weight, factor, out);
    }
}

#[inline(always)]
pub(super) fn add_rms_norm<const FMA: bool>(
    x: &mut [f32],
    y: &[f32],
    weight: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    let width = weight.len();
    let rows = x.chunks_exact_mut(width).zip(y.chunks_exact(width));
    for ((x, y), out) in rows.zip(out.chunks_exact_mut(width)) {
        add::<FMA>(x, y);
        let factor = factor(dot::<FMA>(x, x), width, eps);
        scale(x, weight, factor, out);
    }
}

#[inline(always)]
fn scale(x: &[f32], weight: &[f32], factor: f32, out: &mut [f32]) {
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * factor * weight;
    }
}

#[inline(always)]
pub(super) fn silu_mul<const FMA: bool>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp::<FMA>(-gate)) * up;
    }
}

#[inline(always)]
pub(super) fn layer_norm<const FMA: bool>(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        #[expect(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
        let mean = sum(x) / width as f32;
        for (out, x) in out.iter_mut().zip(x) {
            *out = x - mean;
        }
        let factor = factor(dot::<FMA>(out, out), width, eps);
        for ((out, weight), bias) in out.iter_mut().zip(weight).zip(bias) {
            *out = fma::<FMA>(*out * factor, *weight, *bias);
        }
    }
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x;
        }
    }
    total(sums) + rest.iter().sum::<f32>()
}

#[inline(always)]
pub(super) fn gelu_tanh<const FMA: bool>(x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = gelu::<FMA>(*x);
    }
}

#[inline(always)]
pub(super) fn gelu_tanh_mul<const FMA: bool>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gelu::<FMA>(*gate) * up;
    }
}

/// `tanh(u) = 1 - 2 / (1 + exp(2u))`: near zero that rounds to a part of `cap`, not of the result.
#[inline(always)]
pub(super) fn softcap<const FMA: bool>(x: &mut [f32], offset: f32, cap: f32) {
    let twice = 2.0 / cap;
    for x in x {
        *x = cap - 2.0 * cap / (1.0 + exp::<FMA>(twice * (*x + offset)));
    }
}

/// `(1 + tanh(u)) / 2` is the logistic function of `2u`.
#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> f32 {
    /// `-2 √(2/π)`.
    const OUTER: f32 = -1.595_769;
    const CUBIC: f32 = 0.044_715;
    x / (1.0 + exp::<FMA>(OUTER * fma::<FMA>(CUBIC * x, x * x, x)))
}

/// `exp(x)` to a relative error below 3e-7 where the result is a normal number below 2^127.5;
/// larger ones are infinite, smaller ones at most 2e-38. NaN stays NaN.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    /// `ln 2` in two parts; the first has few bits, so that its multiples are exact.
    const LN2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    /// Coefficients of `(exp(r) - 1 - r) / r²` for `|r| <= ln 2 / 2`, highest first: the
    /// approximation of the Cephes library.
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    /// Added to a number below 2^22, leaves the nearest integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;

    // Comparisons rather than `clamp`, in the order that keeps a NaN and is one instruction each.
    let bounded = if x > 88.8 { 88.8 } else { x };
    let bounded = if bounded < -87.3 { -87.3 } else { bounded };
    let shifted = bounded * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = fma::<FMA>(n, -LN2[0], bounded);
    let r = fma::<FMA>(n, -LN2[1], r);
    let mut y = POLYNOMIAL[0];
    for coefficient in &POLYNOMIAL[1..] {
        y = fma::<FMA>(y, r, *coefficient);
    }
    let y = fma::<FMA>(y, r * r, r) + 1.0;
    // n = 128 makes an infinity of the exponent's bits.
    y * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
pub(super) fn add<const FMA: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
pub(super) fn rotate<const FMA: bool>(
    row: &[f32],
    cos: &[f32],
    sin: &[f32],
    interleaved: bool,
    out: &mut [f32],
) {
    let pairs = cos.len();
    // Both pairings round alike: the same products, fused on the same side.
    let turn = |x: f32, y: f32, cos: f32, sin: f32| {
        (fma::<FMA>(x, cos, -(y * sin)), fma::<FMA>(x, sin, y * cos))
    };
    let heads = row.chunks_exact(2 * pairs);
    for (head, out) in heads.zip(out.chunks_exact_mut(2 * pairs)) {
        if interleaved {
            let (head, _) = head.as_chunks::<2>();
            let (out, _) = out.as_chunks_mut::<2>();
            for (((from, to), cos), sin) in head.iter().zip(out).zip(cos).zip(sin) {
                let (x, y) = turn(from[0], from[1], *cos, *sin);
                *to = [x, y];
            }
        } else {
            let (low, high) = head.split_at(pairs);
            let (out_low, out_high) = out.split_at_mut(pairs);
            for pair in 0..pairs {
                (out_low[pair], out_high[pair]) = turn(low[pair], high[pair], cos[pair], sin[pair]);
            }
        }
    }
}

#[inline(always)]
pub(super) fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    products::<FMA, f32>(a, b, |a| a)
}

#[inline(always)]
pub(super) fn dot_bf16<const FMA: bool>(a: &[bf16], b: &[f32]) -> f32 {
    products::<FMA, bf16>(a, b, |a| f32::from_bits(u32::from(a.to_bits()) << 16))
}

#[inline(always)]
fn products<const FMA: bool, A: Copy>(a: &[A], b: &[f32], widen: impl Fn(A) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] = fma::<FMA>(widen(a[lane]), b[lane], sums[lane]);
        }
    }
    let mut rest = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest = fma::<FMA>(widen(*a), *b, rest);
    }
    total(sums) + rest
}
