//! Keys of low norm.

use smartkv_core::{
    Budget, CacheShape, Layout, Plan, PlanCx, Result, Strategy, Tracker, config, strategy,
};
use smartkv_strategies::splits::equal::Equal;
use smartkv_strategies::trackers::key_norm::KeyNorm;

/// Keeps the tokens whose keys have the lowest norm, head by head.
///
/// Keys of low norm tend to draw much attention. The paper evicts every step and leaves the first
/// layers whole; here all layers share alike, and `evict_every` tokens go at once, the newest of
/// which always stays. Nothing is kept beside the rows; needs keys only.
#[config]
pub struct KNorm {
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("knorm", family = "eviction", paper = "arXiv 2406.11430")]
impl Strategy for KNorm {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::evicting(0, self.evict_every, self.evict_every))
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(&KeyNorm { high: false })
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(&Equal {}, |rows| rows.score.to_vec())
    }
}
