//! Random rotation and the best scalar levels for what it leaves.

use smartkv_core::{Bits, CacheShape, Codebook, Format, Layout, Result, Rotation, Strategy, Tier};
use smartkv_core::{config, strategy};

/// Rotates each head at random and rounds every channel to the Lloyd-Max levels of a Gaussian.
///
/// After a random rotation the channels of a row are nearly normal with the row's root mean square
/// as deviation, whatever the row was, so one table of levels fits all and nothing is calibrated.
/// A row costs `bits` a channel and one f16 norm. The rotation is a Hadamard transform with random
/// signs, as implementations use; queries and outputs follow. This is the variant with the least
/// squared error (`MSE`): the paper's other one, with a residual sketch of one bit for unbiased
/// scores, loses more in every independent reproduction. Packed; needs nothing from the host.
#[config]
pub struct TurboQuant {
    /// Bits of a key channel: 2, 3 or 4.
    #[default(4)]
    pub key_bits: u8,
    /// Bits of a value channel: 2, 3 or 4.
    #[default(4)]
    pub value_bits: u8,
    /// Newest tokens kept in f16.
    pub window: usize,
    /// First tokens kept in f16.
    pub sinks: usize,
}

#[strategy("turboquant", family = "quantizer", paper = "arXiv 2504.19874")]
impl Strategy for TurboQuant {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let format = |count| {
            let bits = Bits::from_count(count)?;
            Ok(Format::symmetric(bits, 0).with_codebook(Codebook::gaussian(bits)?))
        };
        let tier = Tier { k: format(self.key_bits)?, v: format(self.value_bits)? };
        Ok(Layout {
            window: self.window,
            sinks: self.sinks,
            rotate: Rotation::Random,
            ..Layout::constant(tier)
        })
    }
}
