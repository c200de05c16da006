//! Heavy-hitter oracle.

use smartkv_core::{Budget, CacheShape, Layout, Plan, PlanCx, Result, Split, Strategy, Tracker};
use smartkv_core::{config, strategy};
use smartkv_strategies::splits::equal::Equal;
use smartkv_strategies::trackers::cumulative::Cumulative;

/// Evicts the tokens that received the least attention so far, head by head.
///
/// Half of the budget is the newest tokens, the other half the heavy hitters: the rows with the
/// largest running sum of attention probabilities. The paper evicts one row every step; here
/// `evict_every` rows leave the window at once. Packed; needs attention sums.
#[config]
pub struct H2o {
    /// What sums the attention.
    #[default(Box::new(Cumulative::default()))]
    pub tracker: Box<dyn Tracker>,
    /// How rows are shared among layers and heads.
    #[default(Box::new(Equal::default()))]
    pub split: Box<dyn Split>,
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("h2o", family = "eviction", paper = "arXiv 2306.14048")]
impl Strategy for H2o {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        self.split.check()?;
        // The cache grants the window half of the budget at most.
        Ok(Layout::evicting(0, usize::MAX, self.evict_every))
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.2))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(self.split.as_ref(), |rows| rows.score.to_vec())
    }
}
