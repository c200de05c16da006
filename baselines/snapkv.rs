//! What the end of the prompt looks at.

use smartkv_core::{
    Budget, CacheShape, Layout, Plan, PlanCx, Result, Split, Strategy, Tracker, config, strategy,
};
use smartkv_strategies::splits::equal::Equal;
use smartkv_strategies::trackers::last_queries::LastQueries;
use smartkv_strategies::trackers::pooled::Pooled;

/// Keeps the tokens that the newest queries attend to, with their neighbours, head by head.
///
/// At the end of the prompt the attention of its last queries is summed over each token before them
/// and pooled over neighbours; the best tokens of each kv head stay, and so do the tokens of those
/// queries. The paper chooses once and keeps all that is generated; here the budget holds while
/// decoding too, so every `evict_every` tokens the choice is made again, by the newest queries then.
/// With grouped queries the attention of a group is averaged. Packed; needs the attention of the
/// newest queries, and a score and a position a row.
#[config]
pub struct SnapKv {
    /// What scores the tokens; as many newest tokens stay as it observes queries.
    #[default(Box::new(Pooled::default()))]
    pub tracker: Box<dyn Tracker>,
    /// Tokens between two evictions while decoding.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("snapkv", family = "eviction", paper = "arXiv 2404.14469")]
impl Strategy for SnapKv {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(observing(self.tracker.as_ref(), self.evict_every))
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        keep_observed(cx, &Equal {})
    }
}

/// `SnapKV`'s score over the newest `window` queries.
pub(crate) fn observation(window: usize) -> Box<dyn Tracker> {
    Box::new(Pooled { inner: Box::new(LastQueries { window }), ..Pooled::default() })
}

/// A window that always holds the tokens of the observed queries.
pub(crate) fn observing(tracker: &dyn Tracker, evict_every: usize) -> Layout {
    let queries = tracker.watch().map_or(0, |watch| watch.prompt_queries);
    let window = queries.saturating_add(evict_every.saturating_sub(1));
    Layout::evicting(0, window, evict_every)
}

/// Keeps the best rows by the tracker's score.
pub(crate) fn keep_observed(cx: &PlanCx<'_>, split: &dyn Split) -> Result<Plan> {
    cx.keep_best(split, |rows| rows.score.to_vec())
}
