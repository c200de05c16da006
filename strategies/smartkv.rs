//! SmartKV: track, allocate, quantise.

use crate::allocators::marginal::Marginal;
use crate::trackers::ema::Ema;
use smartkv_core::{
    Allocator, Bits, Budget, CacheShape, Error, Format, Layout, Place, Plan, PlanCx, Problem,
    Result, Strategy, Tier, Tracker, config, strategy,
};

/// Mixed precision under one byte budget, guided by attention.
///
/// A tracker scores every (layer, kv head, token) by the attention it receives. Every few tokens
/// an allocator gives each row the pair of key and value bits that minimises the expected error of
/// the attention output under the budget. Sinks and the newest tokens stay in f16; a row is encoded
/// once from full precision when it leaves the window, and later only lowered.
///
/// The damage of rounding a row with importance `p` is modelled to first order: a key error moves
/// the score by `scale · q·δk` and the output by `p` times that, a value error moves the output by
/// `p · δv`; the rounding error of `b` bits over a range `r` has variance `r² / (12 (2^b - 1)²)`.
#[config]
pub struct SmartKv {
    /// What scores the tokens.
    #[default(Box::new(Ema::default()))]
    pub tracker: Box<dyn Tracker>,
    /// What spends the budget.
    #[default(Box::new(Marginal::default()))]
    pub allocator: Box<dyn Allocator>,
    /// Key and value bits on offer, best first.
    #[default([[8, 8], [8, 4], [4, 4], [4, 3], [3, 3], [3, 2], [2, 2]].to_vec())]
    pub bits: Vec<[u8; 2]>,
    /// Channels that share a scale; 0 is the whole head.
    pub group_size: usize,
    /// Newest tokens kept in f16, at most.
    #[default(16)]
    pub window: usize,
    /// First tokens kept in f16.
    #[default(4)]
    pub sinks: usize,
    /// Tokens between two allocations.
    #[default(16)]
    pub realloc_every: usize,
    /// Rotate each head by a Hadamard transform before rounding (`QuaRot`, arXiv 2404.00456).
    #[default(true)]
    pub rotate: bool,
    /// Exponent on the score. 2 would be the variance of the output error if attention stayed as
    /// it was; a lower one trusts past attention less. 0 ignores it.
    #[default(0.5)]
    pub power: f64,
}

/// Importance of a token that no observed query attended to: it may still matter later.
const LEAST_IMPORTANCE: f32 = 1e-6;

#[strategy("smartkv", family = "mixed")]
impl Strategy for SmartKv {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        let format =
            |bits| Ok::<_, Error>(Format::asymmetric(Bits::from_count(bits)?, self.group_size));
        if !(self.power.is_finite() && self.power >= 0.0) {
            return Err(Error::parameter("power", self.power, "expected a number from 0"));
        }
        if self.realloc_every == 0 {
            return Err(Error::parameter("realloc_every", 0, "expected at least 1"));
        }
        let mut tiers = Vec::new();
        for &[key, value] in &self.bits {
            tiers.push(Tier { k: format(key)?, v: format(value)? });
        }
        let cheaper = |pair: &[Tier]| {
            pair[0].row_bytes(shape.head_dim) > pair[1].row_bytes(shape.head_dim)
        };
        if !tiers.windows(2).all(cheaper) {
            let expected = "expected pairs of key and value bits, each cheaper than the one before";
            return Err(Error::parameter("bits", format!("{:?}", self.bits), expected));
        }
        let Self { window, sinks, rotate, .. } = *self;
        Ok(Layout { tiers, window, sinks, period: self.realloc_every, positions: false, rotate })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let Some(budget) = cx.budget else { return Ok(Plan::FlushTo(Place::Tier(0))) };
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        let power = self.power as f32;
        let rows = cx.rows();
        let mut key_damage = Vec::with_capacity(rows.len());
        let mut value_damage = Vec::with_capacity(rows.len());
        for (lane, range) in rows.lanes().enumerate() {
            let (query, value) = (rows.query_energy[lane], rows.value_energy[lane]);
            for row in range {
                let importance = rows.score[row].max(LEAST_IMPORTANCE).powf(power);
                // Relative to the lane's own values, so that layers compare.
                key_damage.push(importance * query * rows.key_spread[row]);
                value_damage.push(importance * rows.value_spread[row] / value.max(f32::MIN_POSITIVE));
            }
        }
        let best: Vec<u8> = rows
            .place
            .iter()
            .map(|place| match place {
                Place::Tier(tier) => *tier,
                Place::Window | Place::Evicted => 0,
            })
            .collect();
        let problem = Problem {
            key_damage: &key_damage,
            value_damage: &value_damage,
            best: &best,
            menu: &cx.menu(),
            budget,
            seed: cx.seed,
        };
        let offers = self.allocator.allocate(&problem).map_err(|e| Error::Budget {
            given: cx.limit.map_or_else(String::new, |limit| limit.to_string()),
            reason: e.to_string(),
        })?;
        Ok(Plan::Assign(offers.into_iter().map(Place::Tier).collect()))
    }
}
