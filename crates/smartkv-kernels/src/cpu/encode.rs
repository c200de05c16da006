//! Encoding with AVX2: the arithmetic of the reference, eight values at a time.

use super::avx2::Avx2;
use half::f16;
use smartkv_core::{Bits, Format, RowsMut};
use std::arch::x86_64::*;

/// See [`smartkv_core::Kernels::encode`].
pub(super) fn encode(_proof: Avx2, format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
    // SAFETY: the token proves that the processor has the instructions.
    unsafe {
        match format.bits {
            Bits::B2 => groups::<2>(format, head_dim, x, out),
            Bits::B3 => groups::<3>(format, head_dim, x, out),
            Bits::B4 => groups::<4>(format, head_dim, x, out),
            Bits::B8 => groups::<8>(format, head_dim, x, out),
            Bits::F16 => halves(x, out.payload),
            Bits::F8 => unreachable!("left to the reference"),
        }
    }
}

/// Appends the values as f16, rounded to nearest.
#[target_feature(enable = "avx2,fma,f16c")]
fn halves(x: &[f32], payload: &mut Vec<u8>) {
    payload.reserve(2 * x.len());
    let mut eights = x.chunks_exact(8);
    for eight in &mut eights {
        let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(load(eight));
        payload.extend_from_slice(&bytes(halves));
    }
    payload.extend(
        eights
            .remainder()
            .iter()
            .flat_map(|&v| f16::from_f32(v).to_le_bytes()),
    );
}

/// Appends integer codes with their scales and zero points.
#[target_feature(enable = "avx2,fma,f16c")]
fn groups<const BITS: usize>(format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
    let group = format.group(head_dim);
    assert!(
        group > 0 && group.is_multiple_of(8),
        "{format}, head_dim {head_dim}"
    );
    let groups = x.len() / group;
    out.scales.reserve(groups);
    out.zeros.reserve(if format.symmetric { 0 } else { groups });
    let start = out.payload.len();
    out.payload.resize(start + groups * group / 8 * BITS, 0);
    let payload = out.payload[start..].chunks_exact_mut(group / 8 * BITS);

    let levels = ((1u32 << BITS) - 1) as f32;
    for (values, codes) in x.chunks_exact(group).zip(payload) {
        let (scale, origin);
        if format.symmetric {
            let (positive, half) = (((levels + 1.0) / 2.0 - 1.0).max(1.0), (levels + 1.0) / 2.0);
            scale = ceil_f16(f64::from(absmax(values)) / f64::from(positive));
            origin = -scale.to_f32() * half;
        } else {
            let (min, max) = extremes(values);
            let zero = floor_f16(min);
            origin = widen(zero);
            scale = ceil_f16((f64::from(max) - f64::from(origin)) / f64::from(levels));
            out.zeros.push(zero);
        }
        out.scales.push(scale);
        let step = widen(scale);
        if step <= 0.0 {
            continue; // every code is 0
        }
        let (step, origin) = (_mm256_set1_ps(step), _mm256_set1_ps(origin));
        for (eight, codes) in values.chunks_exact(8).zip(codes.chunks_exact_mut(BITS)) {
            let x = _mm256_div_ps(_mm256_sub_ps(load(eight), origin), step);
            let x = _mm256_max_ps(x, _mm256_setzero_ps());
            let x = _mm256_min_ps(x, _mm256_set1_ps(levels));
            // Halves go up, and nothing is negative: cut, then add one from a half on. The
            // difference is exact, so this is `f32::round`; `x + 0.5` would not be.
            let cut = _mm256_cvttps_epi32(x);
            let rest = _mm256_sub_ps(x, _mm256_cvtepi32_ps(cut));
            let up = _mm256_cmp_ps::<_CMP_GE_OQ>(rest, _mm256_set1_ps(0.5));
            let level = _mm256_sub_epi32(cut, _mm256_castps_si256(up));
            codes.copy_from_slice(&pack::<BITS>(level).to_le_bytes()[..BITS]);
        }
    }
}

/// Eight codes, `BITS` bits each, lowest first.
#[target_feature(enable = "avx2,fma,f16c")]
fn pack<const BITS: usize>(codes: __m256i) -> u64 {
    let (low, high) = (
        _mm256_castsi256_si128(codes),
        _mm256_extracti128_si256::<1>(codes),
    );
    if BITS == 8 {
        let words = _mm_packus_epi32(low, high);
        return _mm_cvtsi128_si64(_mm_packus_epi16(words, words)) as u64;
    }
    // Four codes of each half, shifted to their places and joined.
    let b = BITS as i32;
    let low = _mm_sllv_epi32(low, _mm_setr_epi32(0, b, 2 * b, 3 * b));
    let high = _mm_sllv_epi32(high, _mm_setr_epi32(4 * b, 5 * b, 6 * b, 7 * b));
    let word = _mm_or_si128(low, high);
    let word = _mm_or_si128(word, _mm_unpackhi_epi64(word, word));
    let word = _mm_or_si128(word, _mm_shuffle_epi32::<1>(word));
    u64::from(_mm_cvtsi128_si32(word) as u32)
}

/// Largest absolute value.
#[target_feature(enable = "avx2,fma,f16c")]
fn absmax(values: &[f32]) -> f32 {
    let sign = _mm256_set1_ps(-0.0);
    let mut max = _mm256_setzero_ps();
    for eight in values.chunks_exact(8) {
        max = _mm256_max_ps(_mm256_andnot_ps(sign, load(eight)), max);
    }
    lanes(max).into_iter().fold(0.0, f32::max)
}

/// Smallest and largest value. A smallest value of zero is positive zero, whatever the order.
#[target_feature(enable = "avx2,fma,f16c")]
fn extremes(values: &[f32]) -> (f32, f32) {
    let mut min = _mm256_set1_ps(f32::INFINITY);
    let mut max = _mm256_set1_ps(f32::NEG_INFINITY);
    for eight in values.chunks_exact(8) {
        let v = load(eight);
        min = _mm256_min_ps(v, min);
        max = _mm256_max_ps(v, max);
    }
    let mut min = lanes(min).into_iter().fold(f32::INFINITY, f32::min);
    if min == 0.0 {
        min = values.iter().copied().find(|&v| v == 0.0).unwrap_or(min);
    }
    (
        min,
        lanes(max).into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
}

/// Smallest f16 not below `x >= 0`, saturating at the largest finite one.
#[target_feature(enable = "avx2,fma,f16c")]
fn ceil_f16(x: f64) -> f16 {
    let x = x.min(f16::MAX.to_f64());
    // Upwards to f32 and upwards again to f16 is upwards to f16: every f16 is an f32.
    let mut near = x as f32;
    if f64::from(near) < x {
        near = near.next_up();
    }
    to_f16::<_MM_FROUND_TO_POS_INF>(near)
}

/// Largest f16 not above `x`, saturating at the smallest finite one.
#[target_feature(enable = "avx2,fma,f16c")]
fn floor_f16(x: f32) -> f16 {
    to_f16::<_MM_FROUND_TO_NEG_INF>(x.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn to_f16<const ROUNDING: i32>(x: f32) -> f16 {
    let bits = _mm_cvtps_ph::<ROUNDING>(_mm_set_ss(x));
    f16::from_bits(_mm_extract_epi16::<0>(bits) as u16)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn widen(x: f16) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(x.to_bits()))))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn load(eight: &[f32]) -> __m256 {
    assert_eq!(eight.len(), 8);
    // SAFETY: there are eight values.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn lanes(v: __m256) -> [f32; 8] {
    let mut lanes = [0.0; 8];
    // SAFETY: there is room for eight values.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), v) };
    lanes
}

#[target_feature(enable = "avx2,fma,f16c")]
fn bytes(v: __m128i) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: there is room for sixteen bytes.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), v) };
    bytes
}
