//! AVX2 and AVX-512, with and without their dot-product instruction.

use super::weights::VECTORS;
use super::{Integers, Kernel};
use crate::cpu::{Avx2, Avx512};
use half::f16;
use std::arch::x86_64::*;

/// Sixteen lanes. `VNNI` is proof of AVX512-VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zmm<const VNNI: bool>(());

/// Eight lanes. `VNNI` is proof of AVX-VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ymm<const VNNI: bool>(());

impl<const VNNI: bool> Zmm<VNNI> {
    /// The set, if this processor has it.
    pub(crate) fn detect(_proof: Avx512) -> Option<Self> {
        (!VNNI || is_x86_feature_detected!("avx512vnni")).then_some(Self(()))
    }
}

impl<const VNNI: bool> Ymm<VNNI> {
    /// The set, if this processor has it.
    pub(crate) fn detect(_proof: Avx2) -> Option<Self> {
        (!VNNI || is_x86_feature_detected!("avxvnni")).then_some(Self(()))
    }
}

/// Methods that are one or a few instructions.
macro_rules! instructions {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $out:ty { $body:expr })*) => {
        $(
            #[inline(always)]
            fn $name(self, $($argument: $type),*) -> $out {
                // SAFETY: the token proves that the processor has the instructions.
                unsafe { $body }
            }
        )*
    };
}

/// Methods that access memory, as the caller of each promises.
macro_rules! accesses {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)? { $body:expr })*) => {
        $(
            #[inline(always)]
            unsafe fn $name(self, $($argument: $type),*) $(-> $out)? {
                // SAFETY: the token proves the instructions; the caller promises the memory.
                unsafe { $body }
            }
        )*
    };
}

impl<const VNNI: bool> Integers for Zmm<VNNI> {
    type Codes = __m512i;
    type Sums = __m512i;
    type Reals = __m512;

    const LANES: usize = 16;

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn vnni<K: Kernel>(simd: Zmm<true>, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn plain<K: Kernel>(simd: Zmm<false>, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            if VNNI {
                vnni(Zmm(()), kernel)
            } else {
                plain(Zmm(()), kernel)
            }
        }
    }

    accesses! {
        fn load_codes(at: *const u8) -> __m512i { _mm512_loadu_si512(at.cast()) }
        fn store_codes(at: *mut u8, codes: __m512i) { _mm512_storeu_si512(at.cast(), codes) }
        fn spread(at: *const i8) -> __m512i { _mm512_set1_epi32(at.cast::<i32>().read_unaligned()) }
        fn store_digits(at: *mut i8, digits: __m512i) {
            _mm_storeu_si128(at.cast(), _mm512_cvtepi32_epi8(digits))
        }
        fn load(at: *const f32) -> __m512 { _mm512_loadu_ps(at) }
        fn store(at: *mut f32, v: __m512) { _mm512_storeu_ps(at, v) }
        fn load_half(at: *const f16) -> __m512 { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
        fn store_split(n: &[__m512i; VECTORS], high: *mut i8, low: *mut i8) {{
            // As 16 bits, half as many operations. Packing works within quarters of vectors and
            // leaves quads of digits in another order, which one permutation mends.
            let split = |a, b| {
                let n = _mm512_packs_epi32(a, b);
                let high = _mm512_srai_epi16::<7>(_mm512_add_epi16(n, _mm512_set1_epi16(64)));
                (high, _mm512_sub_epi16(n, _mm512_slli_epi16::<7>(high)))
            };
            let (first, second) = (split(n[0], n[1]), split(n[2], n[3]));
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let join = |a, b| _mm512_permutexvar_epi32(order, _mm512_packs_epi16(a, b));
            _mm512_storeu_si512(high.cast(), join(first.0, second.0));
            _mm512_storeu_si512(low.cast(), join(first.1, second.1));
        }}
    }

    instructions! {
        fn prefetch(at: *const u8) -> () { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        fn splat_code(code: u8) -> __m512i { _mm512_set1_epi8(code.cast_signed()) }
        fn and(a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        fn or(a: __m512i, b: __m512i) -> __m512i { _mm512_or_si512(a, b) }
        fn right(a: __m512i, by: usize) -> __m512i {
            _mm512_srl_epi16(a, _mm_cvtsi32_si128(by as i32))
        }
        fn left(a: __m512i, by: usize) -> __m512i {
            _mm512_sll_epi16(a, _mm_cvtsi32_si128(by as i32))
        }
        fn table(bytes: &[u8; 16]) -> __m512i {
            _mm512_broadcast_i32x4(_mm_loadu_si128(bytes.as_ptr().cast()))
        }
        fn lookup(table: __m512i, codes: __m512i) -> __m512i { _mm512_shuffle_epi8(table, codes) }
        fn dot(sums: __m512i, codes: __m512i, digits: __m512i) -> __m512i {
            if VNNI {
                _mm512_dpbusd_epi32(sums, codes, digits)
            } else {
                let pairs = _mm512_maddubs_epi16(codes, digits);
                _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
            }
        }
        fn splat_int(x: i32) -> __m512i { _mm512_set1_epi32(x) }
        fn sub_int(a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi32(a, b) }
        fn add_int(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        fn whole(high: __m512i, low: __m512i) -> __m512i {
            _mm512_add_epi32(_mm512_slli_epi32::<7>(high), low)
        }
        fn split(n: __m512i) -> (__m512i, __m512i) {{
            let high = _mm512_srai_epi32::<7>(_mm512_add_epi32(n, _mm512_set1_epi32(64)));
            (high, _mm512_sub_epi32(n, _mm512_slli_epi32::<7>(high)))
        }}
        fn total_int(a: __m512i) -> i32 { _mm512_reduce_add_epi32(a) }
        fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        fn real(a: __m512i) -> __m512 { _mm512_cvtepi32_ps(a) }
        fn nearest(a: __m512) -> __m512i {
            _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a)
        }
        fn max_abs(a: __m512, most: __m512) -> __m512 { _mm512_max_ps(_mm512_abs_ps(a), most) }
        fn max_bits(a: __m512, most: __m512i) -> __m512i {
            _mm512_max_epu32(_mm512_castps_si512(_mm512_abs_ps(a)), most)
        }
        fn largest_bits(a: __m512i) -> u32 { _mm512_reduce_max_epu32(a) }
        fn largest(a: __m512) -> f32 { _mm512_reduce_max_ps(a) }
        fn total(a: __m512) -> f32 { _mm512_reduce_add_ps(a) }
    }
}

impl<const VNNI: bool> Integers for Ymm<VNNI> {
    type Codes = __m256i;
    type Sums = __m256i;
    type Reals = __m256;

    const LANES: usize = 8;

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx2,avxvnni,fma,f16c")]
        fn vnni<K: Kernel>(simd: Ymm<true>, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn plain<K: Kernel>(simd: Ymm<false>, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            if VNNI {
                vnni(Ymm(()), kernel)
            } else {
                plain(Ymm(()), kernel)
            }
        }
    }

    accesses! {
        fn load_codes(at: *const u8) -> __m256i { _mm256_loadu_si256(at.cast()) }
        fn store_codes(at: *mut u8, codes: __m256i) { _mm256_storeu_si256(at.cast(), codes) }
        fn spread(at: *const i8) -> __m256i { _mm256_set1_epi32(at.cast::<i32>().read_unaligned()) }
        fn store_digits(at: *mut i8, digits: __m256i) {{
            let (low, high) = (_mm256_castsi256_si128(digits), _mm256_extracti128_si256::<1>(digits));
            let words = _mm_packs_epi32(low, high);
            _mm_storel_epi64(at.cast(), _mm_packs_epi16(words, words));
        }}
        fn load(at: *const f32) -> __m256 { _mm256_loadu_ps(at) }
        fn store(at: *mut f32, v: __m256) { _mm256_storeu_ps(at, v) }
        fn load_half(at: *const f16) -> __m256 { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
    }

    instructions! {
        fn prefetch(at: *const u8) -> () { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        fn splat_code(code: u8) -> __m256i { _mm256_set1_epi8(code.cast_signed()) }
        fn and(a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
        fn or(a: __m256i, b: __m256i) -> __m256i { _mm256_or_si256(a, b) }
        fn right(a: __m256i, by: usize) -> __m256i {
            _mm256_srl_epi16(a, _mm_cvtsi32_si128(by as i32))
        }
        fn left(a: __m256i, by: usize) -> __m256i {
            _mm256_sll_epi16(a, _mm_cvtsi32_si128(by as i32))
        }
        fn table(bytes: &[u8; 16]) -> __m256i {
            _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast()))
        }
        fn lookup(table: __m256i, codes: __m256i) -> __m256i { _mm256_shuffle_epi8(table, codes) }
        fn dot(sums: __m256i, codes: __m256i, digits: __m256i) -> __m256i {
            if VNNI {
                _mm256_dpbusd_avx_epi32(sums, codes, digits)
            } else {
                let pairs = _mm256_maddubs_epi16(codes, digits);
                _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            }
        }
        fn splat_int(x: i32) -> __m256i { _mm256_set1_epi32(x) }
        fn sub_int(a: __m256i, b: __m256i) -> __m256i { _mm256_sub_epi32(a, b) }
        fn add_int(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
        fn whole(high: __m256i, low: __m256i) -> __m256i {
            _mm256_add_epi32(_mm256_slli_epi32::<7>(high), low)
        }
        fn split(n: __m256i) -> (__m256i, __m256i) {{
            let high = _mm256_srai_epi32::<7>(_mm256_add_epi32(n, _mm256_set1_epi32(64)));
            (high, _mm256_sub_epi32(n, _mm256_slli_epi32::<7>(high)))
        }}
        fn total_int(a: __m256i) -> i32 {{
            let a = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            let a = _mm_add_epi32(a, _mm_shuffle_epi32::<0b01_00_11_10>(a));
            _mm_cvtsi128_si32(_mm_add_epi32(a, _mm_shuffle_epi32::<0b10_11_00_01>(a)))
        }}
        fn splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
        fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn mul(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        fn fma(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
        fn real(a: __m256i) -> __m256 { _mm256_cvtepi32_ps(a) }
        fn nearest(a: __m256) -> __m256i {{
            let ordered = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_ORD_Q>(a, a));
            _mm256_and_si256(_mm256_cvtps_epi32(a), ordered)
        }}
        fn max_abs(a: __m256, most: __m256) -> __m256 {
            _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a), most)
        }
        fn max_bits(a: __m256, most: __m256i) -> __m256i {
            _mm256_max_epu32(_mm256_castps_si256(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a)), most)
        }
        fn largest_bits(a: __m256i) -> u32 {{
            let a = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            let a = _mm_max_epu32(a, _mm_shuffle_epi32::<0b01_00_11_10>(a));
            _mm_cvtsi128_si32(_mm_max_epu32(a, _mm_shuffle_epi32::<0b10_11_00_01>(a))) as u32
        }}
        fn largest(a: __m256) -> f32 {{
            let a = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_max_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)))
        }}
        fn total(a: __m256) -> f32 {{
            let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
        }}
    }
}
