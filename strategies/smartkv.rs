//! SmartKV: track, allocate, quantise.

// Relative to this folder: the build script names this file by its path.
#[path = "smartkv/damage.rs"]
mod damage;
#[path = "smartkv/hysteresis.rs"]
mod hysteresis;

pub use damage::Damage;

use crate::allocators::marginal::Marginal;
use crate::trackers::ema::Ema;
use rayon::prelude::*;
use smartkv_core::{
    Allocator, Balance, Bits, Budget, CacheShape, Codebook, Error, Format, Layout, Move, Place, Plan,
    PlanCx, Problem, Result, Run, Strategy, Tier, Tracker, config, strategy,
};

/// Mixed precision under one byte budget, guided by attention.
///
/// A tracker scores every (layer, kv head, token) by the attention it receives. Every few tokens
/// an allocator gives each row the pair of key and value bits that minimises the expected error of
/// the attention output under the budget. Sinks and the newest tokens stay in f16; a row is encoded
/// once from full precision when it leaves the window, and later only lowered.
///
/// Rows are stored in a frame in which rounding costs least and attention is the same: less each
/// lane's mean key and value, key channels balanced against the queries, rotated by a Hadamard
/// transform. There they are nearly normal, so the levels of a Gaussian and one f16 a row suffice.
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
    /// Key and value bits on offer, best first: 2, 3, 4, 8 or 16 (f16). `[0, 0]` may be the last:
    /// then rows may be evicted, and any budget can be held.
    #[default([[8, 8], [8, 4], [4, 4], [4, 3], [3, 3], [3, 2], [2, 2]].to_vec())]
    pub bits: Vec<[u8; 2]>,
    /// Channels that share a scale; 0 is the whole head.
    pub group_size: usize,
    /// Newest tokens kept in f16, at most.
    #[default(8)]
    pub window: usize,
    /// First tokens kept in f16.
    #[default(1)]
    pub sinks: usize,
    /// Tokens between two allocations.
    #[default(8)]
    #[range(1..)]
    pub realloc_every: usize,
    /// Rotate each head by a Hadamard transform before rounding (`QuaRot`, arXiv 2404.00456).
    #[default(true)]
    pub rotate: bool,
    /// Round to the levels of a Gaussian (`TurboQuant`, arXiv 2504.19874) instead of a uniform grid:
    /// one f16 a row instead of two, and less error once rotated. 8 bits stay on a uniform grid.
    #[default(true)]
    pub gaussian: bool,
    /// Store keys and values less each lane's mean: attention does not notice.
    #[default(true)]
    pub center: bool,
    /// Factors on key channels, undone in the queries.
    #[default(Balance::Energy)]
    pub balance: Balance,
    /// Exponent on the score. 2 would be the variance of the output error if attention stayed as
    /// it was; a lower one trusts past attention less. 0 ignores it.
    #[default(0.375)]
    #[range(0.0..)]
    pub power: f64,
    /// How the damage of storing a row in fewer bits is told beforehand.
    pub damage: Damage,
    /// For damages of the seed: the utility of bits is bits to this power.
    #[default(0.5)]
    #[range(above 0.0..)]
    pub alpha: f64,
    /// Rows in a tier stay there unless a plan that lowers some of them saves at least this share
    /// of the expected damage. 0 lets every plan be carried out.
    #[range(0.0..1.0)]
    pub hysteresis: f64,
    /// Rows in a tier stay there, and only those that leave the window are placed, until at least
    /// this share of the importance has moved since the last full plan: the total-variation distance
    /// between the scores then and now of the rows that both have, or until the budget leaves no
    /// other way. Looked at every `realloc_every` tokens; costs a number a row. 0 lets every plan
    /// look at all rows.
    #[range(0.0..1.0)]
    pub drift: f64,
}

/// Importance of a token that no observed query attended to: it may still matter later.
const LEAST_IMPORTANCE: f32 = 1e-6;

#[strategy("smartkv", family = "mixed")]
impl Strategy for SmartKv {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        let format = |bits| -> Result<Format> {
            let bits = Bits::from_count(bits)?;
            Ok(match (self.gaussian, bits) {
                (true, Bits::B8) => Format::symmetric(bits, self.group_size),
                (true, Bits::B2 | Bits::B3 | Bits::B4) => {
                    let levels = Codebook::gaussian(bits)?;
                    Format::symmetric(bits, self.group_size).with_codebook(levels)
                }
                (_, Bits::F16) => Format::F16,
                _ => Format::asymmetric(bits, self.group_size),
            })
        };
        let (kept, evicts) = match self.bits.split_last() {
            Some(([0, 0], kept)) => (kept, true),
            _ => (self.bits.as_slice(), false),
        };
        let mut tiers = Vec::new();
        for &[key, value] in kept {
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
        Ok(Layout {
            tiers,
            window,
            sinks,
            period: self.realloc_every,
            rotate: rotate.into(),
            center: self.center,
            balance: self.balance,
            drift: self.drift,
            evicts,
            ..Layout::constant(Tier::same(Format::F16))
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn default_budget(&self) -> Option<Budget> {
        Some(Budget::Ratio(0.5))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let tiers = cx.layout.tiers.len();
        let Some(budget) = cx.budget else { return Ok(Plan::FlushTo(place_of(0, tiers))) };
        let menu = self.menu(cx);
        // Rows in the cheapest tier stay there: all they do is cost.
        let cheapest = (0u8..).map(Place::Tier).nth(menu.len() - 1);
        let stays = |run: &Run<'_>| Some(run.place) == cheapest;
        let price = menu.last().map_or(0, |offer| u64::from(offer.bytes));
        let lanes = cx.shape.layers * cx.shape.kv_heads;
        let (mut settled, mut lane_ends) = (vec![0; lanes], vec![0; lanes]);
        for run in cx.runs.iter().filter(|run| stays(run)) {
            settled[run.lane] += run.len() as u64 * price;
        }
        let open = cx.runs.iter().filter(|run| !stays(run));

        let rows = open.clone().map(Run::len).sum();
        let (mut key_damage, mut value_damage) = (vec![0.0; rows], vec![0.0; rows]);
        let mut best = Vec::with_capacity(rows);
        let mut parts = Vec::with_capacity(cx.runs.len());
        let (mut keys, mut values) = (key_damage.as_mut_slice(), value_damage.as_mut_slice());
        for run in open.clone() {
            let (key, value);
            (key, keys) = keys.split_at_mut(run.len());
            (value, values) = values.split_at_mut(run.len());
            parts.push((run, key, value));
            best.resize(best.len() + run.len(), best_offer(run));
            lane_ends[run.lane] = best.len();
        }
        running_maximum(&mut lane_ends);
        parts.into_par_iter().for_each(|(run, key, value)| {
            self.damage_of(run, key, value);
        });

        let mut problem = Problem {
            key_damage: &key_damage,
            value_damage: &value_damage,
            best: &best,
            menu: &menu,
            budget: budget.saturating_sub(settled.iter().sum()),
            seed: cx.seed,
            damages: &[],
            lane_ends: &lane_ends,
            kv_heads: cx.shape.kv_heads,
            settled: &settled,
        };
        let damages = self.measured(cx, open.clone(), &problem);
        problem.damages = &damages;
        let kept = if cx.steady { self.keep(cx, open.clone(), &problem)? } else { None };
        let offers = if let Some(kept) = kept {
            kept
        } else {
            let offers = cx.allocate(self.allocator.as_ref(), &problem)?;
            self.settle(cx, open.clone(), &problem, offers)?
        };
        Ok(Plan::Move(moves(open, &offers, tiers)))
    }
}

impl SmartKv {
    /// Turns the spreads, or errors, of a run's rows into expected damages.
    fn weigh(&self, run: &Run<'_>, key: &mut [f32], value: &mut [f32]) {
        // Relative to the lane's own values, so that layers compare.
        let factors = (run.query_energy, 1.0 / run.value_energy.max(f32::MIN_POSITIVE));
        // Powers of general numbers cost more than all the rest of a plan, so the usual ones are
        // computed without.
        #[expect(clippy::float_cmp, reason = "as configured")]
        if self.power == 0.375 {
            let roots = |score: f32| {
                let fourth = score.sqrt().sqrt();
                fourth * fourth.sqrt()
            };
            weigh(run.score, roots, factors, key, value);
        } else if self.power == 0.5 {
            weigh(run.score, f32::sqrt, factors, key, value);
        } else if self.power == 1.0 {
            weigh(run.score, |score| score, factors, key, value);
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
            let power = self.power as f32;
            weigh(run.score, |score| score.powf(power), factors, key, value);
        }
    }
}

/// Multiplies spreads by the importance of their scores and by the lane's factors.
fn weigh(
    score: &[f32],
    importance: impl Fn(f32) -> f32,
    factors: (f32, f32),
    key: &mut [f32],
    value: &mut [f32],
) {
    for ((key, value), score) in key.iter_mut().zip(value).zip(score) {
        let importance = importance(score.max(LEAST_IMPORTANCE));
        *key *= importance * factors.0;
        *value *= importance * factors.1;
    }
}

/// The best offer that rows of `run` may still have.
fn best_offer(run: &Run<'_>) -> u8 {
    match run.place {
        Place::Tier(tier) => tier,
        Place::Window | Place::Evicted => 0,
    }
}

/// Ends of lanes where those of lanes without rows are missing.
fn running_maximum(ends: &mut [usize]) {
    let mut most = 0;
    for end in ends {
        most = most.max(*end);
        *end = most;
    }
}

/// Where an offer is: what comes after the tiers is eviction.
fn place_of(offer: u8, tiers: usize) -> Place {
    if usize::from(offer) < tiers { Place::Tier(offer) } else { Place::Evicted }
}

/// Rows of the runs that are compared together.
const COMPARED: usize = 64;

/// The rows of `runs`, which have these offers, that have to move for them.
fn moves<'a>(
    runs: impl Iterator<Item = &'a Run<'a>>,
    mut offers: &[u8],
    tiers: usize,
) -> Vec<Move> {
    let mut moves = Vec::new();
    for run in runs {
        let own;
        (own, offers) = offers.split_at(run.len());
        let stays = [best_offer(run); COMPARED];
        for (first, own) in (run.first..).step_by(COMPARED).zip(own.chunks(COMPARED)) {
            // Most rows stay where they are.
            if run.place != Place::Window && *own == stays[..own.len()] {
                continue;
            }
            for (row, &offer) in (first..).zip(own) {
                let to = place_of(offer, tiers);
                if to != run.place {
                    #[expect(clippy::cast_possible_truncation, reason = "as Move counts rows")]
                    moves.push(Move { row: row as u32, to });
                }
            }
        }
    }
    moves
}
