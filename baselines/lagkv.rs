//! Tokens that stand out against those that follow.

use smartkv_core::{
    Budget, CacheShape, Error, LaneRows, Layout, Plan, PlanCx, Result, Strategy, config, strategy,
};
use smartkv_strategies::splits::equal::Equal;

/// Keeps, of every stretch of tokens, those that stand out against the next stretch, head by head.
///
/// Each stretch of `lag` tokens is scaled, channel by channel, by the least and largest element of
/// the `lag` tokens that follow; a token scores by the softmax over its stretch of the standard
/// deviation of its scaled channels, keys and values added. Every stretch keeps the same share of
/// its tokens, and the newest `lag` tokens stay whole. The paper takes a whole stretch every `lag`
/// tokens; while decoding that leaves much of a budget unused, so here `evict_every` tokens are a
/// stretch then. What was kept once is judged again only when a budget stops growing, as one
/// stretch, against the tokens that leave now; the paper, which has no fixed budget, never does.
/// Nothing is kept beside the rows; needs keys and values after `RoPE`.
#[config]
pub struct LagKv {
    /// Tokens of a stretch.
    #[default(128)]
    pub lag: usize,
    /// First tokens that stay.
    #[default(4)]
    pub sinks: usize,
    /// Tokens between two evictions while decoding; as in the paper when it is `lag`.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("lagkv", family = "eviction", paper = "arXiv 2504.04704")]
impl Strategy for LagKv {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        if self.lag == 0 {
            return Err(Error::parameter("lag", 0, "expected at least 1 token"));
        }
        // As many as a stretch stay to compare with what leaves.
        let window = self.lag.saturating_add(self.evict_every.saturating_sub(1));
        Ok(Layout::evicting(self.sinks, window, self.evict_every))
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(&Equal {}, |rows| self.standing(rows))
    }
}

impl LagKv {
    /// Share of its stretch that each row stands above, so that a common threshold keeps the same
    /// share of every stretch.
    fn standing(&self, rows: &LaneRows<'_>) -> Vec<f32> {
        let head_dim = rows.shape.head_dim;
        let leaving = rows.leaving().len();
        // Rows in order of time, those that stay included, and rows that were kept before.
        let halves = [(rows.keys(), rows.staying_keys()), (rows.values(), rows.staying_values())];
        let stays = halves[0].1.len() / head_dim;
        let halves = halves.map(|(mut recent, staying)| {
            let kept = recent.split_off(leaving * head_dim);
            recent.extend_from_slice(&staying[rows.sinks * head_dim..]);
            (recent, kept)
        });
        let mut standing = Vec::with_capacity(rows.len());
        for start in (0..leaving).step_by(self.lag) {
            let end = leaving.min(start + self.lag);
            let mut scores = vec![0.0; end - start];
            for (recent, _) in &halves {
                let following = end * head_dim..recent.len().min((end + self.lag) * head_dim);
                let stretch = &recent[start * head_dim..end * head_dim];
                add_scores(stretch, &recent[following], head_dim, &mut scores);
            }
            standing.extend(shares(&scores, end - start));
        }
        let mut scores = vec![0.0; rows.len() - leaving];
        for (recent, kept) in &halves {
            let following = &recent[..recent.len().min(self.lag * head_dim)];
            add_scores(kept, following, head_dim, &mut scores);
        }
        standing.extend(shares(&scores, rows.seen - stays - leaving));
        standing
    }
}

/// Adds the softmax over rows of the deviation of their channels, each scaled by its range in the
/// rows that follow; by their own where none do.
fn add_scores(stretch: &[f32], following: &[f32], head_dim: usize, scores: &mut [f32]) {
    let following = if following.is_empty() { stretch } else { following };
    let mut range = vec![(f32::INFINITY, f32::NEG_INFINITY); head_dim];
    for row in following.chunks_exact(head_dim) {
        for ((least, most), &x) in range.iter_mut().zip(row) {
            (*least, *most) = (least.min(x), most.max(x));
        }
    }
    let scaled = |x: f32, (least, most): (f32, f32)| {
        if most > least { (x - least) / (most - least) } else { 0.0 }
    };
    #[expect(clippy::cast_precision_loss, reason = "channels of a head")]
    let channels = head_dim as f32;
    let deviation = |row: &[f32]| {
        let scaled: Vec<f32> = row.iter().zip(&range).map(|(x, r)| scaled(*x, *r)).collect();
        let mean = scaled.iter().sum::<f32>() / channels;
        let squares: f32 = scaled.iter().map(|x| (x - mean).powi(2)).sum();
        (squares / (channels - 1.0)).sqrt()
    };
    let deviations: Vec<f32> = stretch.chunks_exact(head_dim).map(deviation).collect();
    let most = deviations.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = deviations.iter().map(|x| (x - most).exp()).sum();
    for (score, deviation) in scores.iter_mut().zip(deviations) {
        *score += (deviation - most).exp() / total;
    }
}

/// For each score, the share of `of` that does not rank above it.
fn shares(scores: &[f32], of: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut shares = vec![0.0; scores.len()];
    for (rank, &row) in order.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        let above = rank as f32 / of.max(1) as f32;
        shares[row] = 1.0 - above;
    }
    shares
}
