//! Figures of records that `smartkv analyze` wrote.

use crate::program::{TEXT, TINY, json, names, refused, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Writes the record of an analysis of the tiny model.
fn analyze(what: &str, more: &[&str], path: &Path) {
    let common = [
        "analyze",
        what,
        "--model",
        TINY,
        "--text",
        TEXT,
        "--strategy",
        "smartkv",
    ];
    let rest = ["--budget", "0.7", "--out", path.to_str().unwrap()];
    let done = run(&[&common[..], more, &rest].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
}

const WINDOWS: [&str; 7] = [
    "--windows",
    "1",
    "--prefill-tokens",
    "40",
    "--score-tokens",
    "8",
    "--no-sensitivity",
];

#[test]
fn records_of_a_store_and_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let analyses = folder.path().join("store/analyses");
    fs::create_dir_all(&analyses).unwrap();
    analyze("attention", &WINDOWS, &analyses.join("look.json"));
    let memory = folder.path().join("memory.json");
    analyze(
        "memory",
        &["--prefill-tokens", "60", "--tokens", "20", "--every", "3"],
        &memory,
    );
    let (store, out) = (folder.path().join("store"), folder.path().join("out"));
    let (store, out) = (store.to_str().unwrap(), out.to_str().unwrap());
    let args = |more: &[&'static str]| {
        [
            &["figures", "--store", store, "--out", out, "--dpi", "72"],
            more,
        ]
        .concat()
    };
    let record = json(&run(&args(&["--json"])));
    let drawn: Vec<&str> = record["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        drawn,
        [
            "look-attention",
            "look-entropy",
            "look-allocation-prefill",
            "look-allocation-decode",
            "look-tokens"
        ]
    );
    let by_path = [
        "figures",
        memory.to_str().unwrap(),
        "--out",
        out,
        "--store",
        store,
        "--format",
        "svg",
    ];
    assert_eq!(run(&by_path).code, 0);
    let files = names(Path::new(out));
    for file in [
        "look-tokens.html",
        "look-tokens.svg",
        "memory-budget.svg",
        "memory-budget.json",
    ] {
        assert!(files.iter().any(|name| name == file), "{files:?}");
    }
    assert!(!files.iter().any(|name| name == "memory-budget.pdf"));
    let check = ["figures", "--check", "--store", store, "--out", out];
    let checked = run(&check);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(
        checked.stderr.contains("checked 6 figures"),
        "{}",
        checked.stderr
    );
    // Another record under the same name: other bytes, another id.
    analyze(
        "memory",
        &["--prefill-tokens", "60", "--tokens", "20"],
        &memory,
    );
    let text = refused(
        1,
        &check,
        &["memory-budget.svg: it is not what", "memory-budget.json"],
    );
    assert!(!text.contains("look-"), "{text}");
    fs::remove_file(&memory).unwrap();
    refused(1, &check, &["memory-budget.json: record", "memory.json"]);
}

#[test]
fn a_kind_that_a_record_lacks_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.json");
    analyze(
        "memory",
        &["--prefill-tokens", "60", "--tokens", "4"],
        &path,
    );
    let out = folder.path().join("out");
    let (path, out) = (path.to_str().unwrap(), out.to_str().unwrap());
    let args = |kind| ["figures", path, "--out", out, "--kind", kind];
    refused(
        1,
        &args("entropy"),
        &[
            "has no entropy figure: it has no attention",
            "hint: give a record of",
        ],
    );
    refused(1, &args("pareto"), &["it is of plans", "hint: name a plan"]);
    // A record that is none of an analysis.
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text.replacen("smartkv.memory/1", "smartkv.eval/1", 1)).unwrap();
    let plain = ["figures", path, "--out", out];
    refused(
        1,
        &plain,
        &[
            "it is of version `smartkv.eval/1`, expected one of smartkv.attention/1",
            "hint: expected what",
        ],
    );
    assert!(!Path::new(out).exists());
}

#[test]
fn one_bad_record_of_a_store_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let analyses = folder.path().join("analyses");
    fs::create_dir_all(&analyses).unwrap();
    analyze(
        "memory",
        &["--prefill-tokens", "60", "--tokens", "4"],
        &analyses.join("memory.json"),
    );
    fs::write(analyses.join("broken.json"), "{").unwrap();
    let out = folder.path().join("out");
    let args = [
        "figures",
        "--store",
        folder.path().to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--json",
    ];
    let done = run(&args);
    assert!(done.stderr.contains("broken.json: EOF"), "{}", done.stderr);
    let record: Value = json(&done);
    assert_eq!(record["figures"].as_array().unwrap().len(), 1);
}
