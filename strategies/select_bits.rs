//! Rounds a chosen share of the tokens, to see what their rounding does.

use crate::trackers::cumulative::Cumulative;
use smartkv_core::{
    Bits, CacheShape, Error, Format, Layout, Place, Plan, PlanCx, Result, Strategy, Tier, Tracker,
    config, strategy,
};

/// Rounds a share of the tokens, those of the highest, the lowest or any score; all others stay f16.
///
/// An experiment rather than a method: which tokens suffer from rounding? Of the rows that leave the
/// window together, each layer and head stores its own `share` in `bits`. The number of rows does not
/// depend on the order, so that bytes are equal and only the choice differs. A budget is held by
/// rounding more. `smartkv analyze attention` compares the orders.
#[config]
pub struct SelectBits {
    /// What scores the tokens.
    #[default(Box::new(Cumulative::default()))]
    pub tracker: Box<dyn Tracker>,
    /// Which tokens are rounded.
    pub order: Order,
    /// Share of the rows that are rounded.
    #[default(0.5)]
    #[range(0.0..=1.0)]
    pub share: f64,
    /// Key and value bits of these rows: 2, 3, 4, 8 or 16 (f16).
    #[default([3, 3])]
    pub bits: [u8; 2],
    /// Channels that share a scale; 0 is the whole head.
    #[default(32)]
    pub group_size: usize,
    /// First tokens that are never rounded.
    #[default(4)]
    pub sinks: usize,
    /// Newest tokens in f16; as many leave at once.
    #[default(8)]
    pub window: usize,
    /// Round only what leaves the window first, which is the prompt: later tokens stay in f16.
    pub once: bool,
}

/// Which end of the ranking.
#[config]
pub enum Order {
    /// The tokens of the highest score.
    #[default]
    Highest,
    /// Those of the lowest.
    Lowest,
    /// Any, by lot.
    Random,
}

/// Where rounded rows go.
const ROUNDED: Place = Place::Tier(1);
/// Where the others go.
const EXACT: Place = Place::Tier(0);

#[strategy("select_bits", family = "mixed")]
impl Strategy for SelectBits {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let format = |count| {
            let expected = "expected 2, 3, 4, 8 or 16";
            let bits = Bits::from_count(count)
                .map_err(|_| Error::parameter("bits", format!("{:?}", self.bits), expected))?;
            Ok::<_, Error>(if bits == Bits::F16 {
                Format::F16
            } else {
                Format::asymmetric(bits, self.group_size)
            })
        };
        let rounded = Tier { k: format(self.bits[0])?, v: format(self.bits[1])? };
        Ok(Layout {
            tiers: vec![Tier::same(Format::F16), rounded],
            window: self.window,
            sinks: self.sinks,
            period: self.window.max(1),
            ..Layout::constant(rounded)
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let table = cx.rows();
        let lanes = cx.lanes(&table);
        let first = lanes.first().is_none_or(|lane| lane.since.is_none());
        let mut places = table.place.clone();
        for (index, (rows, lane)) in table.lanes().zip(&lanes).enumerate() {
            let leaving = lane.leaving();
            let own = &mut places[rows][leaving.clone()];
            own.fill(EXACT);
            if self.once && !first {
                continue;
            }
            let order = self.ranked(&lane.score[leaving], cx.seed ^ ((index as u64) << 32));
            for &row in &order[..self.count(order.len())] {
                own[row] = ROUNDED;
            }
        }
        if let Some(budget) = cx.budget {
            self.hold(budget, cx, &table.score, &mut places);
        }
        Ok(Plan::Assign(places))
    }
}

impl SelectBits {
    /// Rows that are rounded of so many.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count of rows"
    )]
    fn count(&self, rows: usize) -> usize {
        (self.share * rows as f64).round() as usize
    }

    /// The rows of these scores, those that are rounded first in front; among equals the older ones.
    fn ranked(&self, scores: &[f32], seed: u64) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..scores.len()).collect();
        match self.order {
            Order::Highest => rows.sort_by(|&a, &b| scores[b].total_cmp(&scores[a])),
            Order::Lowest => rows.sort_by(|&a, &b| scores[a].total_cmp(&scores[b])),
            Order::Random => rows.sort_by_key(|&row| mix(seed ^ mix(row as u64))),
        }
        rows
    }

    /// Rounds as many rows more, of all layers and heads, as a budget asks for.
    fn hold(&self, budget: u64, cx: &PlanCx<'_>, scores: &[f32], places: &mut [Place]) {
        let [exact, rounded] = [cx.prices[0], cx.prices[1]].map(u64::from);
        let count = |place| places.iter().filter(|p| **p == place).count() as u64;
        let bytes = count(EXACT) * exact + count(ROUNDED) * rounded;
        let (over, saved) = (bytes.saturating_sub(budget), exact.saturating_sub(rounded));
        let Some(more) = over.div_ceil(saved.max(1)).try_into().ok().filter(|more| *more > 0) else {
            return;
        };
        let order = self.ranked(scores, cx.seed).into_iter();
        let open: Vec<usize> = order.filter(|&row| places[row] == EXACT).take(more).collect();
        for row in open {
            places[row] = ROUNDED;
        }
    }
}

/// The finaliser of `SplitMix64`: every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::contract::Inputs;
    use smartkv_core::{Cache, MeasuredHook};
    use std::sync::Arc;

    fn chosen(order: Order, share: f64) -> Vec<usize> {
        let strategy = SelectBits { order, share, ..SelectBits::default() };
        let mut rows = strategy.ranked(&[0.1, 0.5, 0.3, 0.9], 7);
        rows.truncate(strategy.count(4));
        rows.sort_unstable();
        rows
    }

    #[test]
    fn ends_of_the_ranking_are_chosen() {
        assert_eq!(chosen(Order::Highest, 0.5), [1, 3]);
        assert_eq!(chosen(Order::Lowest, 0.5), [0, 2]);
        assert_eq!(chosen(Order::Random, 1.0), [0, 1, 2, 3]);
        assert_eq!(chosen(Order::Random, 0.25).len(), 1);
        assert!(chosen(Order::Lowest, 0.0).is_empty());
    }

    #[test]
    fn every_order_holds_the_same_bytes_and_only_the_prompt_is_rounded() {
        let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
        let inputs = Inputs::new(shape, 60, 2);
        let run = |order| {
            let strategy = SelectBits {
                order,
                share: 0.25,
                window: 0,
                once: true,
                ..SelectBits::default()
            };
            let mut cache = Cache::builder(shape, Arc::new(strategy)).build().unwrap();
            let mut out = inputs.step(&mut cache, 0, 44, false);
            for token in 44..60 {
                out.extend(inputs.step(&mut cache, token, 1, false));
            }
            (out, cache.memory(), cache.census())
        };
        let (high, low, any) = (run(Order::Highest), run(Order::Lowest), run(Order::Random));
        assert_eq!((high.1, low.1), (low.1, any.1));
        // A quarter of the 40 tokens of the prompt after its sinks, in each of four lanes.
        assert_eq!(high.2, [4 * (30 + 16), 4 * 10, 4 * 4]);
        assert!(high.0 != low.0 && low.0 != any.0);
    }
}
