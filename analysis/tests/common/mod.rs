//! Stores made of results that the program printed (`fixtures/results`, made by
//! `fixtures/make.sh`), written as the layout of a store has it.
#![allow(dead_code, reason = "each test uses its own part")]

use serde_json::{Value, json};
use smartkv_analysis::store::{Layout, Plan, digest};
use smartkv_analysis::{Store, Study};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Texts by name, beside this file: the tests of two packages read them.
macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../fixtures/results/", $name, ".json")))),*]
    };
}

const PRINTED: [(&str, &str); 16] = texts![
    "f16-s0",
    "f16-s1",
    "gear-2-s0",
    "gear-2-s1",
    "oracle-0.3-s0",
    "oracle-0.3-s1",
    "random-0.3-s0",
    "random-0.3-s1",
    "smartkv-0.3-s0",
    "smartkv-0.3-s1",
    "smartkv-0.5-s0",
    "smartkv-0.5-s1",
    "uniform-4-s0",
    "uniform-4-s1",
    "tasks-uniform-2",
    "tasks-uniform-4",
];

/// What the program printed.
#[must_use]
pub(crate) fn printed(name: &str) -> Value {
    let found = PRINTED.iter().find(|(known, _)| *known == name);
    let (_, text) = found.expect("a fixture");
    serde_json::from_str(text).expect("JSON")
}

/// A store in a temporary folder.
pub(crate) struct Filled {
    folder: TempDir,
    cells: Vec<Value>,
}

impl Filled {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let layout = Layout::new(folder.path());
        for sub in [
            layout.cells(),
            layout.runs(),
            layout.failed(),
            layout.plans(),
        ] {
            fs::create_dir(sub).expect("a folder");
        }
        Self {
            folder,
            cells: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.path())
    }

    pub(crate) fn write(path: &Path, value: &Value) {
        fs::write(path, value.to_string()).expect("a file");
    }

    /// Changes the record of a cell; its digest is that of the changed result.
    pub(crate) fn edit(&self, id: &str, change: impl FnOnce(&mut Value)) {
        let path = self.layout().cell(id);
        let text = fs::read_to_string(&path).expect("a record");
        let mut record: Value = serde_json::from_str(&text).expect("JSON");
        change(&mut record);
        record["result_sha256"] = digest(&record["result"]).into();
        Self::write(&path, &record);
    }

    /// A planned cell with nothing behind it.
    pub(crate) fn planned(&mut self, id: &str, labels: &Value) {
        self.cells.push(json!({"id": id, "labels": labels}));
    }

    /// A finished cell, from what the program printed with this seed.
    pub(crate) fn cell(&mut self, id: &str, labels: &Value, printed: Value, seed: u64) {
        let (mut cell, run) = split(id, printed, seed);
        cell["cell"]["seed"] = seed.into();
        Self::write(&self.layout().cell(id), &cell);
        Self::write(&self.layout().run(id), &run);
        self.planned(id, labels);
    }

    /// Writes the plan of all cells so far.
    pub(crate) fn plan(&self, name: &str, axes: &[&str], baseline: &Value) {
        let plan = json!({
            "schema": "smartkv.plan/1", "name": name, "grid": "configs/sweeps/x.yaml",
            "title": null, "axes": axes, "baseline": baseline, "cells": self.cells,
        });
        Self::write(&self.layout().plan(name), &plan);
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.path()).expect("a store")
    }

    pub(crate) fn study(&self, name: &str) -> Study {
        let store = self.store();
        let plan: Plan = store.plan(name).expect("a plan");
        Study::read(&store, plan)
    }
}

/// The record of a cell and that of its run.
fn split(id: &str, mut result: Value, seed: u64) -> (Value, Value) {
    let environment = take(&mut result, "environment");
    let speed = take(&mut result, "speed");
    let reference = result.get_mut("reference");
    let reference_speed = reference.map_or(Value::Null, |side| take(side, "speed"));
    let mut timings = Vec::new();
    if let Some(Value::Array(tasks)) = result.get_mut("tasks") {
        timings = tasks.iter_mut().map(|task| take(task, "timing")).collect();
    }
    let tasks = !timings.is_empty();
    let (name, config) = if tasks {
        let own = &result["strategies"][0];
        (own["name"].clone(), own["config"].clone())
    } else {
        (result["strategy"].clone(), result["config"].clone())
    };
    let measure = if tasks {
        json!({"kind": "tasks", "options": result["options"]})
    } else {
        let mut protocol = result["protocol"].clone();
        protocol["seed"] = seed.into();
        json!({"kind": "eval", "protocol": protocol})
    };
    let cell = json!({
        "schema": "smartkv.cell/1", "id": id,
        "cell": {
            "schema": "smartkv.cell/1",
            "model": {"name": result["model"], "sha256": environment["model_sha256"], "weights": "auto"},
            "strategy": {"name": name, "config": config},
            "budget": result.get("budget"), "prefill": "exact", "seed": seed, "measure": measure,
        },
        "result_sha256": digest(&result),
        "result": result,
    });
    let run = json!({
        "schema": "smartkv.run/1", "id": id, "started": "2026-11-21T10:00:00Z", "seconds": 12.5,
        "host": "h", "threads": 2, "environment": environment, "speed": speed,
        "reference_speed": reference_speed, "timings": timings, "peak_resident_bytes": 123_456,
        "attempts": 1,
    });
    (cell, run)
}

fn take(value: &mut Value, field: &str) -> Value {
    let object = value.as_object_mut().expect("an object");
    object.remove(field).unwrap_or(Value::Null)
}

/// Strategies at budgets under two seeds: what a sweep leaves.
#[must_use]
pub(crate) fn sweep() -> Filled {
    let mut filled = Filled::new();
    for seed in [0_u64, 1] {
        for (place, (file, strategy, budget)) in [
            ("f16", "f16", json!(1)),
            ("uniform-4", "uniform-4", json!(0.3)),
            ("smartkv-0.3", "smartkv", json!(0.3)),
            ("smartkv-0.5", "smartkv", json!(0.5)),
            ("random-0.3", "smartkv-random", json!(0.3)),
            ("gear-2", "gear-2", json!(0.3)),
            ("oracle-0.3", "smartkv-oracle", json!(0.3)),
        ]
        .into_iter()
        .enumerate()
        {
            let labels = json!({"strategy": strategy, "budget": budget, "seed": seed});
            let id = format!("{place:030x}{seed:02}");
            filled.cell(&id, &labels, printed(&format!("{file}-s{seed}")), seed);
        }
    }
    filled.plan(
        "budget",
        &["budget", "strategy", "seed"],
        &json!({"strategy": "smartkv"}),
    );
    filled
}
