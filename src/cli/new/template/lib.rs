//! `my-strategy`: keys and values in two formats.
//!
//! One file is a whole strategy: copied into `strategies/` of smartkv's own tree it works as well.

use smartkv_core::{Bits, CacheShape, Format, Layout, Result, Strategy, Tier, config, strategy};

/// Stores keys in more bits than values, and the newest tokens in f16.
///
/// The first line is the summary that `smartkv strategies` lists; what follows is the manual. Say
/// what the method needs, what it was published as, and where this version differs.
#[config]
pub struct MyStrategy {
    /// Bits of a key element: 2, 3, 4, 8 or 16.
    #[default(8)]
    #[range(2..=16)]
    pub key_bits: u8,
    /// Bits of a value element: 2, 3, 4, 8 or 16.
    #[default(4)]
    #[range(2..=16)]
    pub value_bits: u8,
    /// Channels that share a scale; 0 is the whole head.
    pub group_size: usize,
    /// Newest tokens kept in f16.
    #[default(16)]
    pub window: usize,
}

#[strategy("my-strategy", family = "quantizer")]
impl Strategy for MyStrategy {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let k = Format::asymmetric(Bits::from_count(self.key_bits)?, self.group_size);
        let v = Format::asymmetric(Bits::from_count(self.value_bits)?, self.group_size);
        let window = self.window;
        Ok(Layout {
            window,
            ..Layout::constant(Tier { k, v })
        })
    }
}
