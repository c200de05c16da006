//! SmartKV with other parts and parameters than the default.

use serde_json::{Value, json};
use smartkv_core::contract::{self, Inputs};
use smartkv_core::registry::{self, Kind};
use smartkv_core::{
    Budget, Cache, CacheShape, Layout, MeasuredHook, Place, Plan, PlanCx, Result, Strategy,
    Tracker, config, strategy,
};
use smartkv_strategies::smartkv::SmartKv;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn build(mut config: Value) -> Arc<dyn Strategy> {
    config["type"] = json!("smartkv");
    registry::strategy(&config).expect("a configuration")
}

#[test]
fn every_allocator_keeps_the_contract() {
    for entry in registry::entries(Kind::Allocator) {
        // Coarse controls leave the bound on errors of a default.
        let bits = json!([[8, 8], [8, 4], [4, 4]]);
        contract::check(&build(
            json!({"allocator": {"type": entry.name}, "bits": bits}),
        ));
    }
}

#[test]
fn evicting_measuring_and_holding_keep_the_contract() {
    for config in [
        json!({"bits": [[16, 16], [8, 4], [4, 4], [2, 2], [0, 0]]}),
        json!({"bits": [[8, 8], [0, 0]], "damage": "measured"}),
        json!({"bits": [[0, 0]]}),
        json!({"damage": "measured"}),
        json!({"damage": "measured", "allocator": {"type": "layer_aware"}}),
        json!({"damage": "seed", "bits": [[8, 8], [4, 4], [3, 3]]}),
        json!({"hysteresis": 0.05, "allocator": {"type": "layer_aware"}}),
        json!({"hysteresis": 0.9, "damage": "measured"}),
    ] {
        contract::check(&build(config));
    }
}

#[test]
fn only_the_last_offer_may_evict_and_half_a_row_cannot_go() {
    let shape = CacheShape::new(1, 1, 2, 1, 32).unwrap();
    for bits in [
        json!([[0, 0], [4, 4]]),
        json!([[4, 0]]),
        json!([[4, 4], [0, 2]]),
        json!([]),
    ] {
        let strategy = build(json!({"bits": bits}));
        let layout = strategy
            .layout(&shape)
            .and_then(|layout| layout.check(&shape));
        assert!(layout.is_err(), "{bits}");
    }
}

/// The attention output of a prompt and some tokens, and the bytes after.
fn run(strategy: &Arc<dyn Strategy>, budget: f64) -> (Vec<f32>, u64) {
    let shape = CacheShape::new(2, 1, 4, 2, 64).expect("a shape");
    let mut cache = Cache::builder(shape, Arc::clone(strategy))
        .budget(Some(Budget::Ratio(budget)))
        .build()
        .expect("a cache");
    let mut chunks = vec![300];
    chunks.extend([1; 40]);
    let inputs = Inputs::new(shape, 340, 11);
    let out = inputs.run(&mut cache, &chunks);
    (out, cache.memory().live_bytes)
}

#[test]
fn eviction_reaches_budgets_that_bits_cannot() {
    let bits = json!([[4, 4], [2, 2], [0, 0]]);
    let (_, large) = run(&build(json!({"bits": bits})), 0.3);
    let (_, small) = run(&build(json!({"bits": bits})), 0.08);
    assert!(small < large / 3, "{small} {large}");
}

#[test]
fn every_way_to_tell_damage_plans_differently() {
    let outputs: Vec<_> = ["closed_form", "measured", "seed"]
        .iter()
        .map(|damage| run(&build(json!({"damage": damage})), 0.25).0)
        .collect();
    assert!(outputs[0] != outputs[1] && outputs[0] != outputs[2] && outputs[1] != outputs[2]);
}

/// Stored rows that plans of [`Counted`] have moved.
static MOVED: AtomicUsize = AtomicUsize::new(0);

/// Counts the stored rows that another strategy moves.
#[config]
struct Counted {
    /// What moves them.
    #[default(Box::new(SmartKv::default()))]
    inner: Box<dyn Strategy>,
}

#[strategy("counted")]
impl Strategy for Counted {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        self.inner.layout(shape)
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        self.inner.tracker()
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let plan = self.inner.plan(cx)?;
        let place = cx.rows().place;
        if let Plan::Move(moves) = &plan {
            let stored = moves
                .iter()
                .filter(|m| place[m.row as usize] != Place::Window);
            MOVED.fetch_add(stored.count(), Ordering::Relaxed);
        }
        Ok(plan)
    }
}

#[test]
fn hysteresis_moves_fewer_rows() {
    let [free, held] = [0.0, 0.3].map(|hysteresis| {
        MOVED.store(0, Ordering::Relaxed);
        // Scores that forget everything between two plans.
        let inner = json!({
            "type": "smartkv", "hysteresis": hysteresis, "power": 2.0,
            "tracker": {"type": "ema", "decay": 0.0},
        });
        let config = json!({"type": "counted", "inner": inner});
        run(&registry::strategy(&config).unwrap(), 0.25);
        MOVED.load(Ordering::Relaxed)
    });
    assert!(held < free / 2, "{held} of {free}");
}
