//! Keys by channel, values by token.

use smartkv_core::{Bits, CacheShape, Error, Format, Layout, Result, Strategy, Tier};
use smartkv_core::{config, strategy};

/// Rounds keys per channel over groups of tokens and values per token over groups of channels.
///
/// Key outliers sit in fixed channels, so a scale of its own for every channel keeps them from
/// spoiling the others. The newest tokens stay in f16 (the residual): a block of keys is rounded
/// when `residual` tokens have gathered and leaves the residual empty, as in the paper. There the
/// values trail by exactly `residual` tokens; here keys and values of a token move together, so
/// values wait with their keys. A prompt attends to its exact keys and values. Packed; needs
/// nothing from the host.
#[config]
pub struct Kivi {
    /// Bits of a key channel: 2 or 4 in the paper.
    #[default(2)]
    pub key_bits: u8,
    /// Bits of a value channel: 2 or 4 in the paper.
    #[default(2)]
    pub value_bits: u8,
    /// Tokens of a channel that share a key scale, and channels of a token that share a value
    /// scale.
    #[default(32)]
    pub group_size: usize,
    /// Tokens that gather in f16 before they are rounded; a multiple of `group_size`.
    #[default(128)]
    pub residual: usize,
}

#[strategy("kivi", family = "quantizer", paper = "arXiv 2402.02750")]
impl Strategy for Kivi {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        if self.group_size == 0 || !self.residual.is_multiple_of(self.group_size) {
            let expected = format!("expected a multiple of group_size {}", self.group_size);
            return Err(Error::parameter("residual", self.residual, expected));
        }
        let tier = Tier {
            k: Format::per_channel(Bits::from_count(self.key_bits)?, self.group_size),
            v: Format::asymmetric(Bits::from_count(self.value_bits)?, self.group_size),
        };
        // A full residual leaves at once: up to `residual` - 1 tokens stay.
        let window = self.residual.saturating_sub(1);
        Ok(Layout { window, period: self.residual.max(1), ..Layout::constant(tier) })
    }
}
