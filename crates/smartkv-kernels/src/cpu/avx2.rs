//! Eight lanes: AVX2 with FMA and F16C.

use super::simd::{F8, Grid, Kernel, LEVEL, MAX_LANES, Simd};
use half::f16;
use std::arch::x86_64::*;

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Simd for Avx2 {
    type V = __m256;
    type Narrow = Self;

    const NAME: &'static str = "avx2";
    const LANES: usize = 8;
    const TABLE_BITS: usize = 3;
    const TILE_QUERIES: usize = 6;

    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    fn narrow(self) -> Self {
        self
    }

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn exponent(self, a: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a))) }
    }

    #[inline(always)]
    fn zero_below(self, a: __m256, x: __m256, limit: __m256) -> __m256 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(x, limit), a) }
    }

    #[inline(always)]
    unsafe fn load(self, at: *const f32) -> __m256 {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe { _mm256_loadu_ps(at) }
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32, v: __m256) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe { _mm256_storeu_ps(at, v) }
    }

    #[inline(always)]
    fn grid<const BITS: usize>(self, scale: f32, zero: f32) -> Grid<__m256> {
        let (scale, zero) = (self.splat(scale), self.splat(zero));
        // SAFETY: the token proves that the processor has the instructions.
        let codes = unsafe {
            match BITS {
                2 => _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0),
                3 => _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
                _ => return Grid { scale, zero },
            }
        };
        Grid {
            scale: self.fma(codes, scale, zero),
            zero,
        }
    }

    #[inline(always)]
    fn table(self, levels: &[f32; MAX_LANES], scale: f32, zero: f32) -> Grid<Self::V> {
        let (scale, zero) = (self.splat(scale), self.splat(zero));
        // SAFETY: there are at least as many levels as lanes.
        let levels = unsafe { self.load(levels.as_ptr()) };
        Grid {
            scale: self.fma(levels, scale, zero),
            zero,
        }
    }

    #[inline(always)]
    fn overread<const BITS: usize>() -> usize {
        // Three bytes are read as a 32-bit word.
        usize::from(BITS == 3)
    }

    #[inline(always)]
    unsafe fn decode<const BITS: usize>(self, at: *const u8, grid: Grid<__m256>) -> __m256 {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            match BITS {
                // The permutation looks at the low three bits of its index, so a shift is all
                // that isolates a code: the table repeats every four values for two bits.
                2 => {
                    let word = _mm256_set1_epi16(at.cast::<i16>().read_unaligned());
                    let shift = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
                    _mm256_permutevar8x32_ps(grid.scale, _mm256_srlv_epi32(word, shift))
                }
                3 => {
                    let word = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
                    let shift = _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21);
                    _mm256_permutevar8x32_ps(grid.scale, _mm256_srlv_epi32(word, shift))
                }
                4 => {
                    let word = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
                    let shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
                    let codes =
                        _mm256_and_si256(_mm256_srlv_epi32(word, shift), _mm256_set1_epi32(15));
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(codes), grid.scale, grid.zero)
                }
                8 => {
                    let codes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(at.cast()));
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(codes), grid.scale, grid.zero)
                }
                F8 => {
                    // The byte into the high half, then all but the sign down by a bit: an f16
                    // whose exponent is biased by 8 more.
                    let words = _mm_unpacklo_epi8(_mm_setzero_si128(), _mm_loadl_epi64(at.cast()));
                    let halves = _mm_and_si128(_mm_srai_epi16::<1>(words), _mm_set1_epi16(!0x4000));
                    _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_set1_ps(256.0))
                }
                LEVEL => {
                    let levels = _mm256_cvtepi8_epi32(_mm_loadl_epi64(at.cast()));
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(levels), grid.scale, grid.zero)
                }
                _ => _mm256_cvtph_ps(_mm_loadu_si128(at.cast())),
            }
        }
    }

    #[inline(always)]
    unsafe fn row_sums(self, at: *const f32) -> __m256 {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            // `w[e]`: partial sums of row `e` in the low half, of row `4 + e` in the high half.
            let mut w = [_mm256_setzero_ps(); 4];
            for (e, sums) in w.iter_mut().enumerate() {
                let a = _mm256_loadu_ps(at.add(8 * e));
                let b = _mm256_loadu_ps(at.add(8 * (4 + e)));
                *sums = _mm256_add_ps(
                    _mm256_permute2f128_ps::<0x20>(a, b),
                    _mm256_permute2f128_ps::<0x31>(a, b),
                );
            }
            let pair = |a, b| _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (a, b) = (pair(w[0], w[1]), pair(w[2], w[3]));
            let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
            _mm256_add_ps(
                _mm256_castpd_ps(_mm256_unpacklo_pd(a, b)),
                _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)),
            )
        }
    }

    #[inline(always)]
    unsafe fn transpose8(self, from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            let mut a = [_mm256_setzero_ps(); 8];
            for (r, row) in a.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(from.add(r * from_step));
            }
            let mut b = a;
            for r in [0, 2, 4, 6] {
                b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
                b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
            }
            for r in [0, 4] {
                a[r] = _mm256_shuffle_ps::<0x44>(b[r], b[r + 2]);
                a[r + 1] = _mm256_shuffle_ps::<0xEE>(b[r], b[r + 2]);
                a[r + 2] = _mm256_shuffle_ps::<0x44>(b[r + 1], b[r + 3]);
                a[r + 3] = _mm256_shuffle_ps::<0xEE>(b[r + 1], b[r + 3]);
            }
            for r in 0..4 {
                let low = _mm256_permute2f128_ps::<0x20>(a[r], a[r + 4]);
                let high = _mm256_permute2f128_ps::<0x31>(a[r], a[r + 4]);
                _mm256_storeu_ps(to.add(r * to_step), low);
                _mm256_storeu_ps(to.add((r + 4) * to_step), high);
            }
        }
    }

    #[inline(always)]
    fn least(self, a: __m256) -> f32 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            let a = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_min_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_min_ss(a, _mm_movehdup_ps(a)))
        }
    }

    #[inline(always)]
    fn greatest(self, a: __m256) -> f32 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            let a = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_max_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)))
        }
    }

    #[inline(always)]
    unsafe fn store_codes(self, at: *mut u8, v: __m256) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            // Nothing is negative: cut, then add one from a half on. The difference is exact, so
            // this is `f32::round`; `v + 0.5` would not be.
            let cut = _mm256_cvttps_epi32(v);
            let rest = _mm256_sub_ps(v, _mm256_cvtepi32_ps(cut));
            let up = _mm256_cmp_ps::<_CMP_GE_OQ>(rest, _mm256_set1_ps(0.5));
            let codes = _mm256_sub_epi32(cut, _mm256_castps_si256(up));
            let (low, high) = (
                _mm256_castsi256_si128(codes),
                _mm256_extracti128_si256::<1>(codes),
            );
            let words = _mm_packus_epi32(low, high);
            _mm_storel_epi64(at.cast(), _mm_packus_epi16(words, words));
        }
    }

    #[inline(always)]
    unsafe fn store_f16<const ROUNDING: i32>(self, at: *mut f16, v: __m256) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe { _mm_storeu_si128(at.cast(), _mm256_cvtps_ph::<ROUNDING>(v)) }
    }

    #[inline(always)]
    unsafe fn store_f8(self, at: *mut u8, v: __m256) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            let size = _mm256_andnot_ps(_mm256_set1_ps(-0.0), v);
            let size = _mm256_min_ps(size, _mm256_set1_ps(448.0));
            // Adding and removing a power of two rounds to the step of an e4m3 number.
            let exponent = _mm256_srli_epi32::<23>(_mm256_castps_si256(size));
            let exponent = _mm256_max_epi32(exponent, _mm256_set1_epi32(121));
            let magic = _mm256_add_epi32(exponent, _mm256_set1_epi32(20));
            let magic = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(magic));
            let rounded = _mm256_sub_ps(_mm256_add_ps(size, magic), magic);
            let halves = _mm256_mul_ps(rounded, _mm256_set1_ps(1.0 / 256.0));
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(halves);
            let signs = _mm256_srli_epi32::<31>(_mm256_castps_si256(v));
            let signs = _mm_packus_epi32(
                _mm256_castsi256_si128(signs),
                _mm256_extracti128_si256::<1>(signs),
            );
            let words = _mm_or_si128(_mm_srli_epi16::<7>(halves), _mm_slli_epi16::<7>(signs));
            _mm_storel_epi64(at.cast(), _mm_packus_epi16(words, words));
        }
    }
}
