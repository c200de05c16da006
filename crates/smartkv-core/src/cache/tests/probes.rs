//! Attention observed at any set of queries is exactly that of those queries.

use super::Scatter;
use crate::cache::{Cache, watch, watched::Watched};
use crate::contract::Inputs;
use crate::{CacheShape, KvHook, LaneRows, Layout, Plan, PlanCx, Reference, Result, Seen};
use crate::{Strategy, Tracker, Watch, config, strategy, tracker};
use proptest::prelude::*;
use std::sync::Arc;

/// Sums the attention of some queries.
#[config]
struct Probing {
    /// Newest queries of a chunk.
    newest: usize,
    /// Tokens of which one more is observed.
    spread: usize,
}

#[tracker("test-some")]
impl Tracker for Probing {
    fn watch(&self) -> Option<Watch> {
        Some(Watch {
            prompt_queries: self.newest,
            spread: self.spread,
        })
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        for (score, mass) in score.iter_mut().zip(seen.mass) {
            *score += mass * seen.queries as f32;
        }
    }

    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let observers = rows.observers();
        for (row, count) in observers.iter().enumerate() {
            // The newest query sees all.
            assert!(*count >= 1, "row {row} of {observers:?}");
        }
        None
    }
}

/// Scatters rows by the same lots, under another tracker.
#[config]
struct Probed {
    /// Seed of the lots.
    seed: u64,
    /// Newest queries of a chunk.
    newest: usize,
    /// Tokens of which one more is observed.
    spread: usize,
    /// Watches.
    #[default(Box::new(Probing::default()))]
    tracker: Box<dyn Tracker>,
}

#[strategy("test-probed", family = "test")]
impl Strategy for Probed {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        self.scatter().layout(shape)
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        self.scatter().plan(cx)
    }
}

impl Probed {
    fn scatter(&self) -> Scatter {
        Scatter {
            seed: self.seed,
            exact: true,
            scored: true,
            ..Scatter::default()
        }
    }
}

/// Attention of the query at `token` to all before it, averaged over the heads of a lane, in f64.
fn attention(inputs: &Inputs, layer: usize, kv_head: usize, token: usize) -> Vec<f64> {
    let mut mean = vec![0.0; token + 1];
    for head in 2 * kv_head..2 * kv_head + 2 {
        let query = inputs.query(layer, token, head);
        let weight = |at: usize| {
            let key = inputs.key(layer, at, kv_head);
            let dot: f64 = key.iter().zip(query).map(|(k, q)| f64::from(k * q)).sum();
            (dot * f64::from(inputs.shape.scale)).exp()
        };
        let weights: Vec<f64> = (0..=token).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let shares = weights.iter().map(|weight| weight / total / 2.0);
        mean.iter_mut().zip(shares).for_each(|(sum, x)| *sum += x);
    }
    mean
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn normalised_sums_are_the_naive_ones(
        seed in any::<u64>(), newest in 1usize..50, spread in 0usize..30,
        chunks in prop::collection::vec(prop_oneof![Just(1), 1usize..90], 1..6),
    ) {
        let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
        let tracker = Box::new(Probing { newest, spread });
        let strategy = Arc::new(Probed { seed, newest, spread, tracker });
        let builder = Cache::builder(shape, strategy).kernels(&Reference).seed(seed);
        let mut cache = builder.build().unwrap();
        let inputs = Inputs::new(shape, chunks.iter().sum(), seed);
        inputs.run(&mut cache, &chunks);

        let watch = watch(cache.strategy());
        let (mut first, mut observed, mut watched) = (0, Vec::new(), Watched::default());
        for &chunk in &chunks {
            watched.choose(watch, seed, first, chunk);
            observed.extend(watched.positions(first));
            first += chunk;
        }
        prop_assert!(observed.is_sorted());
        let held: Vec<usize> = cache.observed(0).iter().map(|at| *at as usize).collect();
        prop_assert_eq!(&held, &observed);
        for layer in 0..2 {
            for kv_head in 0..2 {
                let mut sums = vec![0.0; inputs.tokens];
                for &token in &observed {
                    let masses = attention(&inputs, layer, kv_head, token);
                    sums.iter_mut().zip(masses).for_each(|(sum, mass)| *sum += mass);
                }
                let lane = &cache.lanes[layer * 2 + kv_head];
                let scores = lane.segments().flat_map(|segment| &segment.scores);
                for (at, score) in cache.positions(layer, kv_head).into_iter().zip(scores) {
                    let sees = observed.iter().filter(|q| **q >= at as usize).count() as f64;
                    let expected = sums[at as usize] / sees;
                    let score = f64::from(*score) / sees;
                    let off = (score - expected).abs();
                    prop_assert!(off < 2e-3 * expected + 1e-4, "{score} {expected} at {at}");
                }
            }
        }
        prop_assert_eq!(cache.seen(0), inputs.tokens);
    }
}
