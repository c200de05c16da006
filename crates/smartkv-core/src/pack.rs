//! Dense little-endian bit packing of integer codes.

use crate::format::Bits;

/// Appends `codes` to `out`, `bits` bits each, lowest bits first. Higher bits of a code are
/// ignored.
///
/// # Panics
/// When `codes.len()` is not a multiple of 8, or `bits` is [`Bits::F16`].
pub fn pack(bits: Bits, codes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + codes.len() * bits.count() / 8, 0);
    pack_into(bits, codes, &mut out[start..]);
}

/// [`pack`] in place: fills `packed`.
///
/// # Panics
/// When the lengths do not match, and as [`pack`] does.
pub fn pack_into(bits: Bits, codes: &[u8], packed: &mut [u8]) {
    check(bits, codes.len(), packed.len());
    match bits.count() {
        2 => squeeze::<2>(codes, packed),
        3 => squeeze::<3>(codes, packed),
        4 => squeeze::<4>(codes, packed),
        _ => packed.copy_from_slice(codes),
    }
}

/// The inverse of [`pack`]: fills `codes` from `packed`.
///
/// # Panics
/// When the lengths do not match, `codes.len()` is not a multiple of 8, or `bits` is
/// [`Bits::F16`].
pub fn unpack(bits: Bits, packed: &[u8], codes: &mut [u8]) {
    check(bits, codes.len(), packed.len());
    match bits.count() {
        2 => spread::<2>(packed, codes),
        3 => spread::<3>(packed, codes),
        4 => spread::<4>(packed, codes),
        _ => codes.copy_from_slice(packed),
    }
}

fn check(bits: Bits, codes: usize, packed: usize) {
    assert!(bits.count() <= 8, "{bits:?} has no integer codes");
    assert!(
        codes.is_multiple_of(8),
        "{codes} codes: expected a multiple of 8"
    );
    assert_eq!(packed * 8, codes * bits.count(), "packed length");
}

/// Eight codes at a time: neighbours are joined in pairs, fours and eights.
fn squeeze<const WIDTH: usize>(codes: &[u8], packed: &mut [u8]) {
    let (one, two, four) = masks::<WIDTH>();
    let (codes, _) = codes.as_chunks::<8>();
    let (packed, _) = packed.as_chunks_mut::<WIDTH>();
    for (codes, packed) in codes.iter().zip(packed) {
        let word = u64::from_le_bytes(*codes) & one;
        let word = (word | word >> (8 - WIDTH)) & two;
        let word = (word | word >> (16 - 2 * WIDTH)) & four;
        let word = word | word >> (32 - 4 * WIDTH);
        packed.copy_from_slice(&word.to_le_bytes()[..WIDTH]);
    }
}

/// The inverse of [`squeeze`].
fn spread<const WIDTH: usize>(packed: &[u8], codes: &mut [u8]) {
    let (one, two, four) = masks::<WIDTH>();
    let (codes, _) = codes.as_chunks_mut::<8>();
    let (packed, _) = packed.as_chunks::<WIDTH>();
    for (codes, packed) in codes.iter_mut().zip(packed) {
        let mut word = [0u8; 8];
        word[..WIDTH].copy_from_slice(packed);
        let word = u64::from_le_bytes(word);
        let word = (word | word << (32 - 4 * WIDTH)) & four;
        let word = (word | word << (16 - 2 * WIDTH)) & two;
        *codes = ((word | word << (8 - WIDTH)) & one).to_le_bytes();
    }
}

/// The bits of one code in every byte, of two in every 16 bits, of four in every 32.
const fn masks<const WIDTH: usize>() -> (u64, u64, u64) {
    (
        ((1 << WIDTH) - 1) * 0x0101_0101_0101_0101,
        ((1 << (2 * WIDTH)) - 1) * 0x0001_0001_0001_0001,
        ((1 << (4 * WIDTH)) - 1) * 0x0000_0001_0000_0001,
    )
}
