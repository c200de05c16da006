//! `tracker: oracle`: true future attention, where it is known and where it is not.

use crate::program::{TEXT, TINY, json, refused, run};
use serde_json::Value;

const ORACLE: [&str; 2] = ["--set", "strategy.tracker={type: oracle}"];

const WINDOWS: [&str; 6] = [
    "--windows",
    "2",
    "--prefill-tokens",
    "160",
    "--score-tokens",
    "16",
];

fn eval(more: &[&str]) -> Value {
    let args = ["eval", "--model", TINY, "--text", TEXT, "--json"];
    json(&run(&[&args[..], &WINDOWS, more].concat()))
}

#[test]
fn an_evaluation_looks_ahead_and_says_so() {
    let threads = |n| eval(&[&ORACLE[..], &["--threads", n]].concat());
    let oracle = threads("1");
    assert_eq!(oracle["config"]["tracker"]["type"], "oracle");
    // Answers to needles are generated: nobody knows their attention.
    assert!(oracle["tasks"]["needle"].is_null());
    assert_eq!(oracle["quality"]["windows"], 2);
    assert_eq!(oracle["quality"], threads("2")["quality"]);
    let blind = eval(&["--no-needle", "--set", "tracker=random"]);
    assert_ne!(oracle["quality"]["kl_mean"], blind["quality"]["kl_mean"]);
    // The reference is what it is without anyone looking ahead.
    assert_eq!(
        oracle["reference"]["quality"],
        blind["reference"]["quality"]
    );
}

#[test]
fn a_comparison_holds_trackers_against_it() {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("oracle.yaml");
    std::fs::write(&path, "type: smartkv\ntracker:\n  type: oracle\n").unwrap();
    let path = path.to_str().unwrap();
    let args = ["compare", "--model", TINY, "--text", TEXT, "--json"];
    let compared = [path, "smartkv", "--budgets", "0.4"];
    let record = json(&run(&[&args[..], &WINDOWS, &compared].concat()));
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows[0]["config"]["tracker"]["type"], "oracle");
    assert_eq!(rows[1]["config"]["tracker"]["type"], "ema");
    assert!(rows.iter().all(|row| row["result"].is_object()), "{record}");
}

#[test]
fn where_tokens_are_generated_it_is_refused() {
    let wanted = ["tracker `oracle` reads the attention of tokens to come"];
    let generate = ["generate", "--model", TINY, "--raw", "hello", "-n", "4"];
    refused(1, &[&generate[..], &ORACLE].concat(), &wanted);
    let bench = ["bench", "--model", TINY, "--text", TEXT, "--contexts", "40"];
    let own = ["--strategy", "smartkv", "--prefill-tokens", "30"];
    let bench = [&bench[..], &own, &ORACLE].concat();
    refused(1, &bench, &wanted);
    let needles = [
        "eval",
        "--model",
        TINY,
        "--text",
        TEXT,
        "--needle-lengths",
        "128",
    ];
    let wanted = ["needle grid", wanted[0], "\nhint: `smartkv eval`"];
    refused(1, &[&needles[..], &ORACLE].concat(), &wanted);
}
