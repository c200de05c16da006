//! Less for higher layers.

use crate::snapkv::{keep_observed, observation, observing};
use smartkv_core::{
    Budget, CacheShape, Layout, Plan, PlanCx, Result, Split, Strategy, Tracker, config, strategy,
};
use smartkv_strategies::splits::pyramid::Pyramid;

/// `SnapKV`'s choice with budgets that fall from the first layer to the last.
///
/// Attention spreads in lower layers and gathers on few tokens in higher ones, so budgets fall
/// arithmetically down to `1/beta` of the mean. Tokens are scored as by `snapkv`, over the last 8
/// queries, and like there the choice is renewed while decoding. Packed; needs the attention of the
/// newest queries, a score and a position a row, and all layers at once.
#[config]
pub struct PyramidKv {
    /// What scores the tokens; as many newest tokens stay as it observes queries.
    #[default(observation(8))]
    pub tracker: Box<dyn Tracker>,
    /// How rows are shared among layers and heads.
    #[default(Box::new(Pyramid::default()))]
    pub split: Box<dyn Split>,
    /// Tokens between two evictions while decoding.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("pyramidkv", family = "eviction", paper = "arXiv 2406.02069")]
impl Strategy for PyramidKv {
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
