//! `smartkv analyze`: what its records say, and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "helpers of tests may panic as tests do; small counts, and bytes, are exact"
)]

#[path = "analyze/attention.rs"]
mod attention;
#[path = "analyze/errors.rs"]
mod errors;
#[path = "analyze/latency.rs"]
mod latency;
#[path = "analyze/memory.rs"]
mod memory;
#[allow(dead_code, reason = "shared with the tests of the other commands")]
#[path = "cli/program.rs"]
mod program;
#[path = "analyze/real_model.rs"]
mod real_model;

use serde_json::Value;

/// An analysis of the tiny model on a text of the repository.
fn tiny<'a>(what: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "analyze",
        what,
        "--model",
        program::TINY,
        "--text",
        program::TEXT,
    ];
    [&common[..], more].concat()
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[track_caller]
fn array(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no array: {value}"))
}

/// The record of an analysis is printed and written alike.
#[track_caller]
fn written(args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let args = [args, &["--json", "--out", path.to_str().unwrap()]].concat();
    let printed = program::json(&program::run(&args));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), printed);
    printed
}
