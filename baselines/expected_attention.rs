//! What queries to come are expected to look at.

use smartkv_core::{Budget, CacheShape, LaneRows, Layout, Plan, PlanCx, Result, Strategy};
use smartkv_core::{config, strategy};
use smartkv_strategies::splits::equal::Equal;
use smartkv_strategies::trackers::key_norm::norm;

/// Keeps the tokens that queries to come are expected to attend to, times the norm of their value.
///
/// Queries before `RoPE` are taken for Gaussian, rotated by the mean rotation of the next `future`
/// positions, and the expected attention follows in closed form: `exp(mean·k + kᵀ Σ k / 2)`,
/// normalised over the tokens of the head, averaged over the query heads that share it. The first
/// `sinks` tokens stay, and neither their keys nor their queries count. The paper has a covariance
/// for every query head; here the heads of a group share one around means of their own, and both
/// are over all queries so far. Packed; needs queries before `RoPE`: a mean a query head and a
/// covariance a kv head in f32, which on heads of 128 channels is about as much as 67 tokens.
#[config]
pub struct ExpectedAttention {
    /// Positions to come over which the rotation is averaged.
    #[default(512)]
    #[range(1..)]
    pub future: usize,
    /// Added to the attention expected of every token.
    #[default(0.02)]
    #[range(0.0..)]
    pub epsilon: f64,
    /// First tokens that always stay.
    #[default(4)]
    pub sinks: usize,
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("expected_attention", family = "eviction", paper = "arXiv 2510.00636")]
impl Strategy for ExpectedAttention {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let every = self.evict_every;
        Ok(Layout { queries: true, ..Layout::evicting(self.sinks, every, every) })
    }

    fn default_budget(&self) -> Option<Budget> {
        // More than others: of a short cache the statistics take a good part.
        Some(Budget::Ratio(0.6))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(&Equal {}, |rows| self.scores(rows))
    }
}

impl ExpectedAttention {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f32 scores")]
    fn scores(&self, rows: &LaneRows<'_>) -> Vec<f32> {
        let (queries, rope) = rows.queries();
        let (head_dim, group) = (rows.shape.head_dim, rows.shape.group());
        let mut keys = rows.keys();
        keys.extend_from_slice(&rows.staying_keys()[rows.sinks * head_dim..]);
        rope.unrotate_mean(&mut keys, rows.seen..rows.seen.saturating_add(self.future));
        let variances = queries.variances(&keys);
        let mut expected = vec![0.0; rows.len()];
        for head in 0..group {
            let mean = queries.mean(head);
            let dot = |key: &[f32]| key.iter().zip(mean).map(|(k, q)| k * q).sum::<f32>();
            let scores = keys.chunks_exact(head_dim).zip(&variances);
            let scores: Vec<f32> = scores.map(|(key, variance)| dot(key) + variance / 2.0).collect();
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights = scores.iter().map(|score| (score - most).exp());
            let total = weights.clone().sum::<f32>() * group as f32;
            expected.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight / total);
        }
        let values = rows.values();
        let norms = values.chunks_exact(head_dim).map(norm);
        expected.iter().zip(norms).map(|(a, norm)| (a + self.epsilon as f32) * norm).collect()
    }
}
