//! Attention sinks and a sliding window.

use smartkv_core::{
    Budget, CacheShape, Layout, Place, Plan, PlanCx, Result, Strategy, config, strategy,
};

/// Keeps the first tokens and the newest ones, and nothing between.
///
/// The budget decides how many are newest: `--budget 1024tok` is the paper's 4 + 1020. The paper
/// stores keys before `RoPE` and numbers them by their place in the cache; here keys keep the
/// position they came with. Distances between the newest tokens are the same either way, those to
/// the sinks are the true ones instead of short ones, so the two agree while a text stays within
/// the context the model was trained for, and only the paper's goes on beyond it. Nothing is kept
/// beside the rows; needs keys and values after `RoPE` only.
#[config]
pub struct StreamingLlm {
    /// First tokens that stay.
    #[default(4)]
    pub sinks: usize,
    /// Tokens between two evictions; the paper evicts one a step.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("streaming_llm", family = "eviction", paper = "arXiv 2309.17453")]
impl Strategy for StreamingLlm {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::windowed(self.sinks, self.evict_every))
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, _: &PlanCx<'_>) -> Result<Plan> {
        Ok(Plan::FlushTo(Place::Evicted))
    }
}
