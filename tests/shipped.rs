//! Every shipped configuration resolves, keeps the contract and is what its file says.

use smartkv::config::{SHIPPED, StrategySpec};
use smartkv_core::contract;
use smartkv_core::registry::{self, Kind};

#[test]
fn every_shipped_configuration_keeps_the_contract() {
    for (name, _) in SHIPPED {
        let spec = StrategySpec::resolve(name, &[]).unwrap();
        assert_eq!(spec.name, *name);
        contract::check(&spec.strategy);
    }
}

#[test]
fn the_registry_has_what_is_linked_and_no_name_twice() {
    registry::check().unwrap();
    let names = |kind| {
        registry::entries(kind)
            .iter()
            .map(|e| e.name)
            .collect::<Vec<_>>()
    };
    for name in ["evict", "f16", "h2o", "protect", "smartkv", "uniform"] {
        assert!(names(Kind::Strategy).contains(&name), "{name}");
    }
    for name in ["ema", "last_queries", "pooled", "random"] {
        assert!(names(Kind::Tracker).contains(&name), "{name}");
    }
    for name in ["adaptive", "equal", "global", "pyramid"] {
        assert!(names(Kind::Split).contains(&name), "{name}");
    }
    for name in [
        "dynamic_programming",
        "fixed",
        "greedy",
        "layer_aware",
        "marginal",
        "random",
        "rate_distortion",
        "uniform_bits",
    ] {
        assert!(names(Kind::Allocator).contains(&name), "{name}");
    }
    for kind in [Kind::Strategy, Kind::Tracker, Kind::Allocator, Kind::Split] {
        for entry in registry::entries(kind) {
            assert!(
                !entry.summary().is_empty() && entry.summary().len() < 110,
                "{}",
                entry.name
            );
        }
    }
}
