//! The uncompressed cache.

use smartkv_core::{CacheShape, Format, Layout, Result, Strategy, Tier, config, strategy};

/// Keeps every key and value in f16: the reference that others are measured against.
#[config]
pub struct FullPrecision;

#[strategy("f16", family = "reference")]
impl Strategy for FullPrecision {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::constant(Tier::same(Format::F16)))
    }
}
