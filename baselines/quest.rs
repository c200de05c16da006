//! Pages that may matter to the query, and no others.

use smartkv_core::{CacheShape, Format, Layout, Pages, Result, Strategy, Tier, config, strategy};

/// Evicts nothing; a decoded token attends to the pages of the cache that may matter most to it.
///
/// Of every page of `page_size` tokens the least and the most of each key channel are kept. They
/// bound the score of a query against any key of the page, and each kv head reads the pages with
/// the largest bounds over its query heads, `token_budget` tokens in all, and the newest page while
/// it fills. Prompts and the first `full_layers` layers read everything. It reads less and saves no
/// memory: with the bounds, the cache takes 1/16 more than f16. The paper selects for every query
/// head; here those that share a kv head share pages, so that each is read once. Packed; needs
/// keys and queries after `RoPE`.
#[config]
pub struct Quest {
    /// Tokens of a page: a multiple of 16.
    #[default(16)]
    #[range(1..)]
    pub page_size: usize,
    /// Tokens in the pages that a head reads.
    #[default(1024)]
    pub token_budget: usize,
    /// First layers that read everything.
    #[default(2)]
    pub full_layers: usize,
}

#[strategy("quest", family = "selection", paper = "arXiv 2406.10774")]
impl Strategy for Quest {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let Self { page_size: rows, token_budget: tokens, full_layers } = *self;
        let pages = Some(Pages { rows, tokens, full_layers });
        Ok(Layout { pages, ..Layout::constant(Tier::same(Format::F16)) })
    }
}
