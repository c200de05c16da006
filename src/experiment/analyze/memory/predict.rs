//! What a cache should hold, by arithmetic from its layout and the number of rows in each place.
//!
//! No buffer is looked at, so that a buffer that is too long, a column that nobody declared or a
//! scale too many shows as a difference from what is measured.

use serde::{Deserialize, Serialize};
use smartkv_core::{Axis, Balance, Cache, CacheShape, Format, Layout, Memory, Tracker};
use std::ops::AddAssign;

/// Bytes of a scale, a zero point, a mean or a factor: f16.
const F16: u64 = 2;
/// Bytes of a position, a score or a number that is remembered.
const NUMBER: u64 = 4;
/// Bytes of a lane's running energies: two sums and two counts of eight bytes.
const ENERGIES: u64 = 4 * 8;

/// Live bytes by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Codes of packed rows.
    pub payload_bytes: u64,
    /// Scales, zero points, positions and bounds of pages.
    pub metadata_bytes: u64,
    /// Full-precision rows with their positions.
    pub window_bytes: u64,
    /// Scores and statistics.
    pub policy_bytes: u64,
}

impl Parts {
    /// All of them.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.payload_bytes + self.metadata_bytes + self.window_bytes + self.policy_bytes
    }

    /// The largest difference of a part from another's.
    #[must_use]
    pub fn difference(&self, other: &Self) -> u64 {
        let parts = |p: &Self| {
            [
                p.payload_bytes,
                p.metadata_bytes,
                p.window_bytes,
                p.policy_bytes,
            ]
        };
        let pairs = parts(self).into_iter().zip(parts(other));
        pairs.map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
    }
}

impl From<&Memory> for Parts {
    fn from(memory: &Memory) -> Self {
        Self {
            payload_bytes: memory.payload_bytes,
            metadata_bytes: memory.metadata_bytes,
            window_bytes: memory.window_bytes,
            policy_bytes: memory.policy_bytes,
        }
    }
}

impl AddAssign for Parts {
    fn add_assign(&mut self, other: Self) {
        self.payload_bytes += other.payload_bytes;
        self.metadata_bytes += other.metadata_bytes;
        self.window_bytes += other.window_bytes;
        self.policy_bytes += other.policy_bytes;
    }
}

/// What follows from a strategy, its shape and its layout alone.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    shape: CacheShape,
    layout: Layout,
    /// Bytes of a row's position, where it is kept.
    position: u64,
    /// Numbers that follow a row that may still move.
    numbers: u64,
    /// Bytes of a lane besides its rows, before and after its frame is fitted.
    lane: [u64; 2],
}

impl Prediction {
    /// For the strategy, shape and layout of `cache`.
    pub(super) fn of(cache: &Cache, shape: CacheShape) -> Self {
        let (layout, tracker) = (cache.layout().clone(), cache.strategy().tracker());
        let positions =
            layout.positions || shape.windows || tracker.is_some_and(Tracker::positions);
        let watches = tracker.is_some_and(|tracker| tracker.watch().is_some());
        let remembered = tracker.map_or(0, Tracker::memory) + usize::from(layout.drift > 0.0);
        let head_dim = shape.head_dim as u64;
        let energies = if tracker.is_some() { ENERGIES } else { 0 };
        let queries = if layout.queries {
            // Means of every query head, one lower triangle, a count.
            let numbers = shape.group() as u64 * head_dim + head_dim * (head_dim + 1) / 2;
            NUMBER * numbers + 8
        } else {
            0
        };
        let vectors = 2 * u64::from(layout.center) + u64::from(layout.balance != Balance::None);
        let plain = energies + queries;
        Self {
            position: if positions { NUMBER } else { 0 },
            numbers: u64::from(watches) + remembered as u64,
            lane: [plain, plain + vectors * head_dim * F16],
            shape,
            layout,
        }
    }

    /// What the lanes of `cache` should hold, given how many rows they have in each place and how
    /// many tokens were seen.
    pub(super) fn parts(&self, cache: &Cache, seen: usize) -> Parts {
        let mut parts = Parts::default();
        for layer in 0..self.shape.layers {
            parts += self.layer(cache, layer, seen);
        }
        parts
    }

    /// The same of one layer.
    pub(super) fn layer(&self, cache: &Cache, layer: usize, seen: usize) -> Parts {
        let mut parts = Parts::default();
        for lane in 0..self.shape.lanes() {
            let census = cache.lane_census(layer, lane);
            let (window, tiers) = census.split_last().map_or((0, &[][..]), |(w, t)| (*w, t));
            for (tier, &rows) in tiers.iter().enumerate() {
                parts += self.tier(layer, tier, rows as u64);
            }
            parts += self.window(window as u64);
            let fitted = usize::from(window < seen);
            parts.policy_bytes += self.lane[fitted];
        }
        parts
    }

    /// So many rows of one lane in full precision.
    pub(super) fn window(&self, rows: u64) -> Parts {
        let row = 2 * self.shape.head_dim as u64 * F16 + self.position;
        Parts {
            window_bytes: rows * row,
            policy_bytes: rows * NUMBER * self.numbers,
            ..Parts::default()
        }
    }

    /// So many rows of one lane in a tier.
    pub(super) fn tier(&self, layer: usize, tier: usize, rows: u64) -> Parts {
        let head_dim = self.shape.head_dim as u64;
        let pair = self.layout.tiers[tier];
        let halves = [pair.k, pair.v];
        let codes = |format: &Format| rows * head_dim * format.bits.count() as u64 / 8;
        let bounds = match self.layout.pages {
            // The least and the most of each channel.
            Some(pages) if layer >= pages.full_layers => {
                rows / pages.rows as u64 * 2 * head_dim * F16
            }
            _ => 0,
        };
        // Rows that can go nowhere any more need no score.
        let moves = self.layout.evicts || tier + 1 < self.layout.tiers.len();
        let numbers = if moves { self.numbers } else { 0 };
        Parts {
            payload_bytes: halves.iter().map(codes).sum(),
            metadata_bytes: halves
                .iter()
                .map(|f| scales(f, rows, head_dim))
                .sum::<u64>()
                + rows * self.position
                + bounds,
            policy_bytes: rows * NUMBER * numbers,
            ..Parts::default()
        }
    }
}

/// Bytes of the scales and zero points of so many rows.
fn scales(format: &Format, rows: u64, head_dim: u64) -> u64 {
    if format.bits.is_float() {
        return 0;
    }
    let group = format.group_size as u64;
    let groups = match format.axis {
        Axis::Channels if group == 0 => rows,
        Axis::Channels => rows * head_dim / group,
        Axis::Tokens => rows / group * head_dim,
    };
    let each = if format.symmetric { F16 } else { 2 * F16 };
    groups * each
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::contract::Inputs;
    use smartkv_core::registry::{self, Kind};
    use smartkv_core::{Budget, KvHook as _, MeasuredHook as _, Rope};

    fn cache(config: &serde_json::Value, budget: Option<Budget>) -> Cache {
        let shape = CacheShape::new(3, 1, 4, 2, 64).unwrap();
        let frequencies = (0..32).map(|pair| 10_000f64.powf(-f64::from(pair) / 32.0));
        Cache::builder(shape, registry::strategy(config).unwrap())
            .rope(&Rope::new(frequencies.collect(), false))
            .budget(budget)
            .build()
            .unwrap()
    }

    /// Measured against predicted after every step of a prompt and of decoding.
    fn differences(mut cache: Cache) -> Vec<(usize, u64)> {
        let shape = *cache.shape();
        let prediction = Prediction::of(&cache, shape);
        let inputs = Inputs::new(shape, 150, 3);
        let steps = [(0, 60, true), (60, 41, false)].into_iter();
        let steps = steps.chain((101..150).map(|token| (token, 1, false)));
        steps
            .map(|(start, tokens, more)| {
                inputs.step(&mut cache, start, tokens, more);
                let seen = cache.seen(0);
                let measured = Parts::from(&cache.memory());
                assert_eq!(measured.live_bytes(), cache.memory().live_bytes);
                (seen, prediction.parts(&cache, seen).difference(&measured))
            })
            .collect()
    }

    #[test]
    fn every_strategy_holds_what_its_layout_says_to_the_byte() {
        let mut packed = 0;
        for entry in registry::entries(Kind::Strategy) {
            let config = (entry.example)().unwrap();
            let built = registry::strategy(&config).unwrap();
            if built.simulation().is_some() {
                continue;
            }
            packed += 1;
            let found = differences(cache(&config, built.default_budget()));
            assert!(
                found.iter().all(|(_, difference)| *difference == 0),
                "{config}: {found:?}"
            );
        }
        assert!(packed > 15, "{packed} strategies");
    }

    #[test]
    fn what_trackers_remember_and_pages_bound_is_counted() {
        let watched = serde_json::json!({
            "type": "smartkv", "drift": 0.3, "tracker": {"type": "forecast"}, "sinks": 2,
        });
        let pages = serde_json::json!({"type": "quest"});
        for (config, budget) in [(watched, Some(Budget::Ratio(0.4))), (pages, None)] {
            let found = differences(cache(&config, budget));
            assert!(
                found.iter().all(|(_, difference)| *difference == 0),
                "{config}: {found:?}"
            );
        }
    }

    #[test]
    fn a_format_costs_its_codes_and_scales() {
        let config = serde_json::json!({
            "type": "uniform", "key_bits": 4, "value_bits": 2, "group_size": 32,
        });
        let cache = cache(&config, None);
        let prediction = Prediction::of(&cache, *cache.shape());
        let tier = prediction.tier(0, 0, 10);
        // 64 channels at 4 and at 2 bits; two groups, each with a scale and a zero point.
        assert_eq!(tier.payload_bytes, 10 * (32 + 16));
        assert_eq!(tier.metadata_bytes, 10 * 2 * (2 * 2 * 2));
        assert_eq!(prediction.window(3).window_bytes, 3 * 256);
    }
}
