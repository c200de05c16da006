//! Reading stores: what is not as it should be is named and costs nothing else.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod common;

use common::{Filled, printed, sweep};
use serde_json::{Value, json};
use smartkv_analysis::tables::{Kind, Options, tables};
use smartkv_analysis::{AnalysisError, Store};
use std::fs;

fn damaged() -> Filled {
    let mut filled = Filled::new();
    for id in [
        "good", "old", "torn", "renamed", "newer", "failed", "edited", "bare",
    ] {
        filled.cell(
            id,
            &json!({"strategy": id, "seed": 0}),
            printed("uniform-4-s0"),
            0,
        );
    }
    filled.planned("missing", &json!({"strategy": "missing", "seed": 0}));
    let layout = filled.layout();
    filled.edit("old", |cell| cell["schema"] = "smartkv.cell/0".into());
    filled.edit("newer", |cell| {
        cell["result"]["schema"] = "smartkv.eval/2".into();
    });
    filled.edit("renamed", |cell| cell["id"] = "other".into());
    // By hand, and the digest is still that of what was measured.
    let by_hand = |id: &str, change: &dyn Fn(&mut Value)| {
        let path = layout.cell(id);
        let mut value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut value);
        Filled::write(&path, &value);
    };
    by_hand("edited", &|cell| {
        cell["result"]["quality"]["kl_mean"] = 0.001.into();
    });
    by_hand("bare", &|cell| {
        cell.as_object_mut().unwrap().remove("result_sha256");
    });
    fs::write(layout.cell("torn"), "{\"schema\": \"smartkv.ce").unwrap();
    fs::remove_file(layout.cell("failed")).unwrap();
    let failure = json!({"class": "budget", "message": "too small", "hints": [], "attempts": 2});
    Filled::write(&layout.failure("failed"), &failure);
    fs::write(layout.run("good"), "nothing").unwrap();
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    filled
}

#[test]
fn what_cannot_be_used_is_kept_apart() {
    let filled = damaged();
    let study = filled.study("p");
    assert_eq!(study.cells.len(), 1);
    assert_eq!(study.cells[0].id, "good");
    assert!(study.cells[0].measurement("seconds").is_none());
    assert!(study.cells[0].measurement("kl_mean").is_some());
    let named = |list: &[(std::path::PathBuf, String)]| -> Vec<String> {
        let stem =
            |path: &std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        list.iter().map(|(path, _)| stem(path)).collect()
    };
    assert_eq!(named(&study.other), ["old", "newer"]);
    assert_eq!(
        named(&study.corrupt),
        ["good", "torn", "renamed", "edited", "bare"]
    );
    let reason = |place: usize| study.corrupt[place].1.as_str();
    assert_eq!(reason(2), "it calls itself `other`");
    assert_eq!(reason(3), "its result does not match its digest");
    assert!(reason(4).contains("result_sha256"), "{}", reason(4));
    assert_eq!(study.failed[0].1.message, "too small");
    assert_eq!(study.missing[0].id, "missing");
    assert_eq!(
        study.census(),
        "1 of 9 cells of the plan are there, 1 failed, 1 not run, 6 unreadable or of another version"
    );
    let table = &tables(&study, Kind::Summary, &Options::default()).unwrap()[0];
    assert!(
        table.notes.last().unwrap().contains("1 of 9 cells"),
        "{:?}",
        table.notes
    );
}

#[test]
fn errors_list_what_is_known() {
    let filled = sweep();
    let store = filled.store();
    let error = store.plan("bugdet").unwrap_err().to_string();
    assert_eq!(error, "unknown plan `bugdet`: known are budget");
    // A name is no path.
    assert!(store.plan("../plans/budget").is_err());
    let study = filled.study("budget");
    let with = |metric: &str, baseline: &str| {
        let options = Options {
            metrics: vec![metric.into()],
            baseline: Some(baseline.into()),
            ..Options::default()
        };
        tables(&study, Kind::Compare, &options)
            .unwrap_err()
            .to_string()
    };
    let error = with("kl", "strategy=f16");
    assert!(
        error.starts_with("unknown metric `kl`: known are ratio, max_ratio, live_bytes,"),
        "{error}"
    );
    assert_eq!(
        with("kl_mean", "method=f16"),
        "unknown label `method`: known are budget, strategy"
    );
    let error = with("kl_mean", "strategy=f15");
    assert!(
        error.contains("known are strategy=f16, strategy=uniform-4, strategy=smartkv,"),
        "{error}"
    );
    assert!(with("kl_mean", "f16").contains("strategy=VALUE"));
}

#[test]
fn empty_stores_say_so() {
    assert!(matches!(
        Store::open("/nowhere/at/all"),
        Err(AnalysisError::Store { .. })
    ));
    let filled = Filled::new();
    assert!(matches!(
        filled.store().plans(),
        Err(AnalysisError::Empty { .. })
    ));
    assert!(matches!(
        filled.store().plan("x"),
        Err(AnalysisError::Empty { .. })
    ));
    let mut filled = Filled::new();
    filled.planned("a", &json!({"seed": 0}));
    filled.plan("p", &["seed"], &Value::Null);
    let error = tables(&filled.study("p"), Kind::Summary, &Options::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("0 of 1 cells of the plan are there, 1 not run"),
        "{error}"
    );
    assert!(!error.hints().is_empty());
}

#[test]
fn broken_plans_are_named() {
    let filled = sweep();
    let layout = filled.layout();
    fs::write(layout.plan("torn"), "{").unwrap();
    Filled::write(&layout.plan("old"), &json!({"schema": "smartkv.plan/0"}));
    fs::write(layout.plans().join("notes.txt"), "mine").unwrap();
    let found = filled.store().plans().unwrap();
    assert_eq!(found.plans.len(), 1);
    assert_eq!((found.other.len(), found.corrupt.len()), (1, 1));
    assert!(
        filled
            .store()
            .plan("old")
            .unwrap_err()
            .to_string()
            .contains("smartkv.plan/0")
    );
    assert!(filled.store().plan("torn").is_err());
}
