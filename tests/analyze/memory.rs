//! `smartkv analyze memory`.

use crate::program::{json, refused, run};
use crate::{array, number, tiny, written};
use serde_json::Value;

const TOKENS: [&str; 4] = ["--prefill-tokens", "100", "--tokens", "30"];

fn memory<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&tiny("memory", &TOKENS)[..], more].concat()
}

const PARTS: [&str; 4] = [
    "payload_bytes",
    "metadata_bytes",
    "window_bytes",
    "policy_bytes",
];

#[test]
fn uniform_formats_hold_what_arithmetic_says() {
    let record = written(&memory(&[
        "--strategy",
        "uniform",
        "--set",
        "key_bits=4",
        "--set",
        "value_bits=2",
        "--set",
        "group_size=8",
    ]));
    assert_eq!(record["schema"], "smartkv.memory/1");
    assert_eq!(record["largest_difference_bytes"], 0);
    let last = array(&record["points"]).last().unwrap();
    let tier = &array(&record["places"])[0];
    let rows = number(&tier["rows"]);
    // 16 channels at 4 and 2 bits; of keys and values two groups each, a scale and a zero point.
    assert_eq!(number(&last["payload_bytes"]), rows * 12.0);
    assert_eq!(number(&last["metadata_bytes"]), rows * 16.0);
    let window = &array(&record["places"])[1];
    assert_eq!(
        number(&last["window_bytes"]),
        number(&window["rows"]) * 64.0
    );
}

#[test]
fn points_follow_the_cache_over_time() {
    let record = json(&run(&memory(&[
        "--strategy",
        "smartkv",
        "--budget",
        "0.5",
        "--every",
        "10",
        "--json",
    ])));
    let points = array(&record["points"]);
    // 101 tokens of a prompt in one chunk, then every tenth.
    let tokens: Vec<&Value> = points.iter().map(|point| &point["tokens"]).collect();
    assert_eq!(tokens, [101, 111, 121, 131]);
    assert_eq!(record["largest_difference_bytes"], 0);
    for point in points {
        let live: f64 = PARTS.iter().map(|part| number(&point[part])).sum();
        assert_eq!(number(&point["live_bytes"]), live, "{point}");
        let predicted: f64 = PARTS
            .iter()
            .map(|part| number(&point["predicted"][part]))
            .sum();
        assert_eq!(predicted, live);
        assert!(live <= number(&point["budget_bytes"]), "{point}");
        assert!(live <= number(&point["allocated_bytes"]), "{point}");
    }
    // With exact prefill the whole prompt was in f16 once.
    assert!(number(&record["peak_bytes"]) >= number(&points[0]["f16_bytes"]));
    let layers: f64 = array(&record["layers"])
        .iter()
        .flat_map(|layer| PARTS.map(|part| number(&layer[part])))
        .sum();
    assert_eq!(layers, number(&points[3]["live_bytes"]));
    let bits = &record["bits"];
    let order = ["elements", "stored", "live", "allocated"].map(|name| number(&bits[name]));
    assert!(order.is_sorted(), "{bits}");
}

#[test]
fn blocks_that_wait_for_company_are_predicted() {
    let kivi = ["--strategy", "kivi", "--set", "group_size=16"];
    let args = [&kivi[..], &["--prefill", "quantized", "--json"]].concat();
    let long = ["--prefill-tokens", "200", "--tokens", "20"];
    let record = json(&run(&[&tiny("memory", &long)[..], &args].concat()));
    assert_eq!(record["prefill"], "quantized");
    assert_eq!(record["largest_difference_bytes"], 0);
    assert_eq!(array(&record["points"]).len(), 21);
}

#[test]
fn people_read_that_bytes_agree() {
    let done = run(&memory(&["--strategy", "h2o", "--budget", "0.4"]));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout
            .contains("agree to the byte in every part after every step"),
        "{}",
        done.stdout
    );
}

#[test]
fn what_cannot_be_measured_is_refused() {
    refused(
        1,
        &memory(&["--strategy", "gear"]),
        &["`gear` is simulated", "no memory to measure"],
    );
    refused(
        1,
        &memory(&["--every", "0"]),
        &["--every 0: expected at least 1"],
    );
    let beyond = ["--prefill-tokens", "300", "--tokens", "30"];
    refused(1, &tiny("memory", &beyond), &["a window", "256"]);
    let none = ["--prefill-tokens", "100", "--tokens", "0"];
    refused(1, &tiny("memory", &none), &["windows.score"]);
}
