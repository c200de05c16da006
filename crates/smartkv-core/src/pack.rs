//! Dense little-endian bit packing of integer codes.

use crate::format::Bits;

/// Appends `codes` to `out`, `bits` bits each, lowest bits first.
///
/// # Panics
/// When `codes.len()` is not a multiple of 8, or `bits` is [`Bits::F16`].
pub fn pack(bits: Bits, codes: &[u8], out: &mut Vec<u8>) {
    assert!(
        codes.len().is_multiple_of(8),
        "{} codes: expected a multiple of 8",
        codes.len()
    );
    let width = bits.count();
    assert!(width <= 8, "{bits:?} has no integer codes");
    for eight in codes.chunks_exact(8) {
        let word = eight
            .iter()
            .rev()
            .fold(0u64, |word, &code| (word << width) | u64::from(code));
        out.extend_from_slice(&word.to_le_bytes()[..width]);
    }
}

/// The inverse of [`pack`]: fills `codes` from `packed`.
///
/// # Panics
/// When the lengths do not match, `codes.len()` is not a multiple of 8, or `bits` is
/// [`Bits::F16`].
pub fn unpack(bits: Bits, packed: &[u8], codes: &mut [u8]) {
    let width = bits.count();
    assert!(width <= 8, "{bits:?} has no integer codes");
    assert!(
        codes.len().is_multiple_of(8),
        "{} codes: expected a multiple of 8",
        codes.len()
    );
    assert_eq!(packed.len() * 8, codes.len() * width, "packed length");
    let mask = bits.max_code();
    for (eight, bytes) in codes.chunks_exact_mut(8).zip(packed.chunks_exact(width)) {
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        for (j, code) in eight.iter_mut().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "masked to at most 8 bits")]
            let value = ((word >> (j * width)) & u64::from(mask)) as u8;
            *code = value;
        }
    }
}
