//! `smartkv analyze latency`. No test depends on a time.

use crate::program::{json, refused, run};
use crate::{array, number, tiny, written};
use serde_json::Value;

const TOKENS: [&str; 6] = ["--prefill-tokens", "100", "--tokens", "30", "--rounds", "2"];

fn latency<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&tiny("latency", &TOKENS)[..], more].concat()
}

fn roles(record: &Value) -> Vec<&str> {
    array(&record["variants"])
        .iter()
        .map(|v| v["role"].as_str().unwrap())
        .collect()
}

#[test]
fn every_token_of_every_round_is_there() {
    let record = written(&latency(&["--strategy", "smartkv", "--budget", "0.5"]));
    assert_eq!(record["schema"], "smartkv.latency/1");
    assert_eq!(roles(&record), ["f16", "given", "steady", "untracked"]);
    let timed = number(&record["decode_tokens"]) as usize;
    assert_eq!(timed + number(&record["untimed_tokens"]) as usize, 30);
    let rounds = array(&record["rounds"]);
    let turns: Vec<(u64, u64)> = rounds
        .iter()
        .map(|r| (r["round"].as_u64().unwrap(), r["variant"].as_u64().unwrap()))
        .collect();
    // The second round begins with the second variant.
    let expected = [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 0),
    ];
    assert_eq!(turns, expected);
    for round in rounds {
        let columns = ["ns", "attention_ns", "planning_ns", "flushed", "lowered"];
        for column in columns {
            assert_eq!(array(&round[column]).len(), timed, "{column}");
        }
        let parts = array(&round["attention_ns"])
            .iter()
            .zip(array(&round["planning_ns"]));
        for (total, (attention, planning)) in array(&round["ns"]).iter().zip(parts) {
            assert!(number(attention) + number(planning) <= number(total));
        }
    }
    for counts in array(&record["histogram"]["counts"]) {
        let tokens: f64 = array(counts).iter().map(number).sum();
        assert_eq!(tokens as usize, 2 * timed);
    }
    let edges = array(&record["histogram"]["edges_ms"]);
    assert_eq!(
        edges.len(),
        array(&array(&record["histogram"]["counts"])[0]).len() + 1
    );
    let overheads: Vec<&str> = array(&record["overheads"])
        .iter()
        .map(|o| o["of"].as_str().unwrap())
        .collect();
    assert_eq!(
        overheads,
        ["tracking", "reallocation", "tracking and reallocation"]
    );
}

/// What is done does not depend on how long it takes.
#[test]
fn steps_do_the_same_in_every_round() {
    let record = json(&run(&latency(&[
        "--strategy",
        "smartkv",
        "--budget",
        "0.5",
        "--json",
    ])));
    let of = |variant: usize, column: &str| -> Vec<Value> {
        let own = array(&record["rounds"])
            .iter()
            .filter(|r| r["variant"] == variant);
        own.map(|round| round[column].clone()).collect()
    };
    for column in ["flushed", "lowered"] {
        for variant in 0..4 {
            let rounds = of(variant, column);
            assert_eq!(rounds[0], rounds[1], "{column} of {variant}");
        }
    }
    let sum = |variant| -> f64 { array(&of(variant, "lowered")[0]).iter().map(number).sum() };
    assert!(sum(1) > 0.0, "the strategy reallocates");
    assert_eq!(sum(0), 0.0, "f16 does not");
    // Eight tokens leave at once, in each of the lanes.
    let flushed = &of(1, "flushed")[0];
    let plans = array(flushed)
        .iter()
        .filter(|rows| number(rows) > 0.0)
        .count();
    assert!(plans > 0 && plans < array(flushed).len(), "{flushed}");
    let kinds: Vec<&str> = array(&record["variants"][1]["kinds"])
        .iter()
        .map(|kind| kind["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"plain") && kinds.contains(&"reallocated"),
        "{kinds:?}"
    );
}

#[test]
fn a_strategy_without_parts_has_no_variants() {
    let record = json(&run(&latency(&[
        "--strategy",
        "uniform-4",
        "--set",
        "group_size=0",
        "--json",
    ])));
    assert_eq!(roles(&record), ["f16", "given"]);
    assert!(array(&record["overheads"]).is_empty());
}

#[test]
fn what_cannot_be_timed_is_refused() {
    refused(
        1,
        &latency(&["--strategy", "smartkv", "--set", "tracker=oracle"]),
        &["oracle"],
    );
    let none = ["--prefill-tokens", "100", "--rounds", "0"];
    refused(
        1,
        &tiny("latency", &none),
        &["--rounds 0: expected 1 to 10000"],
    );
    let few = ["--prefill-tokens", "100", "--tokens", "4"];
    refused(
        1,
        &tiny("latency", &few),
        &["4 tokens to decode: expected more than 4"],
    );
}
