//! 8-bit floating point, as inference engines ship it.

use smartkv_core::{CacheShape, Format, Layout, Result, Strategy, Tier, config, strategy};

/// Stores keys and values as 8-bit floating-point numbers (e4m3, arXiv 2209.05433).
///
/// One byte a channel and no scale: half of f16, with three bits of mantissa. Values beyond ±448
/// saturate. Packed; needs nothing from the host.
#[config]
pub struct Fp8;

#[strategy("fp8", family = "quantizer", paper = "arXiv 2209.05433")]
impl Strategy for Fp8 {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::constant(Tier::same(Format::F8)))
    }
}
