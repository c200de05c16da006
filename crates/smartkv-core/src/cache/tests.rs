//! Attention under arbitrary plans equals dense attention over what is really stored.

mod inspect;
mod plans;
mod probes;
mod windows;

use super::Cache;
use crate::contract::{Inputs, dense_attention};
use crate::hook::{AttnStep, KvHook, MeasuredHook};
use crate::{
    Balance, Bits, Budget, CacheShape, Error, Format, Layout, Place, Plan, PlanCx, Reference,
    Result, Seen, Strategy, Tier, Tracker, Watch, config, strategy, tracker,
};
use proptest::prelude::*;
use std::sync::Arc;

/// Scatters rows at random over every lower place: the wildest plan that is allowed.
#[config]
struct Scatter {
    /// Seed of the lots.
    seed: u64,
    /// Whether rows may be evicted.
    evict: bool,
    /// Whether to store rotated.
    rotate: bool,
    /// Whether to store centred, and with which factors on channels.
    fit: Option<Balance>,
    /// Never uses the last tier, whose rows have no scores.
    scored: bool,
    /// Full-precision tiers only.
    exact: bool,
    /// Sums attention, so that scores can be checked.
    #[default(Box::new(Sum {}))]
    tracker: Box<dyn Tracker>,
}

/// Sums the attention each token receives.
#[config]
struct Sum;

#[tracker("test-sum")]
impl Tracker for Sum {
    fn watch(&self) -> Option<Watch> {
        Some(Watch::newest(usize::MAX))
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        for (score, mass) in score.iter_mut().zip(seen.mass) {
            *score += mass * seen.queries as f32;
        }
    }
}

#[strategy("test-scatter", family = "test")]
impl Strategy for Scatter {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let tiers = if self.exact {
            vec![Tier::same(Format::F16); 3]
        } else {
            [Bits::B8, Bits::B4, Bits::B2]
                .map(|b| Tier::same(Format::asymmetric(b, 16)))
                .to_vec()
        };
        let (positions, rotate) = (true, self.rotate);
        Ok(Layout {
            tiers,
            window: 5,
            sinks: 2,
            period: 3,
            positions,
            rotate: rotate.into(),
            center: self.fit.is_some(),
            balance: self.fit.unwrap_or_default(),
            evicts: self.evict,
            ..Layout::constant(Tier::same(Format::F16))
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let rows = cx.rows();
        let places = rows.place.iter().enumerate().map(|(index, &from)| {
            let lot = (index as u64 + 1).wrapping_mul(self.seed ^ cx.seed | 1) >> 7;
            let menu = [
                Place::Tier(0),
                Place::Tier(1),
                Place::Tier(2),
                Place::Evicted,
            ];
            let places = match (self.evict, self.scored) {
                (true, _) => 4,
                (false, false) => 3,
                (false, true) => 2,
            };
            let to = menu[(lot % places) as usize];
            to.max(from)
        });
        Ok(Plan::Assign(places.collect()))
    }
}

/// Tries to raise a row.
#[config]
struct Raise;

#[strategy("test-raise", family = "test")]
impl Strategy for Raise {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        Scatter {
            exact: true,
            ..Scatter::default()
        }
        .layout(shape)
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let place = |from: &Place| match from {
            Place::Window => Place::Tier(1),
            _ => Place::Tier(0),
        };
        Ok(Plan::Assign(cx.rows().place.iter().map(place).collect()))
    }
}

/// Ignores its budget.
#[config]
struct Spend;

#[strategy("test-spend", family = "test")]
impl Strategy for Spend {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let tiers = vec![
            Tier::same(Format::F16),
            Tier::same(Format::asymmetric(Bits::B4, 0)),
        ];
        Ok(Layout {
            tiers,
            ..Layout::constant(Tier::same(Format::F16))
        })
    }
}

fn cache(strategy: impl Strategy + 'static, budget: Option<Budget>) -> Cache {
    let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let builder = Cache::builder(shape, Arc::new(strategy)).kernels(&Reference);
    builder.budget(budget).build().unwrap()
}

/// Decoded rows of one lane in attention order.
fn stored(cache: &Cache, layer: usize, lane: usize) -> (Vec<f32>, Vec<f32>) {
    let lane = &cache.lanes[layer * cache.shape.lanes() + lane];
    let mut rows = (Vec::new(), Vec::new());
    for segment in lane.segments() {
        for (packed, out) in [(&segment.k, &mut rows.0), (&segment.v, &mut rows.1)] {
            let start = out.len();
            out.resize(start + segment.len() * 32, 0.0);
            packed.decode(&Reference, &mut out[start..]);
        }
    }
    lane.frame.keys_back(&mut rows.0, 32);
    lane.frame.values_back(&mut rows.1, 32);
    rows
}

fn fits() -> impl proptest::strategy::Strategy<Value = Option<Balance>> {
    let balances = [
        Balance::None,
        Balance::Energy,
        Balance::QueryMax,
        Balance::ValueMax,
    ];
    proptest::option::of(proptest::sample::select(balances.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn exact_tiers_give_dense_attention_whatever_the_plan(
        seed in any::<u64>(), rotate in any::<bool>(), fit in fits(),
        chunks in prop::collection::vec(1usize..40, 1..8),
    ) {
        let mut cache = cache(Scatter { seed, rotate, fit, exact: true, ..Scatter::default() }, None);
        let inputs = Inputs::new(cache.shape, chunks.iter().sum(), seed);
        let dense = dense_attention(&inputs);
        let out = inputs.run(&mut cache, &chunks);
        for (a, b) in dense.iter().zip(&out) {
            // Keys and values are rounded to f16.
            prop_assert!((a - b).abs() < 4e-3, "{a} {b}");
        }
    }

    #[test]
    fn the_next_token_attends_to_exactly_what_is_stored(
        seed in any::<u64>(), evict in any::<bool>(), rotate in any::<bool>(), fit in fits(),
        chunks in prop::collection::vec(1usize..30, 1..8),
    ) {
        let mut cache = cache(Scatter { seed, evict, rotate, fit, ..Scatter::default() }, None);
        let total: usize = chunks.iter().sum();
        let inputs = Inputs::new(cache.shape, total + 1, seed);
        inputs.run(&mut cache, &chunks);
        // Without the end of the step the new token is still in the window.
        let held: Vec<_> = (0..2).map(|lane| cache.positions(1, lane)).collect();
        let before = cache.clone();
        let out = inputs.step(&mut cache, total, 1, false);
        let expected = attend_by_hand(&before, &inputs, total);
        for (a, b) in expected.iter().zip(&out) {
            prop_assert!((a - b).abs() < 4e-3, "{a} {b}");
        }
        for positions in held {
            let mut sorted = positions.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), positions.len(), "a token is held twice");
            prop_assert!(evict || positions.len() == total, "a token is lost");
        }
    }

    #[test]
    fn scores_are_the_attention_each_token_received(
        seed in any::<u64>(), chunks in prop::collection::vec(1usize..30, 1..6),
    ) {
        let scatter = Scatter { seed, exact: true, scored: true, ..Scatter::default() };
        let mut cache = cache(scatter, None);
        let inputs = Inputs::new(cache.shape, chunks.iter().sum(), seed);
        inputs.run(&mut cache, &chunks);
        for lane in &cache.lanes {
            // Every query spends a mass of 1 over the tokens it sees.
            let total: f32 = lane.segments().flat_map(|s| &s.scores).sum();
            let queries = inputs.tokens as f32;
            prop_assert!((total - queries).abs() < 1e-3 * queries, "{total} of {queries}");
        }
    }
}

/// softmax(scale q Kᵀ) V of the token at `position` in f64, over the decoded rows and itself.
fn attend_by_hand(cache: &Cache, inputs: &Inputs, position: usize) -> Vec<f32> {
    let mut probe = cache.clone();
    let layer = 1;
    // The new token's own key and value, as the window stores them.
    for l in 0..2 {
        let mut out = vec![0.0; 4 * 32];
        inputs.attend_only(&mut probe, l, position, &mut out);
    }
    let mut out = Vec::new();
    for head in 0..4 {
        let (k, v) = stored(&probe, layer, head / 2);
        let query = inputs.query(layer, position, head);
        let dot = |row: &[f32]| -> f64 {
            row.iter()
                .zip(query)
                .map(|(a, b)| f64::from(a * b))
                .sum::<f64>()
        };
        let scores: Vec<f64> = k
            .chunks_exact(32)
            .map(|row| dot(row) * f64::from(cache.shape.scale))
            .collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for j in 0..32 {
            let mixed: f64 = weights
                .iter()
                .zip(v.chunks_exact(32))
                .map(|(w, row)| w * f64::from(row[j]))
                .sum();
            out.push((mixed / sum) as f32);
        }
    }
    out
}

#[test]
fn a_plan_that_raises_a_row_is_refused() {
    let mut cache = cache(Raise {}, None);
    let inputs = Inputs::new(cache.shape, 40, 1);
    inputs.step(&mut cache, 0, 20, false);
    let error = inputs.try_step(&mut cache, 20, 20, false).unwrap_err();
    assert!(matches!(error, Error::Plan { .. }), "{error}");
    assert!(
        error.to_string().contains("from Tier(1) to Tier(0)"),
        "{error}"
    );
}

#[test]
fn a_plan_over_budget_is_refused() {
    let mut cache = cache(Spend {}, Some(Budget::Ratio(0.5)));
    let inputs = Inputs::new(cache.shape, 300, 1);
    let error = inputs.try_step(&mut cache, 0, 300, false).unwrap_err();
    assert!(matches!(error, Error::Plan { .. }), "{error}");
}

#[test]
fn exact_prefill_compresses_at_the_end_of_the_prompt_only() {
    let mut cache = cache(Scatter::default(), None);
    let inputs = Inputs::new(cache.shape, 80, 1);
    inputs.step(&mut cache, 0, 40, true);
    assert_eq!(cache.census(), [0, 0, 0, 40 * 4]);
    inputs.step(&mut cache, 40, 40, false);
    let census = cache.census();
    assert!(census[..3].iter().all(|&rows| rows > 0), "{census:?}");
    assert_eq!(census.iter().sum::<usize>(), 80 * 4);
    let memory = cache.memory();
    assert!(
        memory.peak_bytes > memory.live_bytes,
        "the peak holds the whole prompt in f16"
    );
}

#[test]
fn room_for_a_prompt_changes_nothing() {
    let new = || cache(Scatter::default(), None);
    let (mut grown, mut roomy) = (new(), new());
    roomy.reserve(&[100]);
    let prompt = 100 * grown.shape.layers * grown.shape.kv_heads * grown.shape.f16_row_bytes();
    assert!(roomy.memory().allocated_bytes >= prompt as u64);
    let inputs = Inputs::new(grown.shape, 100, 3);
    assert_eq!(
        inputs.run(&mut grown, &[40, 60]),
        inputs.run(&mut roomy, &[40, 60])
    );
    let live = |cache: &Cache| cache.memory().live_bytes;
    assert_eq!(live(&grown), live(&roomy));
    assert!(roomy.memory().allocated_bytes < prompt as u64);
}

/// Stores what it is given and attends to nothing.
struct Stores(Cache);

impl KvHook for Stores {
    fn shape(&self) -> &CacheShape {
        self.0.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.0.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, _: &mut [f32]) -> Result<()> {
        self.0.store(step)
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.0.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

#[test]
fn stored_tokens_are_attended_to_like_others() {
    let new = || cache(Scatter::default(), None);
    let (mut attended, mut stored) = (new(), Stores(new()));
    let inputs = Inputs::new(attended.shape, 91, 5);
    inputs.run(&mut attended, &[40, 50]);
    inputs.run(&mut stored, &[40, 50]);
    assert_eq!(
        inputs.step(&mut attended, 90, 1, false),
        inputs.step(&mut stored.0, 90, 1, false)
    );
}

#[test]
fn a_budget_out_of_reach_is_refused_with_the_range() {
    let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let build = |ratio| {
        let builder = Cache::builder(shape, Arc::new(Scatter::default()));
        builder.budget(Some(Budget::Ratio(ratio))).build()
    };
    let error = build(0.1).unwrap_err().to_string();
    assert!(
        error.contains("expected 0.") && error.contains("to 1"),
        "{error}"
    );
    assert!(build(0.9).is_ok());
}

#[test]
fn sliced_steps_that_do_not_match_the_shape_are_refused() {
    let mut cache = cache(Scatter::default(), None);
    let step = crate::AttnStep {
        layer: 0,
        tokens: 1,
        lens: &[1],
        q: &[0.0; 3],
        k: &[],
        v: &[],
        window: None,
    };
    let error = cache.attend(step, &mut [0.0; 128]).unwrap_err().to_string();
    assert!(error.contains("q has 3 elements, expected 128"), "{error}");
}

/// Keys with scales per channel, in blocks of 16 tokens (`KIVI`'s storage).
#[config]
struct Blocks {
    /// Breaks the blocks.
    bad: bool,
}

#[strategy("test-blocks", family = "test")]
impl Strategy for Blocks {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout {
            window: 3,
            sinks: 1,
            ..Layout::constant(Tier {
                k: Format::per_channel(Bits::B4, 16),
                v: Format::asymmetric(Bits::B4, 0),
            })
        })
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        if !self.bad {
            return Ok(Plan::FlushTo(Place::Tier(0)));
        }
        let mut places = vec![Place::Tier(0); cx.rows().len()];
        places[3] = Place::Evicted;
        Ok(Plan::Assign(places))
    }
}

#[test]
fn strategies_that_store_blocks_keep_the_contract() {
    let blocks: Arc<dyn Strategy> = Arc::new(Blocks::default());
    crate::contract::check(&blocks);
}

#[test]
fn rows_wait_in_the_window_until_they_fill_a_block() {
    let mut cache = cache(Blocks::default(), None);
    let inputs = Inputs::new(cache.shape, 60, 3);
    for token in 0..60 {
        inputs.step(&mut cache, token, 1, false);
        let rows = cache.census();
        let lanes = cache.shape.layers * cache.shape.lanes();
        assert_eq!(rows.iter().sum::<usize>(), (token + 1) * lanes);
        assert_eq!(rows[0] % (16 * lanes), 0, "whole blocks");
        assert!(
            rows[1] <= (1 + 3 + 15) * lanes,
            "{} rows wait",
            rows[1] / lanes
        );
    }
}

#[test]
fn a_plan_that_breaks_a_block_is_refused() {
    let mut cache = cache(Blocks { bad: true }, None);
    let inputs = Inputs::new(cache.shape, 40, 3);
    let error = inputs
        .try_step(&mut cache, 0, 40, false)
        .unwrap_err()
        .to_string();
    assert!(error.contains("in blocks of 16"), "{error}");
}

/// Keeps what leaves the window until there are 200 tokens, then evicts all of it.
#[config]
struct Forget;

#[strategy("test-forget", family = "test")]
impl Strategy for Forget {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::evicting(0, 8, 8))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let place = |from: &Place| match from {
            Place::Tier(_) if cx.seen >= 200 => Place::Evicted,
            _ => Place::Tier(0),
        };
        Ok(Plan::Assign(cx.rows().place.iter().map(place).collect()))
    }
}

#[test]
fn evicted_rows_give_their_memory_back() {
    let mut cache = cache(Forget {}, None);
    let inputs = Inputs::new(cache.shape, 220, 3);
    inputs.step(&mut cache, 0, 190, false);
    let before = cache.memory();
    for token in 190..220 {
        inputs.step(&mut cache, token, 1, false);
    }
    let after = cache.memory();
    assert!(after.live_bytes * 4 < before.live_bytes, "{after:?}");
    assert!(
        after.allocated_bytes * 2 < before.allocated_bytes,
        "{before:?} {after:?}"
    );
}

/// Keeps only what the budget's window holds.
#[config]
struct Slide;

#[strategy("test-slide", family = "test")]
impl Strategy for Slide {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        Ok(Layout::windowed(2, 4))
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        assert_eq!(cx.affordable(), 0, "there is no tier to pay for");
        Ok(Plan::FlushTo(Place::Evicted))
    }
}

#[test]
fn a_window_without_tiers_takes_the_whole_budget() {
    let mut cache = cache(Slide {}, Some(Budget::Tokens(50)));
    let inputs = Inputs::new(cache.shape, 130, 3);
    let lanes = cache.shape.layers * cache.shape.lanes();
    for token in 0..130 {
        inputs.step(&mut cache, token, 1, false);
        let rows = cache.census()[0] / lanes;
        let least = (token + 1).min(50 - 3);
        assert!((least..=50).contains(&rows), "{rows} rows at {token}");
    }
}

#[test]
fn a_layout_with_nowhere_to_go_is_refused() {
    let shape = CacheShape::new(1, 1, 1, 1, 8).unwrap();
    let nowhere = Layout {
        evicts: false,
        ..Layout::windowed(0, 1)
    };
    assert!(nowhere.check(&shape).is_err());
    assert!(Layout::windowed(0, 1).check(&shape).is_ok());
    assert!(Layout::windowed(0, 0).check(&shape).is_err());
}
