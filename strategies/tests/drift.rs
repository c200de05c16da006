//! Plans that leave stored rows alone until importance has moved.

use serde_json::{Value, json};
use smartkv_core::contract;
use smartkv_core::registry;
use smartkv_core::{
    AttnStep, Budget, Cache, CacheShape, KvHook, Layout, MeasuredHook, Place, Plan, PlanCx, Result,
    Strategy, Tracker, config, strategy,
};
use smartkv_strategies::smartkv::SmartKv;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn build(mut config: Value) -> Arc<dyn Strategy> {
    config["type"] = json!("smartkv");
    registry::strategy(&config).expect("a configuration")
}

#[test]
fn plans_that_wait_for_drift_keep_the_contract() {
    for config in [
        json!({"drift": 0.1}),
        json!({"drift": 0.5, "hysteresis": 0.1, "allocator": {"type": "layer_aware"}}),
        json!({"drift": 0.9, "bits": [[8, 8], [4, 4], [0, 0]], "damage": "measured"}),
        json!({"drift": 0.2, "tracker": {"type": "forecast"}}),
        json!({"drift": 0.3, "tracker": {"type": "recency", "inner": {"type": "forecast"}}}),
        json!({"drift": 0.3, "tracker": {"type": "random"}}),
        json!({"tracker": {"type": "forecast", "inner": {"type": "probes"}}}),
    ] {
        contract::check(&build(config));
    }
}

/// Tests that count, each with counters of its own.
const TESTS: usize = 8;

/// Stored rows moved by the plans of each test.
static MOVED: [AtomicUsize; TESTS] = [const { AtomicUsize::new(0) }; TESTS];

/// Lanes whose queries or values a plan knew nothing of.
static BLIND: AtomicUsize = AtomicUsize::new(0);

/// Counts what another strategy does.
#[config]
struct Observed {
    /// What moves rows.
    #[default(Box::new(SmartKv::default()))]
    inner: Box<dyn Strategy>,
    /// Which test it is of.
    test: usize,
}

#[strategy("observed")]
impl Strategy for Observed {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        self.inner.layout(shape)
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        self.inner.tracker()
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let table = cx.rows();
        let energies = table.query_energy.iter().chain(&table.value_energy);
        BLIND.fetch_add(energies.filter(|e| **e <= 0.0).count(), Ordering::Relaxed);
        let plan = self.inner.plan(cx)?;
        if let Plan::Move(moves) = &plan {
            let stored = moves
                .iter()
                .filter(|m| table.place[m.row as usize] != Place::Window);
            MOVED[self.test].fetch_add(stored.count(), Ordering::Relaxed);
        }
        Ok(plan)
    }
}

fn observed(test: usize, mut inner: Value) -> Arc<dyn Strategy> {
    inner["type"] = json!("smartkv");
    let config = json!({"type": "observed", "test": test, "inner": inner});
    registry::strategy(&config).expect("a configuration")
}

const DIM: usize = 64;
const LAYERS: usize = 2;

/// A number from -1 to 1 that depends on the others only.
#[allow(clippy::cast_precision_loss, reason = "16 bits")]
fn noise(a: usize, b: usize, c: usize) -> f32 {
    let mut x = (a * 1_000_003 + b * 7919 + c) as u64;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x >> 40) & 0xFFFF) as f32 / 32768.0 - 1.0
}

/// A step of `tokens` tokens that all ask the same: topic `topic`.
fn step(cache: &mut Cache, tokens: usize, topic: usize) {
    let (seen, heads) = (cache.seen(0), 1);
    for layer in 0..LAYERS {
        let row = |of: usize, token: usize| (0..DIM).map(move |j| noise(of, token, j));
        let rows = |of: usize| -> Vec<f32> {
            (seen..seen + tokens)
                .flat_map(|t| row(of + layer, t))
                .collect()
        };
        let q: Vec<f32> = (0..tokens * heads)
            .flat_map(|_| row(100 + 10 * topic + layer, 0).map(|x| 4.0 * x))
            .collect();
        let (k, v, lens) = (rows(1000), rows(2000), [tokens]);
        let mut out = vec![0.0; q.len()];
        let step = AttnStep {
            layer,
            tokens,
            window: None,
            lens: &lens,
            q: &q,
            k: &k,
            v: &v,
        };
        cache.attend(step, &mut out).expect("a step");
    }
    cache.end_step(false).expect("a plan");
}

fn cache(strategy: &Arc<dyn Strategy>, budget: Budget) -> Cache {
    let shape = CacheShape::new(LAYERS, 1, 1, 1, DIM).expect("a shape");
    Cache::builder(shape, Arc::clone(strategy))
        .budget(Some(budget))
        .build()
        .expect("a cache")
}

/// Scores that remember nothing but the last query.
fn forgetful(drift: f64) -> Value {
    json!({"drift": drift, "tracker": {"type": "ema", "decay": 0.0}, "power": 1.0})
}

#[test]
fn constant_attention_moves_nothing_and_a_shift_does() {
    let budget = Budget::Ratio(0.25);
    let moved = |test: usize| MOVED[test].swap(0, Ordering::Relaxed);
    let mut free = cache(&observed(0, forgetful(0.0)), budget);
    let mut held = cache(&observed(1, forgetful(0.25)), budget);
    for cache in [&mut free, &mut held] {
        step(cache, 200, 0);
        for _ in 0..60 {
            step(cache, 1, 0);
        }
    }
    assert!(moved(0) > 0, "nothing to hold back");
    assert_eq!(moved(1), 0);
    for _ in 0..20 {
        step(&mut held, 1, 1);
    }
    assert!(moved(1) > 0, "all attention went elsewhere");
    // What was planned then is what is compared with now.
    for _ in 0..60 {
        step(&mut held, 1, 1);
    }
    assert_eq!(moved(1), 0);
    // Forgotten, so that the next prompt is planned anew.
    held.reset();
    step(&mut held, 200, 1);
    for _ in 0..60 {
        step(&mut held, 1, 1);
    }
    assert_eq!(moved(1), 0);
}

#[test]
fn a_budget_that_does_not_grow_is_held_however_steady_attention_is() {
    let shape = CacheShape::new(LAYERS, 1, 1, 1, DIM).unwrap();
    let bytes = (300 * LAYERS * 2 * 2 * DIM) as u64 / 4;
    let mut cache = cache(&observed(2, forgetful(0.99)), Budget::Bytes(bytes));
    step(&mut cache, 100, 0);
    for _ in 0..200 {
        step(&mut cache, 1, 0);
        let (live, seen) = (cache.memory().live_bytes, cache.seen(0));
        let limit = Budget::Bytes(bytes).bytes(&shape, seen);
        assert!(live <= limit, "{live} of {limit} at {seen}");
    }
    assert!(
        MOVED[2].load(Ordering::Relaxed) > 0,
        "the budget was never short"
    );
}

#[test]
fn what_a_row_is_remembered_by_is_paid_for() {
    let policy = |config: Value| {
        let mut cache = cache(&build(config), Budget::Ratio(0.5));
        step(&mut cache, 64, 0);
        let rows: usize = cache.census().iter().sum();
        (cache.memory().policy_bytes, rows as u64)
    };
    // All tiers can be left but the last, which no row is in at this budget.
    let bits = json!([[8, 8], [4, 4], [2, 2]]);
    let (plain, rows) = policy(json!({"bits": bits}));
    let (drift, _) = policy(json!({"bits": bits, "drift": 0.1}));
    let (both, _) = policy(json!({"bits": bits, "drift": 0.1, "tracker": {"type": "forecast"}}));
    assert!(
        drift > plain && drift <= plain + 4 * rows,
        "{plain} {drift}"
    );
    assert!(both > drift && both <= plain + 12 * rows, "{drift} {both}");
}

#[test]
fn trackers_that_watch_nothing_leave_plans_with_what_errors_cost() {
    BLIND.store(0, Ordering::Relaxed);
    let config = json!({"tracker": {"type": "random"}});
    let mut cache = cache(&observed(3, config), Budget::Ratio(0.25));
    step(&mut cache, 100, 0);
    step(&mut cache, 1, 0);
    assert_eq!(BLIND.load(Ordering::Relaxed), 0);
}
