//! Budgets that heads of a layer compete for.

use crate::snapkv::{keep_observed, observation, observing};
use smartkv_core::{
    Budget, CacheShape, Layout, Plan, PlanCx, Result, Split, Strategy, Tracker, config, strategy,
};
use smartkv_strategies::splits::adaptive::Adaptive;

/// `SnapKV`'s choice, made over all heads of a layer together.
///
/// Heads that spread their attention get more tokens than those that gather it: the best rows of a
/// layer stay, whichever head they are in, after every head got a fifth of an equal share. Tokens
/// are scored as by `snapkv`, over the last 32 queries, and like there the choice is renewed while
/// decoding. Packed, with heads of different lengths; needs the attention of the newest queries,
/// and a score and a position a row. With `split: {type: adaptive, layers: {type: pyramid}}` it is
/// the paper's Ada-Pyramid.
#[config]
pub struct AdaKv {
    /// What scores the tokens; as many newest tokens stay as it observes queries.
    #[default(observation(32))]
    pub tracker: Box<dyn Tracker>,
    /// How rows are shared among layers and heads.
    #[default(Box::new(Adaptive::default()))]
    pub split: Box<dyn Split>,
    /// Tokens between two evictions while decoding.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("adakv", family = "eviction", paper = "arXiv 2407.11550")]
impl Strategy for AdaKv {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        self.split.check()?;
        Ok(observing(self.tracker.as_ref(), self.evict_every))
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        keep_observed(cx, self.split.as_ref())
    }
}
