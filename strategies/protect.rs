//! Sinks and a window for strategies that have none.

use crate::evict::Evict;
use smartkv_core::{
    Budget, CacheShape, Layout, Plan, PlanCx, Result, Strategy, Tracker, config, strategy,
};

/// Keeps the first and the newest tokens in f16, whatever another strategy does with the rest.
///
/// Attention sinks and the newest tokens matter more than their number, and most methods gain from
/// sparing them (arXiv 2309.17453). The inner strategy decides about all other tokens; where it
/// spares more itself, it does.
#[config]
pub struct Protect {
    /// What decides about the tokens between.
    #[default(Box::new(Evict { window: 0, sinks: 0, ..Evict::default() }))]
    pub inner: Box<dyn Strategy>,
    /// First tokens kept in f16.
    #[default(4)]
    pub sinks: usize,
    /// Newest tokens kept in f16; a budget grants them half of itself at most.
    #[default(64)]
    pub window: usize,
}

#[strategy("protect", family = "wrapper")]
impl Strategy for Protect {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        let inner = self.inner.layout(shape)?;
        Ok(Layout {
            sinks: inner.sinks.max(self.sinks),
            window: inner.window.max(self.window),
            ..inner
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        self.inner.tracker()
    }

    fn default_budget(&self) -> Option<Budget> {
        self.inner.default_budget()
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        self.inner.plan(cx)
    }
}
