//! NEON, with and without the dot product of unsigned and signed bytes.
//!
//! A few instructions have no stable intrinsic and are written out.
#![allow(
    unused_unsafe,
    reason = "some compilers take these intrinsics for safe, some do not"
)]

use super::{Integers, Kernel};
use half::f16;
use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

/// Four lanes. `MIXED` is proof of the extension `i8mm`; NEON every processor has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon<const MIXED: bool>(());

impl<const MIXED: bool> Neon<MIXED> {
    /// The set, if this processor has it.
    pub(crate) fn detect() -> Option<Self> {
        (!MIXED || is_aarch64_feature_detected!("i8mm")).then_some(Self(()))
    }
}

/// Methods that are one or a few instructions.
macro_rules! instructions {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $out:ty { $body:expr })*) => {
        $(
            #[inline(always)]
            fn $name(self, $($argument: $type),*) -> $out {
                // SAFETY: every processor of this architecture has the instructions; the token
                // proves those of an extension.
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
                // SAFETY: as above; the caller promises the memory.
                unsafe { $body }
            }
        )*
    };
}

impl<const MIXED: bool> Integers for Neon<MIXED> {
    type Codes = uint8x16_t;
    type Sums = int32x4_t;
    type Reals = float32x4_t;

    const LANES: usize = 4;

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "i8mm")]
        fn mixed<K: Kernel>(simd: Neon<true>, kernel: K) -> K::Out {
            kernel.run(simd)
        }
        if MIXED {
            // SAFETY: the token proves that the processor has the instructions.
            unsafe { mixed(Neon(()), kernel) }
        } else {
            kernel.run(self)
        }
    }

    accesses! {
        fn load_codes(at: *const u8) -> uint8x16_t { vld1q_u8(at) }
        fn store_codes(at: *mut u8, codes: uint8x16_t) { vst1q_u8(at, codes) }
        fn spread(at: *const i8) -> uint8x16_t {
            vreinterpretq_u8_u32(vdupq_n_u32(at.cast::<u32>().read_unaligned()))
        }
        fn store_digits(at: *mut i8, digits: int32x4_t) {{
            let words = vmovn_s32(digits);
            let bytes = vreinterpret_u32_s8(vmovn_s16(vcombine_s16(words, words)));
            at.cast::<u32>().write_unaligned(vget_lane_u32::<0>(bytes));
        }}
        fn load(at: *const f32) -> float32x4_t { vld1q_f32(at) }
        fn store(at: *mut f32, v: float32x4_t) { vst1q_f32(at, v) }
        fn load_half(at: *const f16) -> float32x4_t {{
            let halves = vld1_u16(at.cast());
            let wide: float32x4_t;
            asm!(
                "fcvtl {wide:v}.4s, {halves:v}.4h",
                wide = lateout(vreg) wide,
                halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
            wide
        }}
    }

    instructions! {
        fn prefetch(at: *const u8) -> () {
            asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags))
        }
        fn splat_code(code: u8) -> uint8x16_t { vdupq_n_u8(code) }
        fn and(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vandq_u8(a, b) }
        fn or(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vorrq_u8(a, b) }
        fn right(a: uint8x16_t, by: usize) -> uint8x16_t {
            vshlq_u8(a, vdupq_n_s8(-(by as i8)))
        }
        fn left(a: uint8x16_t, by: usize) -> uint8x16_t { vshlq_u8(a, vdupq_n_s8(by as i8)) }
        fn table(bytes: &[u8; 16]) -> uint8x16_t { vld1q_u8(bytes.as_ptr()) }
        fn lookup(table: uint8x16_t, codes: uint8x16_t) -> uint8x16_t { vqtbl1q_u8(table, codes) }
        fn dot(sums: int32x4_t, codes: uint8x16_t, digits: uint8x16_t) -> int32x4_t {
            if MIXED {
                let mut sums = sums;
                asm!(
                    ".arch_extension i8mm",
                    "usdot {sums:v}.4s, {codes:v}.16b, {digits:v}.16b",
                    sums = inout(vreg) sums,
                    codes = in(vreg) codes,
                    digits = in(vreg) digits,
                    options(pure, nomem, nostack, preserves_flags),
                );
                sums
            } else {
                // Digits are the same in every lane. Products fit 16 bits, and so do sums of two.
                let digits = vmovl_s8(vget_low_s8(vreinterpretq_s8_u8(digits)));
                let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));
                let high = vreinterpretq_s16_u16(vmovl_high_u8(codes));
                let pairs = vpaddq_s16(vmulq_s16(low, digits), vmulq_s16(high, digits));
                vpadalq_s16(sums, pairs)
            }
        }
        fn splat_int(x: i32) -> int32x4_t { vdupq_n_s32(x) }
        fn sub_int(a: int32x4_t, b: int32x4_t) -> int32x4_t { vsubq_s32(a, b) }
        fn add_int(a: int32x4_t, b: int32x4_t) -> int32x4_t { vaddq_s32(a, b) }
        fn whole(high: int32x4_t, low: int32x4_t) -> int32x4_t {
            vaddq_s32(vshlq_n_s32::<7>(high), low)
        }
        fn split(n: int32x4_t) -> (int32x4_t, int32x4_t) {{
            let high = vshrq_n_s32::<7>(vaddq_s32(n, vdupq_n_s32(64)));
            (high, vsubq_s32(n, vshlq_n_s32::<7>(high)))
        }}
        fn total_int(a: int32x4_t) -> i32 { vaddvq_s32(a) }
        fn splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
            vfmaq_f32(c, a, b)
        }
        fn real(a: int32x4_t) -> float32x4_t { vcvtq_f32_s32(a) }
        fn nearest(a: float32x4_t) -> int32x4_t { vcvtnq_s32_f32(a) }
        fn max_abs(a: float32x4_t, most: float32x4_t) -> float32x4_t {{
            let a = vabsq_f32(a);
            vbslq_f32(vcgtq_f32(a, most), a, most)
        }}
        fn max_bits(a: float32x4_t, most: int32x4_t) -> int32x4_t {
            vreinterpretq_s32_u32(vmaxq_u32(
                vreinterpretq_u32_f32(vabsq_f32(a)),
                vreinterpretq_u32_s32(most),
            ))
        }
        fn largest_bits(a: int32x4_t) -> u32 { vmaxvq_u32(vreinterpretq_u32_s32(a)) }
        fn largest(a: float32x4_t) -> f32 { vmaxvq_f32(a) }
        fn total(a: float32x4_t) -> f32 { vaddvq_f32(a) }
    }
}
