//! `smartkv figures --check`.

use crate::Drawn;
use crate::program::{json, names, refusal};
use crate::study::{Study, base, uniform};
use serde_json::Value;
use std::fs;

/// The message of a check that fails.
#[track_caller]
fn wrong(drawn: &Drawn) -> String {
    let run = drawn.figures(&["--check"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let text = refusal(&run);
    assert!(
        text.contains("hint: make them again with `smartkv figures`"),
        "{text}"
    );
    text
}

#[test]
fn figures_are_what_the_records_give() {
    let drawn = Drawn::small();
    assert_eq!(
        drawn
            .figures(&["--provenance", "--dpi", "72", "--width", "double"])
            .code,
        0
    );
    let checked = drawn.figures(&["--check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, ""),
        "{}",
        checked.stderr
    );
    assert!(
        checked.stderr.contains("checked 3 figures in"),
        "{}",
        checked.stderr
    );
    let record = json(&drawn.figures(&["--check", "--json"]));
    // SVG, PDF, PNG, provenance and sidecar of each.
    assert_eq!(
        (&record["figures"], &record["files"]),
        (&Value::from(3), &Value::from(15))
    );
}

#[test]
fn a_touched_file_is_named() {
    let drawn = Drawn::small();
    assert_eq!(
        drawn.figures(&["--format", "svg,png", "--dpi", "72"]).code,
        0
    );
    let svg = drawn.path("study-cost.svg");
    let text = fs::read_to_string(&svg).unwrap();
    fs::write(
        &svg,
        text.replacen("MiB", "GiB", 1).replacen("KiB", "MiB", 1),
    )
    .unwrap();
    let message = wrong(&drawn);
    assert!(
        message.contains("1 of the files of 3 figures in"),
        "{message}"
    );
    assert!(
        message.contains("study-cost.svg: it is not what the records give"),
        "{message}"
    );
    assert!(!message.contains("study-cost.png"), "{message}");
    fs::remove_file(drawn.path("study-cost.png")).unwrap();
    assert!(wrong(&drawn).contains("study-cost.png: it is missing"));
    assert_eq!(
        drawn.figures(&["--format", "svg,png", "--dpi", "72"]).code,
        0
    );
    assert_eq!(drawn.figures(&["--check"]).code, 0);
}

#[test]
fn a_record_that_was_exchanged_is_found() {
    let drawn = Drawn::small();
    assert_eq!(drawn.figures(&["--format", "svg"]).code, 0);
    // Another study of the same text with other seeds: its records are whole, with digests of
    // their own.
    let other = Study::new(&format!(
        "{}axes:\n  strategy: {{{}}}\nseeds: [7]\n",
        base(2, 8),
        uniform(4)
    ));
    assert_eq!(other.sweep("run", &["--threads", "1"]).code, 0);
    let (_, text) = other.records().into_iter().next().unwrap();
    let mut foreign: Value = serde_json::from_str(&text).unwrap();
    let (name, text) = drawn
        .study
        .records()
        .into_iter()
        .find(|(_, text)| {
            let record: Value = serde_json::from_str(text).unwrap();
            record["cell"]["strategy"]["config"]["key_bits"] == 4
        })
        .unwrap();
    let own: Value = serde_json::from_str(&text).unwrap();
    // Its result and digest under the name and specification of one that was drawn.
    foreign["id"] = own["id"].clone();
    foreign["cell"] = own["cell"].clone();
    assert_ne!(foreign["result_sha256"], own["result_sha256"]);
    let path = drawn.study.store.join("cells").join(&name);
    fs::write(&path, serde_json::to_string_pretty(&foreign).unwrap()).unwrap();
    let message = wrong(&drawn);
    for figure in ["study-pareto-kl_mean", "study-ablation-kl_mean"] {
        assert!(
            message.contains(&format!("{figure}.svg: it is not what the records give")),
            "{message}"
        );
    }
    fs::remove_file(&path).unwrap();
    let id = own["id"].as_str().unwrap();
    assert!(wrong(&drawn).contains(&format!("its cell {id} is not in the store")));
    fs::write(&path, text).unwrap();
    assert_eq!(drawn.figures(&["--check"]).code, 0);
}

#[test]
fn a_plan_that_grew_is_found() {
    let drawn = Drawn::small();
    assert_eq!(
        drawn.figures(&["--format", "svg", "--kind", "cost"]).code,
        0
    );
    let grid = fs::read_to_string(&drawn.study.grid).unwrap();
    fs::write(&drawn.study.grid, grid.replace("seeds: 2", "seeds: 3")).unwrap();
    assert_eq!(drawn.study.sweep("plan", &[]).code, 0);
    assert!(wrong(&drawn).contains("study-cost.json: it is not what"));
}

#[test]
fn a_figure_that_is_drawn_again_leaves_none_of_its_files_behind() {
    let drawn = Drawn::small();
    let all = ["--kind", "cost", "--provenance", "--dpi", "72"];
    assert_eq!(drawn.figures(&all).code, 0);
    let before = names(&drawn.out);
    let record = drawn.study.records().into_keys().next().unwrap();
    fs::remove_file(drawn.study.store.join("cells").join(record)).unwrap();
    assert_eq!(
        drawn.figures(&["--kind", "cost", "--format", "svg"]).code,
        0
    );
    assert_eq!(names(&drawn.out), before);
    let checked = drawn.figures(&["--check"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
}
