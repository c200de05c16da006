//! 8-bit floating point, e4m3 without infinities ("FP8 formats for deep learning",
//! arXiv 2209.05433): 1 sign bit, 4 exponent bits with bias 7, 3 mantissa bits.

use half::f16;

/// Largest finite value.
const LARGEST: f32 = 448.0;
/// An e4m3 number whose bits are moved into an f16 is smaller by this: the biases differ by 8.
const BIAS: f32 = 256.0;

/// The nearest e4m3 number, of two as near the one with an even mantissa; beyond ±448 the largest.
#[must_use]
pub fn f8_from_f32(x: f32) -> u8 {
    let sign = if x.is_sign_negative() { 0x80 } else { 0 };
    let x = x.abs().min(LARGEST);
    // Adding and removing a power of two rounds to the step of x: 2^-9 below 2^-6, an eighth of
    // its power of two above.
    let exponent = (x.to_bits() >> 23).max(121); // 2^-6
    let magic = f32::from_bits((exponent + 20) << 23);
    let rounded = (x + magic) - magic;
    let half = f16::from_f32(rounded / BIAS).to_bits();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "448 / 256 has its bits below 2^14"
    )]
    let magnitude = (half >> 7) as u8;
    sign | magnitude
}

/// The value of an e4m3 number.
#[must_use]
pub fn f8_to_f32(code: u8) -> f32 {
    let (sign, rest) = (u16::from(code & 0x80), u16::from(code & 0x7F));
    f16::from_bits(sign << 8 | rest << 7).to_f32() * BIAS
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "every number is exact")]
mod tests {
    use super::*;

    /// Every number by the definition of the format.
    fn value(code: u8) -> f64 {
        let (exponent, mantissa) = (i32::from(code >> 3 & 15), f64::from(code & 7));
        let magnitude = match exponent {
            0 => mantissa / 8.0 * 2f64.powi(-6),
            e => (1.0 + mantissa / 8.0) * 2f64.powi(e - 7),
        };
        if code & 0x80 == 0 {
            magnitude
        } else {
            -magnitude
        }
    }

    #[test]
    fn every_number_round_trips() {
        for code in (0..=255u8).filter(|code| code & 0x7F != 0x7F) {
            assert_eq!(f64::from(f8_to_f32(code)), value(code), "{code:#x}");
            assert_eq!(f8_from_f32(f8_to_f32(code)), code);
        }
    }

    #[test]
    fn the_nearest_number_is_taken() {
        let mut x = 1e-4f32;
        while x < 600.0 {
            let got = f64::from(f8_to_f32(f8_from_f32(x)));
            let best = (0..0x7Fu8)
                .map(|code| (value(code) - f64::from(x)).abs())
                .fold(f64::INFINITY, f64::min);
            assert_eq!((got - f64::from(x)).abs(), best, "{x} became {got}");
            assert_eq!(f8_to_f32(f8_from_f32(-x)), -f8_to_f32(f8_from_f32(x)));
            x *= 1.013;
        }
    }

    #[test]
    fn ties_go_to_the_even_mantissa() {
        // Between 1 (mantissa 0) and 1.125 (1), and between 1.125 and 1.25 (2).
        assert_eq!(f8_to_f32(f8_from_f32(1.0625)), 1.0);
        assert_eq!(f8_to_f32(f8_from_f32(1.1875)), 1.25);
    }
}
