//! Hadamard rotation before plain rounding.

use smartkv_core::{Bits, CacheShape, Format, Layout, Result, Rotation, Strategy, Tier};
use smartkv_core::{config, strategy};

/// Rotates each head by a Hadamard transform, then rounds to nearest per token.
///
/// The transform spreads outlier channels over the whole head, so that one scale a row suffices.
/// Keys and queries are rotated after `RoPE`, values and outputs likewise: dot products stay as
/// they were (`QuaRot`, arXiv 2404.00456, which folds the values' rotation into the weights).
/// Packed; needs nothing from the host.
#[config]
pub struct Rotated {
    /// Bits of a key channel: 2, 3, 4 or 8.
    #[default(4)]
    pub key_bits: u8,
    /// Bits of a value channel: 2, 3, 4 or 8.
    #[default(4)]
    pub value_bits: u8,
    /// Channels that share a scale and a zero point; 0 is the whole head.
    pub group_size: usize,
    /// Newest tokens kept in f16.
    pub window: usize,
    /// First tokens kept in f16.
    pub sinks: usize,
}

#[strategy("rotated", family = "quantizer", paper = "arXiv 2404.00456")]
impl Strategy for Rotated {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let format = |count| Ok(Format::asymmetric(Bits::from_count(count)?, self.group_size));
        let tier = Tier { k: format(self.key_bits)?, v: format(self.value_bits)? };
        Ok(Layout {
            window: self.window,
            sinks: self.sinks,
            rotate: Rotation::Hadamard,
            ..Layout::constant(tier)
        })
    }
}
