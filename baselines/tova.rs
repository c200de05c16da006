//! Token omission via attention.

use smartkv_core::{
    Budget, CacheShape, LaneRows, Layout, Plan, PlanCx, Result, Strategy, Tracker, config, strategy,
};
use smartkv_strategies::trackers::last_queries::LastQueries;

/// Evicts the tokens that the newest query attends to least, the same in all heads of a layer.
///
/// Attention is averaged over the heads of a layer, and every layer keeps as many tokens. No window
/// and no sinks are spared: the newest token alone always stays. The paper evicts one token every
/// step; here `evict_every` at once. Packed; needs the attention of the newest query.
#[config]
pub struct Tova {
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("tova", family = "eviction", paper = "arXiv 2401.06104")]
impl Strategy for Tova {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::evicting(0, self.evict_every, self.evict_every))
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(&LastQueries { window: 1 })
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let table = cx.rows();
        let lanes = cx.lanes(&table);
        let layers = lanes.chunks_exact(cx.shape.kv_heads);
        // The heads of a layer evict alike, so their rows stand in the same order.
        let scores: Vec<Vec<f32>> = layers.flat_map(|heads| vec![mean(heads); heads.len()]).collect();
        let share = cx.affordable() / lanes.len();
        cx.keep_shares(&lanes, &scores, &vec![share; lanes.len()])
    }
}

/// Mean score of each token over the kv heads of a layer; each is a mean over its query heads.
fn mean(heads: &[LaneRows<'_>]) -> Vec<f32> {
    let mut mean = vec![0.0; heads[0].len()];
    for head in heads {
        for (mean, score) in mean.iter_mut().zip(head.score) {
            *mean += score;
        }
    }
    mean
}
