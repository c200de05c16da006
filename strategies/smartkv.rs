//! SmartKV: track, allocate, quantise.

use crate::allocators::marginal::Marginal;
use crate::trackers::ema::Ema;
use rayon::prelude::*;
use smartkv_core::{
    Allocator, Bits, Budget, CacheShape, Error, Format, Layout, Place, Plan, PlanCx, Problem,
    Result, RowTable, Strategy, Tier, Tracker, config, strategy,
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
    #[range(1..)]
    pub realloc_every: usize,
    /// Rotate each head by a Hadamard transform before rounding (`QuaRot`, arXiv 2404.00456).
    #[default(true)]
    pub rotate: bool,
    /// Exponent on the score. 2 would be the variance of the output error if attention stayed as
    /// it was; a lower one trusts past attention less. 0 ignores it.
    #[default(0.5)]
    #[range(0.0..)]
    pub power: f64,
}

/// Importance of a token that no observed query attended to: it may still matter later.
const LEAST_IMPORTANCE: f32 = 1e-6;

#[strategy("smartkv", family = "mixed")]
impl Strategy for SmartKv {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        let format =
            |bits| Ok::<_, Error>(Format::asymmetric(Bits::from_count(bits)?, self.group_size));
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
        // The spreads become damages in place.
        let RowTable {
            place, score, mut key_spread, mut value_spread, lane_ends, query_energy, value_energy, ..
        } = cx.rows();
        let (mut keys, mut values) = (key_spread.as_mut_slice(), value_spread.as_mut_slice());
        let mut lanes = Vec::with_capacity(lane_ends.len());
        let mut start = 0;
        for (lane, &end) in lane_ends.iter().enumerate() {
            let (key, rest) = keys.split_at_mut(end - start);
            keys = rest;
            let (value, rest) = values.split_at_mut(end - start);
            values = rest;
            // Relative to the lane's own values, so that layers compare.
            let factors = (query_energy[lane], 1.0 / value_energy[lane].max(f32::MIN_POSITIVE));
            lanes.push((&score[start..end], key, value, factors));
            start = end;
        }
        lanes.into_par_iter().for_each(|(score, key, value, factors)| {
            for ((key, value), score) in key.iter_mut().zip(value).zip(score) {
                let importance = importance(score.max(LEAST_IMPORTANCE), self.power);
                *key *= importance * factors.0;
                *value *= importance * factors.1;
            }
        });
        let (key_damage, value_damage) = (key_spread, value_spread);
        let best: Vec<u8> = place
            .par_iter()
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
        let offers = cx.allocate(self.allocator.as_ref(), &problem)?;
        Ok(Plan::Assign(offers.into_par_iter().map(Place::Tier).collect()))
    }
}

/// `score^power`. Powers of general numbers cost more than all the rest of a plan, so the usual
/// ones are computed without.
fn importance(score: f32, power: f64) -> f32 {
    #[expect(clippy::float_cmp, reason = "as configured")]
    if power == 0.5 {
        score.sqrt()
    } else if power == 1.0 {
        score
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        score.powf(power as f32)
    }
}
