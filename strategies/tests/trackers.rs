//! What holds of every registered tracker, and of those that need more than attention so far.

use serde_json::{Value, json};
use smartkv_core::contract::Inputs;
use smartkv_core::registry::{self, Kind};
use smartkv_core::{
    Budget, Cache, CacheShape, Error, KvHook, LaneRows, Rope, TraceRecorder, Tracker, config,
    tracker,
};
use smartkv_strategies as _;
use std::sync::atomic::{AtomicUsize, Ordering};

fn build(config: Value) -> Box<dyn Tracker> {
    serde_json::from_value(config).expect("a configuration")
}

#[test]
fn what_wraps_another_asks_for_what_that_one_needs() {
    let mut wrappers = Vec::new();
    for entry in registry::entries(Kind::Tracker) {
        if entry.fields.iter().all(|field| field.name != "inner") {
            continue;
        }
        let wrap = |inner: &str| build(json!({"type": entry.name, "inner": {"type": inner}}));
        let name = entry.name;
        assert!(
            wrap("oracle").needs_trace() && wrap("oracle").positions(),
            "{name}"
        );
        assert!(!wrap("ema").needs_trace(), "{name}");
        let forecast = build(json!({"type": "forecast"})).memory();
        assert_eq!(wrap("forecast").memory(), forecast, "{name}");
        assert!(
            wrap("ema").watch() == build(json!({"type": "ema"})).watch(),
            "{name}"
        );
        wrappers.push(name);
    }
    assert!(wrappers.len() >= 5, "{wrappers:?}");
}

fn oracle(shape: CacheShape) -> Cache {
    let config = json!({"type": "smartkv", "tracker": {"type": "oracle"}});
    let strategy = registry::strategy(&config).expect("a configuration");
    let rope = Rope::new(vec![0.1; shape.head_dim / 2], false);
    Cache::builder(shape, strategy)
        .rope(&rope)
        .build()
        .expect("a cache")
}

#[test]
fn nobody_asks_an_oracle_of_tokens_that_nobody_knows() {
    let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let inputs = Inputs::new(shape, 80, 3);
    let mut cache = oracle(shape);
    assert!(cache.needs_trace());
    let error = inputs.try_step(&mut cache, 0, 40, false).unwrap_err();
    assert!(
        matches!(error, Error::NoTrace { tracker: "oracle" }),
        "{error}"
    );
    assert!(error.hints()[0].contains("smartkv compare"), "{error}");

    let f16 = json!({"type": "smartkv", "bits": [[16, 16]]});
    let f16 = Cache::builder(shape, registry::strategy(&f16).unwrap());
    let mut f16 = f16.budget(Some(Budget::Ratio(1.5))).build().unwrap();
    let mut recorder = TraceRecorder::new(&mut f16, 40, 40).unwrap();
    let mut chunks = vec![40];
    chunks.extend([1; 40]);
    inputs.run(&mut recorder, &chunks);
    let trace = recorder.finish();
    cache.reset();
    cache.foresee(&trace).unwrap();
    let first = inputs.run(&mut cache, &chunks);
    // A reset forgets what was to come.
    cache.reset();
    assert!(inputs.try_step(&mut cache, 0, 40, false).is_err());
    cache.foresee(&trace).unwrap();
    assert_eq!(inputs.run(&mut cache, &chunks), first);

    let other = CacheShape { layers: 3, ..shape };
    let error = oracle(other).foresee(&trace).unwrap_err();
    assert!(error.to_string().contains("a trace of"), "{error}");
}

/// Rows that were remembered.
static MET_AGAIN: AtomicUsize = AtomicUsize::new(0);

/// Remembers each row's position and how often it met the row.
#[config]
struct Marks;

#[tracker("marks")]
impl Tracker for Marks {
    fn positions(&self) -> bool {
        true
    }

    fn memory(&self) -> usize {
        2
    }

    #[allow(
        clippy::float_cmp,
        clippy::cast_precision_loss,
        reason = "small whole numbers"
    )]
    fn remember(&self, rows: &LaneRows<'_>, memory: &mut [f32]) {
        for (kept, position) in memory.chunks_exact_mut(2).zip(rows.position) {
            let mark = (*position * 8) as f32 + (rows.layer * 2 + rows.kv_head) as f32;
            if kept[0].is_nan() {
                kept.copy_from_slice(&[mark, 1.0]);
            } else {
                assert_eq!(kept[0], mark, "of another row");
                kept[1] += 1.0;
                MET_AGAIN.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        // Another order at every plan, so that rows move.
        let score = |kept: &[f32]| (kept[0] * 0.37 + kept[1]).sin().abs();
        Some(rows.memory.chunks_exact(2).map(score).collect())
    }
}

#[test]
fn what_is_remembered_goes_where_its_row_goes() {
    let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let inputs = Inputs::new(shape, 330, 3);
    let config = json!({
        "type": "smartkv", "tracker": {"type": "marks"}, "drift": 0.01,
        "bits": [[8, 8], [4, 4], [2, 2], [0, 0]],
    });
    let cache = Cache::builder(shape, registry::strategy(&config).unwrap());
    let mut cache = cache.budget(Some(Budget::Ratio(0.4))).build().unwrap();
    let mut chunks = vec![200, 30];
    chunks.extend([1; 100]);
    inputs.run(&mut cache, &chunks);
    assert!(MET_AGAIN.load(Ordering::Relaxed) > 1000);
}
