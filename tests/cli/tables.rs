//! `smartkv tables`: a store in, tables out.

#[path = "../../analysis/tests/common/mod.rs"]
mod common;

use crate::program::{json, refused, run};
use common::{Filled, sweep};
use serde_json::{Value, json as value};
use std::fs;

/// The arguments with the store.
fn of<'a>(filled: &'a Filled, rest: &[&'a str]) -> Vec<&'a str> {
    let store = filled.path().to_str().unwrap();
    let mut args = vec!["tables", "--store", store];
    args.extend(rest);
    if !rest.contains(&"--resamples") {
        args.extend(["--resamples", "500"]);
    }
    args
}

#[test]
fn a_store_becomes_tables() {
    let filled = sweep();
    let out = run(&of(&filled, &["--metric", "ratio,kl_mean"]));
    assert_eq!((out.code, out.stderr.as_str()), (0, ""));
    for part in [
        "**budget: means**",
        "| budget | strategy | seeds | units | ratio ↓ | kl\\_mean (nats) ↓ |",
        "| 0.3 | gear-2 | 2 | 8 | simulated |",
        "**budget: what changes against strategy=smartkv**",
    ] {
        assert!(out.stdout.contains(part), "no `{part}` in\n{}", out.stdout);
    }
    let record = json(&run(&of(
        &filled,
        &["budget", "--kind", "regret", "--json"],
    )));
    let table = &record["tables"][0];
    assert_eq!(table["name"], "budget-regret");
    assert!(
        table["title"]
            .as_str()
            .unwrap()
            .contains("strategy=smartkv-oracle")
    );
}

#[test]
fn files_are_named_after_tables_and_say_where_numbers_come_from() {
    let filled = sweep();
    let out = filled.path().join("out");
    let folder = out.to_str().unwrap();
    let args = [
        "--kind",
        "summary,front",
        "--format",
        "csv",
        "--provenance",
        "--out",
        folder,
    ];
    let done = run(&of(&filled, &args));
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, ""),
        "{}",
        done.stderr
    );
    let csv = fs::read_to_string(out.join("budget-summary.csv")).unwrap();
    let header = csv.lines().next().unwrap();
    assert!(
        header.starts_with("budget,strategy,seeds,units,ratio,"),
        "{header}"
    );
    let text = fs::read_to_string(out.join("budget-summary.provenance.json")).unwrap();
    let sources: Value = serde_json::from_str(&text).unwrap();
    for number in sources["numbers"].as_array().unwrap() {
        for id in number["cells"].as_array().unwrap() {
            let path = filled.layout().cell(id.as_str().unwrap());
            assert!(path.is_file(), "{number}");
        }
        assert!(
            csv.contains(
                &number["value"]
                    .to_string()
                    .trim_end_matches(".0")
                    .to_string()
            )
        );
    }
    assert!(out.join("budget-front-kl_mean-area.csv").is_file());
    let file = filled.path().join("one.tex");
    let args = [
        "--kind",
        "compare",
        "--format",
        "latex",
        "--out",
        file.to_str().unwrap(),
    ];
    assert_eq!(run(&of(&filled, &args)).code, 0);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with("\\begin{table}")
    );
}

#[test]
fn an_incomplete_study_says_so() {
    let mut filled = sweep();
    filled.planned(
        "nowhere",
        &value!({"strategy": "kivi", "budget": 0.3, "seed": 0}),
    );
    filled.plan("budget", &["budget", "strategy", "seed"], &Value::Null);
    let out = run(&of(&filled, &["budget"]));
    assert_eq!(out.code, 0);
    let census = "14 of 15 cells of the plan are there, 1 not run";
    assert!(out.stderr.contains(census), "{}", out.stderr);
    assert!(out.stdout.contains(census), "{}", out.stdout);
}

#[test]
fn a_result_that_was_edited_is_not_used() {
    let filled = sweep();
    let study = filled.study("budget");
    let path = filled.layout().cell(&study.cells[1].id);
    let text = fs::read_to_string(&path).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["result"]["quality"]["kl_mean"] = 0.0.into();
    Filled::write(&path, &record);
    let out = run(&of(&filled, &["budget", "--kind", "summary"]));
    assert_eq!(out.code, 0);
    for part in [
        "13 of 14 cells of the plan are there, 1 unreadable",
        "its result does not match its digest",
    ] {
        assert!(out.stderr.contains(part), "{}", out.stderr);
    }
    let why =
        "not ranked, as seeds are missing that other rows have: budget=0.3, strategy=uniform-4";
    assert!(out.stdout.contains(why), "{}", out.stdout);
}

#[test]
fn a_table_that_nobody_asked_for_may_be_lacking() {
    let filled = sweep();
    let axes = ["budget", "strategy", "seed"];
    filled.plan("early", &axes, &value!({"strategy": "not-yet"}));
    let out = run(&of(&filled, &["early"]));
    assert_eq!(out.code, 0);
    assert!(out.stdout.contains("**early: means**"), "{}", out.stdout);
    let why = "warning: plan `early` has no ablation table: no finished cell";
    assert!(out.stderr.contains(why), "{}", out.stderr);
    refused(
        1,
        &of(&filled, &["early", "--kind", "ablation"]),
        &["no finished cell has the labels"],
    );
    let mut nothing = Filled::new();
    nothing.planned("x", &value!({"seed": 0}));
    nothing.plan("p", &["seed"], &Value::Null);
    refused(
        1,
        &of(&nothing, &[]),
        &["0 of 1 cells", "hint: run the grid"],
    );
}

#[test]
fn errors_say_what_there_is() {
    let filled = sweep();
    refused(
        1,
        &of(&filled, &["bugdet"]),
        &["unknown plan `bugdet`: known are budget"],
    );
    refused(
        1,
        &of(&filled, &["--metric", "kl"]),
        &["unknown metric `kl`", "kl_mean"],
    );
    refused(
        1,
        &["tables", "--store", "no/such/store"],
        &["no/such/store", "hint: name the folder"],
    );
    let empty = Filled::new();
    refused(1, &of(&empty, &[]), &["holds no plan", "hint: run a grid"]);
    refused(
        1,
        &of(&filled, &["--baseline", "strategy=x", "--kind", "compare"]),
        &["strategy=f16"],
    );
    refused(
        1,
        &of(&filled, &["--resamples", "0"]),
        &["bootstrap.resamples = 0"],
    );
    refused(2, &of(&filled, &["--provenance"]), &["--out"]);
    let file = filled.path().join("one.md");
    let args = ["--kind", "summary,compare", "--out", file.to_str().unwrap()];
    refused(1, &of(&filled, &args), &["2 tables", "expected a folder"]);
}

#[test]
fn written_tables_are_held_against_the_records() {
    let filled = sweep();
    let out = filled.path().join("out");
    let folder = out.to_str().unwrap();
    let args = ["--kind", "summary,front", "--provenance", "--out", folder];
    let checking = [&args[..], &["--check"]].concat();
    refused(
        1,
        &of(&filled, &checking),
        &["budget-summary.md: it is missing"],
    );
    assert!(!out.exists());
    assert_eq!(run(&of(&filled, &args)).code, 0);
    let checked = run(&of(&filled, &checking));
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""));
    // A summary, points and areas.
    let said = "checked 3 tables: all 6 files";
    assert!(checked.stderr.contains(said), "{}", checked.stderr);
    let path = out.join("budget-summary.md");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("smartkv", "smartvk", 1)).unwrap();
    let message = refused(1, &of(&filled, &checking), &["1 of the files of 3 tables"]);
    assert!(
        message.contains("budget-summary.md: it is not what the records give"),
        "{message}"
    );
    refused(2, &of(&filled, &["--check"]), &["--out"]);
}
