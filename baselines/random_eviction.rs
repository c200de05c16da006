//! Eviction by lot.

use smartkv_core::{
    Budget, CacheShape, Layout, Plan, PlanCx, Result, Strategy, Tracker, config, strategy,
};
use smartkv_strategies::splits::equal::Equal;
use smartkv_strategies::trackers::random::RandomScore;

/// Evicts tokens drawn by lot, head by head: the control for every evictor.
///
/// Each token draws once, so what is held is a uniform sample of all tokens so far, the newest
/// `evict_every` aside. Needs nothing but a seed, and a position a row.
#[config]
pub struct RandomEviction {
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("random_eviction", family = "eviction")]
impl Strategy for RandomEviction {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::evicting(0, self.evict_every, self.evict_every))
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(&RandomScore {})
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(&Equal {}, |rows| rows.score.to_vec())
    }
}
