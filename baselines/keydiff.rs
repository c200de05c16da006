//! Keys that are unlike the others.

use smartkv_core::{
    Budget, CacheShape, LaneRows, Layout, Plan, PlanCx, Result, Strategy, config, strategy,
};
use smartkv_strategies::splits::equal::Equal;
use smartkv_strategies::trackers::key_norm::norm;

/// Keeps the tokens whose keys are least like the mean key, head by head.
///
/// Keys that stand out tend to draw attention. The mean is over the directions of all keys that the
/// head holds, and the score of a key is minus its cosine to it. No attention is needed, so prompts
/// can be compressed chunk by chunk (`prefill: quantized`; the paper's chunks have 128 tokens). The
/// paper evicts after every chunk or step; here `evict_every` tokens at once, the newest of which
/// always stays. Nothing is kept beside the rows; needs keys after `RoPE`.
#[config]
pub struct KeyDiff {
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("keydiff", family = "eviction", paper = "arXiv 2504.15364")]
impl Strategy for KeyDiff {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::evicting(0, self.evict_every, self.evict_every))
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(&Equal {}, difference)
    }
}

/// Minus the cosine of each key to the mean direction of all keys of the lane.
fn difference(rows: &LaneRows<'_>) -> Vec<f32> {
    let head_dim = rows.shape.head_dim;
    let (keys, staying) = (rows.keys(), rows.staying_keys());
    // The length of the mean does not matter to a cosine, so a sum will do.
    let mut anchor = vec![0.0; head_dim];
    for key in keys.chunks_exact(head_dim).chain(staying.chunks_exact(head_dim)) {
        let length = norm(key).max(f32::MIN_POSITIVE);
        for (anchor, x) in anchor.iter_mut().zip(key) {
            *anchor += x / length;
        }
    }
    let length = norm(&anchor).max(f32::MIN_POSITIVE);
    let cosine = |key: &[f32]| {
        let dot: f32 = key.iter().zip(&anchor).map(|(x, a)| x * a / length).sum();
        dot / norm(key).max(f32::MIN_POSITIVE)
    };
    keys.chunks_exact(head_dim).map(|key| -cosine(key)).collect()
}
