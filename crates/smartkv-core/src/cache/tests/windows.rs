//! Windows and bounds on scores: packed attention is masked attention over what is stored.

use super::{Scatter, fits, stored};
use crate::cache::Cache;
use crate::contract::Inputs;
use crate::hook::{AttnStep, KvHook};
use crate::{CacheShape, Error, Reference, Result, Strategy};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gives the last layer a window, as a host would.
struct Narrow {
    cache: Cache,
    window: Option<usize>,
}

impl KvHook for Narrow {
    fn shape(&self) -> &CacheShape {
        self.cache.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.cache.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        let window = self.window.filter(|_| step.layer == 1);
        self.cache.attend(AttnStep { window, ..step }, out)
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.cache.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.cache.reset();
    }
}

fn cache(strategy: impl Strategy + 'static, softcap: Option<f32>) -> Cache {
    let shape = CacheShape {
        softcap,
        windows: true,
        ..CacheShape::new(2, 1, 4, 2, 32).unwrap()
    };
    let builder = Cache::builder(shape, Arc::new(strategy)).kernels(&Reference);
    builder.build().unwrap()
}

/// Attention in f64 of the tokens from `start` on, over the decoded rows of the last layer.
fn by_hand(hook: &Narrow, inputs: &Inputs, start: usize) -> Vec<f32> {
    let shape = hook.cache.shape;
    let mut out = Vec::new();
    for token in start..inputs.tokens {
        for head in 0..4 {
            let (k, v) = stored(&hook.cache, 1, head / 2);
            let query = inputs.query(1, token, head);
            let visible = |at: u32| {
                let at = at as usize;
                at <= token && hook.window.is_none_or(|window| at + window > token)
            };
            let (mut sum, mut mixed) = (0.0, [0.0; 32]);
            let positions = hook.cache.positions(1, head / 2);
            let rows = k.chunks_exact(32).zip(v.chunks_exact(32)).zip(positions);
            for ((k, v), _) in rows.filter(|(_, at)| visible(*at)) {
                let dot: f64 = k.iter().zip(query).map(|(a, b)| f64::from(a * b)).sum();
                let score = dot * f64::from(shape.scale);
                let score = shape.softcap.map_or(score, |cap| {
                    f64::from(cap) * (score / f64::from(cap)).tanh()
                });
                sum += score.exp();
                let products = mixed.iter_mut().zip(v);
                products.for_each(|(mixed, v)| *mixed += score.exp() * f64::from(*v));
            }
            out.extend(mixed.map(|mixed| (mixed / sum) as f32));
        }
    }
    out
}

fn scores(cache: &Cache, lane: usize) -> BTreeMap<u32, f32> {
    let segments = cache.lanes[cache.shape.lanes() + lane].segments();
    let scored = segments.filter(|segment| !segment.scores.is_empty());
    let rows = scored.flat_map(|s| s.positions().iter().copied().zip(s.scores.iter().copied()));
    rows.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_step_attends_to_what_its_window_holds_and_to_nothing_else(
        seed in any::<u64>(), evict in any::<bool>(), rotate in any::<bool>(), fit in fits(),
        window in prop::option::of(1usize..60), softcap in prop::option::of(0.5f32..8.0),
        chunks in prop::collection::vec(1usize..50, 1..6), last in 1usize..50,
    ) {
        let strategy = Scatter { seed, evict, rotate, fit, ..Scatter::default() };
        let mut hook = Narrow { cache: cache(strategy, softcap), window };
        let total: usize = chunks.iter().sum();
        let inputs = Inputs::new(hook.cache.shape, total + last, seed);
        inputs.run(&mut hook, &chunks);
        let before = [0, 1].map(|lane| scores(&hook.cache, lane));
        // What is attended to is looked at before the end of the step moves any row.
        let mut out = Vec::new();
        for layer in 0..2 {
            out = inputs.attend_rows(&mut hook, layer, total, last);
        }
        for (a, b) in by_hand(&hook, &inputs, total).iter().zip(&out) {
            prop_assert!((a - b).abs() < 4e-3, "{a} {b}");
        }
        for (lane, before) in before.iter().enumerate() {
            for (position, score) in scores(&hook.cache, lane) {
                let hidden = window.is_some_and(|window| position as usize + window <= total);
                if let Some(before) = before.get(&position).filter(|_| hidden) {
                    let (before, after) = (before.to_bits(), score.to_bits());
                    prop_assert_eq!(before, after, "mass of a row that no query saw");
                }
            }
        }
    }

    #[test]
    fn mass_is_shared_among_visible_rows(
        seed in any::<u64>(), window in 1usize..40,
        chunks in prop::collection::vec(1usize..50, 1..6),
    ) {
        let strategy = Scatter { seed, exact: true, scored: true, ..Scatter::default() };
        let mut hook = Narrow { cache: cache(strategy, Some(2.0)), window: Some(window) };
        let inputs = Inputs::new(hook.cache.shape, chunks.iter().sum(), seed);
        inputs.run(&mut hook, &chunks);
        for lane in 0..2 {
            let total: f32 = scores(&hook.cache, lane).values().sum();
            let queries = inputs.tokens as f32;
            prop_assert!((total - queries).abs() < 1e-3 * queries, "{total} of {queries}");
        }
    }
}

#[test]
fn windows_a_cache_does_not_expect_are_refused() {
    let plain = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let inputs = Inputs::new(plain, 1, 0);
    let refuse = |cache: Cache, window| {
        let mut hook = Narrow {
            cache,
            window: Some(window),
        };
        match inputs.try_step(&mut hook, 0, 1, false) {
            Err(Error::Step(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    let without = Cache::builder(plain, Arc::new(Scatter::default())).build();
    let reason = refuse(without.unwrap(), 4);
    assert!(reason.contains("a shape without windows"), "{reason}");
    let reason = refuse(cache(Scatter::default(), None), 0);
    assert!(reason.contains("a window of 0 tokens"), "{reason}");
    let nothing = CacheShape {
        softcap: Some(0.0),
        ..plain
    };
    assert!(
        nothing
            .check()
            .unwrap_err()
            .to_string()
            .contains("softcap 0")
    );
}

#[test]
fn whole_blocks_may_lie_behind_a_window() {
    for (window, last) in [(20, 1), (1500, 1), (20, 40)] {
        let strategy = Scatter {
            seed: 7,
            ..Scatter::default()
        };
        let mut hook = Narrow {
            cache: cache(strategy, None),
            window: Some(window),
        };
        let inputs = Inputs::new(hook.cache.shape, 2600 + last, 5);
        inputs.run(&mut hook, &[1300, 1300]);
        let mut out = Vec::new();
        for layer in 0..2 {
            out = inputs.attend_rows(&mut hook, layer, 2600, last);
        }
        for (a, b) in by_hand(&hook, &inputs, 2600).iter().zip(&out) {
            assert!((a - b).abs() < 4e-3, "{a} {b}");
        }
    }
}
