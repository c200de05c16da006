//! One prefill serves every cache of a task: with each strategy there is, the result is the one of
//! prefills of their own.
#![allow(clippy::unwrap_used, reason = "tests")]

use smartkv::config::{Assignment, StrategySpec};
use smartkv_core::registry::{self, Kind};
use smartkv_core::{Cache, Prefill};
use smartkv_eval::task::{NoData, NoJournal, Side};
use smartkv_eval::tasks::Needle;
use smartkv_eval::{Haystack, NoProgress, TaskOptions, TaskResult, TaskRun};
use smartkv_host::{LoadOptions, Model};
use std::path::Path;

fn asked(model: &Model, text: &Haystack, strategy: &str, shared: bool) -> TaskResult {
    let shape = model.cache_shape(1).unwrap();
    let sides = ["f16", strategy].map(|name| {
        // The heads of the tiny model are shorter than most groups.
        let built = ["", "group_size=16", "group_size=0"]
            .iter()
            .find_map(|set| {
                let sets: Vec<Assignment> = set.parse().into_iter().collect();
                let spec = StrategySpec::resolve(name, &sets).ok()?;
                Cache::builder(shape, spec.strategy)
                    .rope(model.ropes())
                    .prefill(Prefill::Exact)
                    .seed(3)
                    .kernels(smartkv_kernels::best())
                    .build()
                    .ok()
            });
        let cache = built.unwrap_or_else(|| panic!("{name} cannot be built"));
        Side {
            name: name.to_string(),
            cache: Box::new(cache),
        }
    });
    let task = Needle {
        lengths: vec![800],
        depths: vec![20, 80],
        samples: 2,
        ..Needle::default()
    };
    let options = TaskOptions {
        prefill_chunk: 64,
        control: false,
        ..TaskOptions::default()
    };
    let run = TaskRun {
        model,
        task: &task,
        options: &options,
        data: &NoData,
        haystack: text,
        exact_prefill: shared,
    };
    let mut sides = sides;
    run.run(&mut sides, &mut NoJournal, &NoProgress).unwrap().0
}

/// The tiny model made to accept prompts long enough for a needle.
fn long(tiny: &Path) -> Model {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        std::fs::copy(tiny.join(name), folder.path().join(name)).unwrap();
    }
    let config = std::fs::read(tiny.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config["max_position_embeddings"] = 1024.into();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    Model::load(folder.path(), LoadOptions::default()).unwrap()
}

#[test]
fn a_shared_prefill_changes_nothing_for_any_strategy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = long(&root.join("tests/golden/tiny-llama"));
    let text = Haystack {
        name: "licence".into(),
        text: std::fs::read_to_string(root.join("LICENSE-APACHE")).unwrap(),
    };
    let entries = registry::entries(Kind::Strategy);
    assert!(
        entries.len() > 15,
        "only {} strategies are linked",
        entries.len()
    );
    let mut told = 0;
    for entry in entries {
        let together = asked(&model, &text, entry.name, true);
        let apart = asked(&model, &text, entry.name, false);
        assert!(together == apart, "{} differs", entry.name);
        told += usize::from(together.overall.sides[1].failed == 0);
    }
    // Those that must know the attention of tokens to come cannot be asked anything.
    assert!(told > 15, "only {told} strategies answered");
}
