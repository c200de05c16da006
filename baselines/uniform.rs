//! The same number of bits for every token.

use smartkv_core::{Bits, CacheShape, Error, Format, Layout, Result, Strategy, Tier, config, strategy};

/// Stores every token in the same integer format, rounded to nearest per token and head.
///
/// The plain baseline of every paper: each row of `head_dim` channels is cut into groups with a
/// scale (and zero point) of their own. With `group_size: 32, symmetric: true` it takes the bytes of
/// llama.cpp's `q8_0` and `q4_0` caches, and rounds as the former; the latter puts the largest
/// magnitude of a group at -8, this at ±7. Packed; needs keys and values after `RoPE` only.
#[config]
pub struct Uniform {
    /// Bits of a key element: 2, 3, 4, 8 or 16.
    #[default(4)]
    pub key_bits: u8,
    /// Bits of a value element: 2, 3, 4, 8 or 16.
    #[default(4)]
    pub value_bits: u8,
    /// Channels that share a scale; 0 is the whole head.
    #[default(32)]
    pub group_size: usize,
    /// Symmetric around zero: one scale a group and no zero point.
    pub symmetric: bool,
    /// Newest tokens kept in f16.
    pub window: usize,
    /// First tokens kept in f16.
    pub sinks: usize,
    /// Rotate each head by a Hadamard transform before rounding (`QuaRot`, arXiv 2404.00456).
    pub rotate: bool,
}

#[strategy("uniform", family = "quantizer")]
impl Strategy for Uniform {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let format = |name, count| {
            let bits = Bits::from_count(count)
                .map_err(|_| Error::parameter(name, count, "expected 2, 3, 4, 8 or 16"))?;
            Ok(Format::new(bits, self.group_size, self.symmetric))
        };
        let tier = Tier {
            k: format("key_bits", self.key_bits)?,
            v: format("value_bits", self.value_bits)?,
        };
        let Self { window, sinks, rotate, .. } = *self;
        Ok(Layout { window, sinks, rotate: rotate.into(), ..Layout::constant(tier) })
    }
}
