//! Sixteen lanes: AVX-512 F, BW, DQ and VL.

use super::avx2::Avx2;
use super::simd::{F8, Grid, Kernel, LEVEL, MAX_LANES, Simd, width};
use half::f16;
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, BW, DQ and VL besides what [`Avx2`] stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(Avx2);

impl Simd for Avx512 {
    type V = __m512;
    type Narrow = Avx2;

    const NAME: &'static str = "avx512";
    const LANES: usize = 16;
    const TABLE_BITS: usize = 4;
    const TILE_QUERIES: usize = 8;

    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| found).map(Self)
    }

    fn narrow(self) -> Avx2 {
        self.0
    }

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn compiled<K: Kernel>(simd: Avx512, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn exponent(self, a: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a))) }
    }

    #[inline(always)]
    fn zero_below(self, a: __m512, x: __m512, limit: __m512) -> __m512 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, limit), a) }
    }

    #[inline(always)]
    unsafe fn load(self, at: *const f32) -> __m512 {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe { _mm512_loadu_ps(at) }
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32, v: __m512) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe { _mm512_storeu_ps(at, v) }
    }

    #[inline(always)]
    fn grid<const BITS: usize>(self, scale: f32, zero: f32) -> Grid<__m512> {
        let (scale, zero) = (self.splat(scale), self.splat(zero));
        if BITS > 4 {
            return Grid { scale, zero };
        }
        // SAFETY: the token proves that the processor has the instructions.
        let codes = unsafe {
            let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            _mm512_cvtepi32_ps(_mm512_and_si512(lane, _mm512_set1_epi32((1 << BITS) - 1)))
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
        // A pair of vectors takes twelve bytes of three-bit codes; sixteen are read.
        if BITS == 3 { 4 } else { 0 }
    }

    #[inline(always)]
    unsafe fn decode<const BITS: usize>(self, at: *const u8, grid: Grid<__m512>) -> __m512 {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            // The word that holds the codes of a lane: the same for all, or one for each half.
            let word = |offset| at.add(offset).cast::<i32>().read_unaligned();
            let halves = |a, b| _mm512_mask_set1_epi32(_mm512_set1_epi32(word(a)), 0xFF00, word(b));
            // The permutation looks at the low four bits of its index, so a shift is all that
            // isolates a code: the table repeats for two and three bits.
            let look_up =
                |words, shift| _mm512_permutexvar_ps(_mm512_srlv_epi32(words, shift), grid.scale);
            match BITS {
                2 => look_up(
                    _mm512_set1_epi32(word(0)),
                    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
                ),
                // The second word starts a byte early, so that it ends with the last code.
                3 => look_up(
                    halves(0, 2),
                    _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 8, 11, 14, 17, 20, 23, 26, 29),
                ),
                4 => look_up(
                    halves(0, 4),
                    _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28),
                ),
                8 => {
                    let codes = _mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast()));
                    _mm512_fmadd_ps(_mm512_cvtepi32_ps(codes), grid.scale, grid.zero)
                }
                F8 => {
                    // The byte into the high half, then all but the sign down by a bit: an f16
                    // whose exponent is biased by 8 more.
                    let bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(at.cast()));
                    let halves = _mm256_srai_epi16::<1>(_mm256_slli_epi16::<8>(bytes));
                    let halves = _mm256_and_si256(halves, _mm256_set1_epi16(!0x4000));
                    _mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_set1_ps(256.0))
                }
                LEVEL => {
                    let levels = _mm512_cvtepi8_epi32(_mm_loadu_si128(at.cast()));
                    _mm512_fmadd_ps(_mm512_cvtepi32_ps(levels), grid.scale, grid.zero)
                }
                _ => _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())),
            }
        }
    }

    /// For three and four bits, every quarter of both vectors is cut from the same 32-bit words,
    /// each with eight codes: lane `4 k + w` of the vector `h` is code `4 h + k` of word `w`.
    #[inline(always)]
    unsafe fn decode_pair<const BITS: usize>(
        self,
        at: *const u8,
        grid: Grid<__m512>,
    ) -> [__m512; 2] {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            if !Self::reorders::<BITS>() {
                let next = at.add(16 * width(BITS) / 8);
                return [
                    self.decode::<BITS>(at, grid),
                    self.decode::<BITS>(next, grid),
                ];
            }
            let mut words = _mm512_broadcast_i32x4(_mm_loadu_si128(at.cast()));
            if BITS == 3 {
                let spread = _mm_setr_epi8(0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12);
                words = _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(spread));
            }
            let b = BITS as i32;
            let (c, d) = (2 * b, 3 * b);
            let shift = _mm512_setr_epi32(0, 0, 0, 0, b, b, b, b, c, c, c, c, d, d, d, d);
            let later = _mm512_add_epi32(shift, _mm512_set1_epi32(4 * b));
            [
                _mm512_permutexvar_ps(_mm512_srlv_epi32(words, shift), grid.scale),
                _mm512_permutexvar_ps(_mm512_srlv_epi32(words, later), grid.scale),
            ]
        }
    }

    #[inline(always)]
    fn reorders<const BITS: usize>() -> bool {
        BITS == 3 || BITS == 4
    }

    #[inline(always)]
    fn in_order<const BITS: usize>(self, natural: [__m512; 2]) -> [__m512; 2] {
        if !Self::reorders::<BITS>() {
            return natural;
        }
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            let from = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
            let later = _mm512_add_epi32(from, _mm512_set1_epi32(4));
            [
                _mm512_permutex2var_ps(natural[0], from, natural[1]),
                _mm512_permutex2var_ps(natural[0], later, natural[1]),
            ]
        }
    }

    #[inline(always)]
    fn natural<const BITS: usize>(self, in_order: [__m512; 2]) -> [__m512; 2] {
        if !Self::reorders::<BITS>() {
            return in_order;
        }
        // SAFETY: the token proves that the processor has the instructions.
        unsafe {
            let from = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
            let later = _mm512_add_epi32(from, _mm512_set1_epi32(2));
            [
                _mm512_permutex2var_ps(in_order[0], from, in_order[1]),
                _mm512_permutex2var_ps(in_order[0], later, in_order[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn row_sums(self, at: *const f32) -> __m512 {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            let pair = |a, b| {
                _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0x88>(a, b),
                    _mm512_shuffle_f32x4::<0xDD>(a, b),
                )
            };
            // `w[e]`: partial sums of the rows `e`, `4 + e`, `8 + e` and `12 + e`, a quarter each.
            let mut w = [_mm512_setzero_ps(); 4];
            for (e, sums) in w.iter_mut().enumerate() {
                let row = |quarter: usize| _mm512_loadu_ps(at.add(16 * (4 * quarter + e)));
                *sums = pair(pair(row(0), row(1)), pair(row(2), row(3)));
            }
            let pair = |a, b| _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (a, b) = (pair(w[0], w[1]), pair(w[2], w[3]));
            let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
            _mm512_add_ps(
                _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)),
            )
        }
    }

    #[inline(always)]
    unsafe fn transpose8(self, from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        // SAFETY: promised by the caller.
        unsafe { self.0.transpose8(from, from_step, to, to_step) }
    }

    #[inline(always)]
    fn least(self, a: __m512) -> f32 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_reduce_min_ps(a) }
    }

    #[inline(always)]
    fn greatest(self, a: __m512) -> f32 {
        // SAFETY: the token proves that the processor has the instructions.
        unsafe { _mm512_reduce_max_ps(a) }
    }

    #[inline(always)]
    unsafe fn store_codes(self, at: *mut u8, v: __m512) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            // As with eight lanes.
            let cut = _mm512_cvttps_epi32(v);
            let rest = _mm512_sub_ps(v, _mm512_cvtepi32_ps(cut));
            let up = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(rest, _mm512_set1_ps(0.5));
            let codes = _mm512_mask_add_epi32(cut, up, cut, _mm512_set1_epi32(1));
            _mm_storeu_si128(at.cast(), _mm512_cvtepi32_epi8(codes));
        }
    }

    #[inline(always)]
    unsafe fn store_f16<const ROUNDING: i32>(self, at: *mut f16, v: __m512) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe { _mm256_storeu_si256(at.cast(), _mm512_cvtps_ph::<ROUNDING>(v)) }
    }

    #[inline(always)]
    unsafe fn store_f8(self, at: *mut u8, v: __m512) {
        // SAFETY: the token proves the instructions; the caller promises the memory.
        unsafe {
            let size = _mm512_min_ps(_mm512_abs_ps(v), _mm512_set1_ps(448.0));
            // Adding and removing a power of two rounds to the step of an e4m3 number.
            let exponent = _mm512_srli_epi32::<23>(_mm512_castps_si512(size));
            let exponent = _mm512_max_epi32(exponent, _mm512_set1_epi32(121));
            let magic = _mm512_add_epi32(exponent, _mm512_set1_epi32(20));
            let magic = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(magic));
            let rounded = _mm512_sub_ps(_mm512_add_ps(size, magic), magic);
            let halves = _mm512_mul_ps(rounded, _mm512_set1_ps(1.0 / 256.0));
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(halves);
            let signs = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<31>(_mm512_castps_si512(v)));
            let words = _mm256_srli_epi16::<7>(halves);
            let words = _mm256_or_si256(words, _mm256_slli_epi16::<7>(signs));
            _mm_storeu_si128(at.cast(), _mm256_cvtepi16_epi8(words));
        }
    }
}
