//! Any score, any split, any bits: eviction put together from parts.

use crate::splits::equal::Equal;
use crate::trackers::last_queries::LastQueries;
use smartkv_core::{
    Bits, Budget, CacheShape, Error, Format, Layout, Plan, PlanCx, Result, Split, Strategy, Tier,
    Tracker, config, strategy,
};

/// Evicts the tokens of the lowest score; what stays may be quantised.
///
/// A tracker scores the tokens, a split shares what the budget pays for among layers and heads, and
/// the best rows of each stay, in `bits`. Fewer bits keep more tokens in the same bytes. Sinks and
/// the newest tokens stay in f16. Packed; needs what the tracker needs.
#[config]
pub struct Evict {
    /// What scores the tokens.
    #[default(Box::new(LastQueries::default()))]
    pub tracker: Box<dyn Tracker>,
    /// How rows are shared among layers and heads.
    #[default(Box::new(Equal::default()))]
    pub split: Box<dyn Split>,
    /// Bits of the keys and values that stay: 2, 3, 4, 8 or 16 (f16).
    #[default([16, 16])]
    pub bits: [u8; 2],
    /// Channels that share a scale below 16 bits; 0 is the whole head.
    #[default(32)]
    pub group_size: usize,
    /// Rotate each head by a Hadamard transform before rounding (`QuaRot`, arXiv 2404.00456).
    pub rotate: bool,
    /// Newest tokens that stay in f16; the budget grants them half of itself at most.
    #[default(32)]
    pub window: usize,
    /// First tokens that stay in f16.
    #[default(4)]
    pub sinks: usize,
    /// Tokens between two evictions.
    #[default(16)]
    pub evict_every: usize,
}

#[strategy("evict", family = "eviction")]
impl Strategy for Evict {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        self.split.check()?;
        let format = |count| {
            let expected = "expected 2, 3, 4, 8 or 16";
            let bits = Bits::from_count(count)
                .map_err(|_| Error::parameter("bits", format!("{:?}", self.bits), expected))?;
            Ok::<_, Error>(Format::asymmetric(bits, self.group_size))
        };
        let tier = Tier { k: format(self.bits[0])?, v: format(self.bits[1])? };
        let Self { sinks, window, evict_every, rotate, .. } = *self;
        let layout = Layout::evicting(sinks, window, evict_every);
        Ok(Layout { tiers: vec![tier], rotate: rotate.into(), ..layout })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        cx.keep_best(self.split.as_ref(), |rows| rows.score.to_vec())
    }
}
