//! GGUF's block formats as rows of integer codes, for [`smartkv_core::PackedRows`].
//!
//! `Q4_0`, `Q4_1`, `Q5_0`, `Q5_1` and `Q8_0` are carried over exactly. The K formats multiply two
//! scales; their product is rounded to f16, by at most `2^-11` of it, and so is `Q4_K`'s and
//! `Q5_K`'s offset: far below the steps between codes.

use candle_core::quantized::GgmlDType;
use half::f16;
use smartkv_core::{Bits, Format};

/// The format that holds rows stored as `stored`, if there is one.
pub(crate) fn packed_format(stored: GgmlDType) -> Option<Format> {
    Some(match stored {
        GgmlDType::Q4_0 => Format::symmetric(Bits::B4, 32),
        GgmlDType::Q4_1 | GgmlDType::Q4K => Format::asymmetric(Bits::B4, 32),
        GgmlDType::Q5_0 | GgmlDType::Q8_0 => Format::symmetric(Bits::B8, 32),
        GgmlDType::Q5_1 | GgmlDType::Q5K => Format::asymmetric(Bits::B8, 32),
        GgmlDType::Q6K => Format::symmetric(Bits::B8, 16),
        _ => return None,
    })
}

/// One row of codes, scales and zero points.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) codes: Vec<u8>,
    pub(crate) scales: Vec<f16>,
    pub(crate) zeros: Vec<f16>,
}

impl Row {
    /// Takes over the blocks of a row; the type must have a [`packed_format`].
    pub(crate) fn decode(&mut self, stored: GgmlDType, bytes: &[u8]) {
        self.codes.clear();
        self.scales.clear();
        self.zeros.clear();
        for block in bytes.chunks_exact(stored.type_size()) {
            match stored {
                GgmlDType::Q4_0 => {
                    self.scale(half_at(block, 0));
                    self.nibbles(&block[2..], |_| 0);
                }
                GgmlDType::Q4_1 => {
                    self.scale_and_zero(half_at(block, 0), half_at(block, 2));
                    self.nibbles(&block[4..], |_| 0);
                }
                GgmlDType::Q5_0 => {
                    // Zero is code 16 there, 128 here.
                    self.scale(half_at(block, 0));
                    let high = word_at(block, 2);
                    self.nibbles(&block[6..], |i| fifth(high, i));
                    let codes = self.codes.len() - 32;
                    self.codes[codes..].iter_mut().for_each(|c| *c += 112);
                }
                GgmlDType::Q5_1 => {
                    self.scale_and_zero(half_at(block, 0), half_at(block, 2));
                    let high = word_at(block, 4);
                    self.nibbles(&block[8..], |i| fifth(high, i));
                }
                GgmlDType::Q8_0 => {
                    self.scale(half_at(block, 0));
                    self.codes.extend(block[2..].iter().map(|code| code ^ 0x80));
                }
                GgmlDType::Q4K => self.k_nibbles(block, &[], &block[16..]),
                GgmlDType::Q5K => self.k_nibbles(block, &block[16..48], &block[48..]),
                GgmlDType::Q6K => self.q6_k(block),
                _ => unreachable!("{stored:?} has no packed format"),
            }
        }
    }

    fn scale(&mut self, scale: f16) {
        self.scales.push(scale);
    }

    fn scale_and_zero(&mut self, scale: f16, zero: f16) {
        self.scales.push(scale);
        self.zeros.push(zero);
    }

    /// 32 codes: the low halves of 16 bytes, then the high ones; `more` gives further bits.
    fn nibbles(&mut self, bytes: &[u8], more: impl Fn(usize) -> u8) {
        let low = bytes[..16].iter().map(|byte| byte & 15);
        let high = bytes[..16].iter().map(|byte| byte >> 4);
        let codes = low.chain(high).enumerate();
        self.codes.extend(codes.map(|(i, code)| code | more(i)));
    }

    /// A block of `Q4_K`, or of `Q5_K` with the fifth bits of all codes in `fifth`.
    fn k_nibbles(&mut self, block: &[u8], fifth: &[u8], nibbles: &[u8]) {
        let (scale, minimum) = (half_at(block, 0).to_f32(), half_at(block, 2).to_f32());
        for group in 0..8 {
            let (s, m) = k_scale(&block[4..16], group);
            self.scale_and_zero(
                f16::from_f32(scale * f32::from(s)),
                f16::from_f32(-minimum * f32::from(m)),
            );
            // Two neighbouring groups share 32 bytes, the first in the low halves.
            let bytes = &nibbles[group / 2 * 32..][..32];
            let shift = group % 2 * 4;
            self.codes.extend(bytes.iter().enumerate().map(|(i, byte)| {
                let more = fifth.get(i).map_or(0, |bits| (bits >> group & 1) << 4);
                byte >> shift & 15 | more
            }));
        }
    }

    /// A block of `Q6_K`. Its scales have a sign, which goes into the codes.
    fn q6_k(&mut self, block: &[u8]) {
        let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
        let scale = half_at(block, 208).to_f32();
        for (group, factor) in scales.iter().enumerate() {
            let factor = scale * f32::from(factor.cast_signed());
            self.scale(f16::from_f32(factor.abs()));
            // Halves of 128 codes: quarters of 32 share 64 low bytes and 32 high ones.
            let (half, quarter, first) = (group / 8, group % 8 / 2, group % 2 * 16);
            self.codes.extend((first..first + 16).map(|i| {
                let byte = low[half * 64 + quarter % 2 * 32 + i];
                let nibble = byte >> (quarter / 2 * 4) & 15;
                let code = nibble | (high[half * 32 + i] >> (2 * quarter) & 3) << 4;
                if factor < 0.0 {
                    128 + 32 - code
                } else {
                    128 - 32 + code
                }
            }));
        }
    }
}

fn half_at(block: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([block[at], block[at + 1]])
}

fn word_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// Bit `i` in the place of a code's fifth.
fn fifth(bits: u32, i: usize) -> u8 {
    u8::from(bits >> i & 1 == 1) << 4
}

/// Scale and minimum of a group of a K block: 6 bits each, in 12 bytes.
fn k_scale(bytes: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (bytes[group] & 63, bytes[group + 4] & 63);
    }
    let (low, tops) = (bytes[group + 4], [bytes[group - 4], bytes[group]]);
    (
        low & 15 | (tops[0] >> 6) << 4,
        low >> 4 | (tops[1] >> 6) << 4,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    const COUNT: usize = 1024;

    /// Values of every size, in no order.
    fn values() -> Vec<f32> {
        (0..COUNT as u32)
            .map(|i| {
                let noise = f32::from((i.wrapping_mul(2_654_435_761) >> 16) as u16) / 32768.0 - 1.0;
                noise * 1.5f32.powi(i as i32 / 40 % 12 - 8)
            })
            .collect()
    }

    /// Codes, and for each group of them the values that they stand for.
    fn check(stored: GgmlDType, exact: bool) {
        let tensor = Tensor::from_vec(values(), (1, COUNT), &Device::Cpu).unwrap();
        let blocks = QTensor::quantize(&tensor, stored).unwrap();
        let expect = blocks.dequantize(&Device::Cpu).unwrap();
        let expect = expect.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut row = Row::default();
        row.decode(stored, &blocks.data().unwrap());
        let format = packed_format(stored).unwrap();
        let group = format.group(COUNT);
        assert_eq!(row.codes.len(), COUNT);
        assert_eq!(row.scales.len(), COUNT / group);
        let middle = format.bits.max_code().div_ceil(2) as f32;
        for (index, (code, expect)) in row.codes.iter().zip(expect).enumerate() {
            let scale = row.scales[index / group].to_f32();
            let origin = match row.zeros.get(index / group) {
                Some(zero) => zero.to_f32(),
                None => -scale * middle,
            };
            let level = scale * f32::from(*code);
            let value = origin + level;
            // Of the product of scales, and of the offset; the smallest f16 is 2^-24.
            let rounding = (level.abs() + origin.abs()) / 2048.0 + 1e-5;
            let tolerance = if exact { 2e-7 } else { rounding };
            assert!(
                (value - expect).abs() <= tolerance,
                "{stored:?}: element {index} is {value}, expected {expect}"
            );
        }
    }

    #[test]
    fn codes_stand_for_what_candle_decodes() {
        for stored in [
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q5_1,
            GgmlDType::Q8_0,
        ] {
            check(stored, true);
        }
        for stored in [GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K] {
            check(stored, false);
        }
    }

    #[test]
    fn other_types_have_no_packed_format() {
        for stored in [
            GgmlDType::F32,
            GgmlDType::F16,
            GgmlDType::Q2K,
            GgmlDType::Q8K,
        ] {
            assert_eq!(packed_format(stored), None);
        }
    }
}
