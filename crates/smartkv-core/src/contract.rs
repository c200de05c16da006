//! What every strategy must keep, as tests that a plugin's author calls with one line.
//!
//! The functions panic with a message when a rule is broken, so they belong in `#[test]`s.
//! Inputs have outlier channels and attention sinks: Gaussian keys hide the very effects that
//! compression methods are about.

mod inputs;
mod probe;

pub use inputs::{Inputs, dense_attention};
pub use probe::Probe;

use crate::budget::{Budget, GRACE_TOKENS};
use crate::cache::{Cache, Prefill};
use crate::hook::{KvHook, MeasuredHook};
use crate::kernels::{Kernels, Reference};
use crate::registry::{self, Entry, Kind, Storage};
use crate::rope::Rope;
use crate::shape::CacheShape;
use crate::strategy::Strategy;
use std::sync::Arc;

/// A budget every shipped strategy must reach, or refuse with the range it can reach.
const TIGHT: Budget = Budget::Ratio(0.5);

/// Runs every rule for every registered strategy with its default configuration.
///
/// # Panics
/// When a strategy breaks a rule.
pub fn all_registered() {
    let strategies = registry::entries(Kind::Strategy);
    assert!(
        !strategies.is_empty(),
        "no strategy is registered: `use your_crate as _;`"
    );
    for entry in strategies {
        round_trip(entry);
        let example = entry.configuration().expect("example serialises");
        check(&registry::strategy(&example).expect("example builds"));
    }
}

/// Runs every rule for one strategy.
///
/// # Panics
/// When the strategy breaks a rule.
pub fn check(strategy: &Arc<dyn Strategy>) {
    // Multi-head, grouped-query and multi-query attention.
    for (q_heads, kv_heads, head_dim) in [(2, 2, 32), (4, 2, 64), (3, 1, 64)] {
        let shape = CacheShape::new(2, 1, q_heads, kv_heads, head_dim).expect("shape");
        close_to_dense(strategy, shape);
        smaller_than_f16(strategy, shape);
        holds_its_budget(strategy, shape);
        reset_forgets(strategy, shape);
        batch_is_one_by_one(strategy, shape);
    }
    let shape = CacheShape::new(2, 1, 4, 2, 64).expect("shape");
    refuses_what_is_not_finite(strategy, shape);
    ignores_threads(strategy, shape);
    forks_go_their_own_ways(strategy, shape);
}

/// The example configuration survives a round trip.
fn round_trip(entry: &Entry) {
    let example = entry.configuration().expect("example serialises");
    let built = registry::strategy(&example).expect("defaults lie in their ranges");
    assert_eq!(
        entry.storage == Some(Storage::Simulated),
        built.simulation().is_some(),
        "`{}`: its `storage` and `simulation` must agree",
        entry.name
    );
    let again = serde_json::to_value(built.as_ref()).expect("serialises");
    assert_eq!(
        again, example,
        "`{}` does not survive a round trip",
        entry.name
    );
}

fn build(strategy: &Arc<dyn Strategy>, shape: CacheShape, kernels: &'static dyn Kernels) -> Cache {
    Cache::builder(shape, Arc::clone(strategy))
        .rope(&rope(shape.head_dim))
        .kernels(kernels)
        .build()
        .expect("cache builds")
}

/// The usual rotation, for strategies that take it back.
fn rope(head_dim: usize) -> Rope {
    #[expect(clippy::cast_precision_loss, reason = "a few channels")]
    let frequency = |pair: usize| 10_000f64.powf(-2.0 * pair as f64 / head_dim as f64);
    Rope::new((0..head_dim / 2).map(frequency).collect(), false)
}

fn name(strategy: &Arc<dyn Strategy>) -> &'static str {
    strategy.typetag_name()
}

/// Output follows dense attention closely; odd lengths, one token and chunks included.
fn close_to_dense(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    for chunks in [vec![1; 5], vec![37, 1, 1, 1], vec![100, 64, 1, 1]] {
        let mut cache = build(strategy, shape, &Reference);
        let inputs = Inputs::new(shape, chunks.iter().sum(), 7);
        let dense = dense_attention(&inputs);
        let out = inputs.run(&mut cache, &chunks);
        assert!(
            out.iter().all(|x| x.is_finite()),
            "{}: output not finite",
            name(strategy)
        );
        let norm: f64 = dense.iter().map(|x| f64::from(x * x)).sum();
        let off: f64 = dense
            .iter()
            .zip(&out)
            .map(|(a, b)| f64::from((a - b).powi(2)))
            .sum();
        let error = (off / norm).sqrt();
        // Two bits are far from dense attention on such keys, and an evictor may by default drop
        // most of the tokens.
        let layout = cache.layout();
        let coarse = layout
            .tiers
            .first()
            .is_some_and(|best| best.k.bits.count().min(best.v.bits.count()) <= 2);
        let bound = if layout.evicts || coarse { 0.9 } else { 0.35 };
        assert!(
            error < bound,
            "{}: output off by {error:.3} for {chunks:?}",
            name(strategy)
        );
    }
}

/// A cache is smaller than f16 by live bytes, unless it is the f16 reference or reads only some
/// pages, for which it keeps bounds; and a compressing one really changes the output. A simulated
/// one is as large as f16 and claims to be smaller.
fn smaller_than_f16(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    let mut cache = build(strategy, shape, &Reference);
    let chunks = [GRACE_TOKENS * 2, 1, 1];
    let inputs = Inputs::new(shape, chunks.iter().sum(), 3);
    let out = inputs.run(&mut cache, &chunks);
    let memory = cache.memory();
    assert!(memory.allocated_bytes >= memory.live_bytes, "{memory:?}");
    assert!(memory.peak_bytes >= memory.live_bytes, "{memory:?}");
    let dense = dense_attention(&inputs);
    let last = out.len() - shape.q_heads * shape.head_dim;
    let off = dense[last..]
        .iter()
        .zip(&out[last..])
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    if let Some(logical) = memory.logical_bytes {
        // Nothing is smaller, and nobody may believe it.
        assert_eq!(
            memory.live_bytes,
            memory.f16_bytes,
            "{}: simulated, yet not all in f16",
            name(strategy)
        );
        assert!(
            logical > 0 && logical < memory.f16_bytes,
            "{}: claims {logical} bytes of {}",
            name(strategy),
            memory.f16_bytes
        );
        assert!(
            off > 0.0,
            "{}: simulated, yet nothing changed",
            name(strategy)
        );
    } else if memory.live_bytes == memory.f16_bytes {
        assert!(
            off < 2e-3,
            "{}: full size, yet off by {off}",
            name(strategy)
        );
    } else if cache.layout().pages.is_some() {
        // It reads less and keeps bounds on top of its rows.
        assert!(
            memory.metadata_bytes > 0,
            "{}: pages without bounds",
            name(strategy)
        );
    } else {
        assert!(
            memory.live_bytes < memory.f16_bytes,
            "{}: {memory:?}",
            name(strategy)
        );
        assert!(
            off > 0.0,
            "{}: smaller, yet nothing changed",
            name(strategy)
        );
    }
}

/// Live bytes stay within the budget after every step, in both prefill modes.
fn holds_its_budget(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    for prefill in [Prefill::Exact, Prefill::Quantized] {
        let builder = Cache::builder(shape, Arc::clone(strategy))
            .rope(&rope(shape.head_dim))
            .prefill(prefill);
        let mut cache = match builder.budget(Some(TIGHT)).build() {
            Ok(cache) => cache,
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("expected"),
                    "`{}` does not say the range: {text}",
                    name(strategy)
                );
                continue;
            }
        };
        let mut chunks = vec![40, 24];
        chunks.extend([1; 90]);
        chunks.push(33);
        chunks.extend([1; 40]);
        let inputs = Inputs::new(shape, chunks.iter().sum(), 11);
        let mut at = 0;
        for &chunk in &chunks {
            inputs.step(&mut cache, at, chunk, false);
            at += chunk;
            let (live, limit) = (cache.memory().live_bytes, TIGHT.bytes(&shape, at));
            assert!(
                live <= limit,
                "{}: {live} bytes of {limit} at {at} tokens",
                name(strategy)
            );
        }
    }
}

/// Sequence B after A and a reset equals B alone.
fn reset_forgets(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    let chunks = [50, 1, 1, 1];
    let b = Inputs::new(shape, 53, 2);
    let mut used = build(strategy, shape, &Reference);
    Inputs::new(shape, 53, 1).run(&mut used, &chunks);
    used.reset();
    assert_eq!(used.seen(0), 0);
    let mut fresh = build(strategy, shape, &Reference);
    assert_eq!(
        b.run(&mut used, &chunks),
        b.run(&mut fresh, &chunks),
        "{}: reset",
        name(strategy)
    );
    let (used, fresh) = (used.memory(), fresh.memory());
    assert_eq!(
        (used.live_bytes, used.logical_bytes),
        (fresh.live_bytes, fresh.logical_bytes),
        "{}: reset",
        name(strategy)
    );
}

/// A ragged batch gives each sequence what it gets alone, empty sequences included.
fn batch_is_one_by_one(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    let lengths = [45, 0, 17];
    let steps = 4;
    let batched = CacheShape {
        batch: lengths.len(),
        ..shape
    };
    let all: Vec<Inputs> = (0..lengths.len())
        .map(|s| Inputs::new(shape, lengths[s] + steps, 20 + s as u64))
        .collect();
    let mut cache = build(strategy, batched, &Reference);
    let mut together = vec![Vec::new(); lengths.len()];
    inputs::ragged(&all, &mut cache, &lengths, &mut together);
    for _ in 0..steps {
        inputs::ragged(&all, &mut cache, &[1; 3], &mut together);
    }
    for (sequence, (inputs, together)) in all.iter().zip(&together).enumerate() {
        let mut alone = build(strategy, shape, &Reference);
        let mut chunks = vec![1; steps];
        if lengths[sequence] > 0 {
            chunks.insert(0, lengths[sequence]);
        }
        let expected = inputs.run(&mut alone, &chunks);
        assert_eq!(
            &expected,
            together,
            "{}: sequence {sequence} of a batch",
            name(strategy)
        );
    }
}

/// NaN and infinity are errors that name the layer.
fn refuses_what_is_not_finite(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    for (bad, key) in [(f32::NAN, true), (f32::INFINITY, false), (1e6, true)] {
        let mut cache = build(strategy, shape, &Reference);
        let mut inputs = Inputs::new(shape, 3, 5);
        inputs.poison(1, key, bad);
        let error = inputs
            .try_step(&mut cache, 0, 3, false)
            .expect_err("accepted a bad number");
        let text = error.to_string();
        assert!(text.contains("layer 1"), "{}: {text}", name(strategy));
    }
}

/// The same bytes on any number of threads.
fn ignores_threads(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    let chunks = [300, 40, 1, 1, 1];
    let inputs = Inputs::new(shape, chunks.iter().sum(), 9);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("pool");
        pool.install(|| {
            let mut cache = build(strategy, shape, &Reference);
            (inputs.run(&mut cache, &chunks), cache.memory().live_bytes)
        })
    };
    assert_eq!(run(1), run(3), "{}: depends on threads", name(strategy));
}

/// A clone is deep: what one does, the other does not see.
fn forks_go_their_own_ways(strategy: &Arc<dyn Strategy>, shape: CacheShape) {
    let inputs = Inputs::new(shape, 66, 13);
    let mut cache = build(strategy, shape, &Reference);
    inputs.run(&mut cache, &[60]);
    let mut fork = cache.clone();
    let elsewhere = Inputs::new(shape, 66, 14);
    elsewhere.step(&mut fork, 60, 6, false);
    let mut straight = build(strategy, shape, &Reference);
    inputs.run(&mut straight, &[60]);
    assert_eq!(
        inputs.step(&mut cache, 60, 6, false),
        inputs.step(&mut straight, 60, 6, false),
        "{}: a fork disturbed the original",
        name(strategy)
    );
}
