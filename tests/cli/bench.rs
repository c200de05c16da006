//! `smartkv bench`: the shape of its record, and what it refuses. No time is asserted.

use crate::program::{TEXT, TINY, file, json, names, refused, run};
use serde_json::Value;
use tempfile::tempdir;

/// Arguments of a quick benchmark of the tiny model, whose heads have 16 channels.
fn bench<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let args = ["bench", "--model", TINY, "--text", TEXT, "--rounds", "2"];
    let sizes = ["--tokens", "3", "--chunk", "32", "--set", "group_size=16"];
    [&args[..], &sizes, more].concat()
}

/// The same without anything that `more` may set.
fn bare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["bench", "--model", TINY, "--text", TEXT], more].concat()
}

const SHORT: [&str; 4] = ["--contexts", "40,150", "--prefill-tokens", "70"];

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

#[test]
fn the_record_holds_every_row_and_every_sample() {
    let strategies = ["--strategy", "f16,uniform-4", "--strategy", "smartkv@0.5"];
    let args = bench(&[&SHORT[..], &strategies, &["--json"]].concat());
    let record = json(&run(&args));
    assert_eq!(record["schema"], "smartkv.bench/1");
    assert_eq!(record["model"], TINY);
    assert_eq!(record["strategies"][2]["budget"], 0.5);
    assert_eq!(record["strategies"][1]["config"]["group_size"], 16);

    let rows = list(&record["rows"]);
    let places: Vec<(u64, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["context"].as_u64().unwrap(),
                row["strategy"].as_str().unwrap(),
            )
        })
        .collect();
    let strategies = ["f16", "uniform-4", "smartkv"];
    let expected = [40, 70, 150].map(|context| strategies.map(|name| (context, name)));
    assert_eq!(places, expected.concat());
    for row in rows {
        check(row);
    }
    assert_eq!(list(&record["slopes"]).len(), 3);
    assert!(number(&record["memory_bandwidth"]["gb_per_s"]["median"]) > 0.0);
    assert_eq!(record["protocol"]["untimed_tokens"], 2);
    assert_eq!(record["protocol"]["text"], TEXT);

    // Backwards in the second round.
    let turns = list(&record["samples"]);
    let order: Vec<u64> = turns
        .iter()
        .map(|turn| turn["entry"].as_u64().unwrap())
        .collect();
    assert_eq!(order, [0, 1, 2, 2, 1, 0]);
    for turn in turns {
        let decoded: Vec<usize> = list(&turn["stops"])
            .iter()
            .map(|stop| list(&stop["decode_s"]).len())
            .collect();
        assert_eq!(decoded, [3, 0, 3]);
        assert_eq!(list(&turn["same_size_gb_per_s"]).len(), 3);
    }
}

/// What every row must hold.
#[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
fn check(row: &Value) {
    let bytes = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value}: {row}"));
    let context = bytes(&row["context"]);
    assert!(number(&row["prefill"]["tokens_per_s"]["median"]) > 0.0);
    assert!(number(&row["prefill"]["first_token_s"]["min"]) > 0.0);
    assert_eq!(row["prefill"]["tokens_per_s"]["n"], 2);
    // 2 layers, 2 heads, 16 channels, keys and values, 2 bytes.
    let f16 = |tokens: u64| tokens * 2 * 2 * 16 * 2 * 2;
    let cache = &row["cache"];
    let decoded = if row["decode"].is_null() { 0 } else { 5 };
    assert_eq!(bytes(&cache["f16_bytes"]), f16(bytes(&cache["tokens"])));
    assert_eq!(bytes(&cache["tokens"]), context + decoded);
    assert!(
        bytes(&cache["peak_bytes"]) >= f16(context),
        "the prompt is held in f16: {cache}"
    );
    if row["budget"] == 0.5 && context > 128 {
        assert!(number(&cache["ratio"]) <= 0.5, "{cache}");
    }
    if row["strategy"] == "f16" {
        assert_eq!(row["prefill"]["speed_to_first"]["median"], 1.0);
    }
    let decode = &row["decode"];
    assert_eq!(decode.is_null(), context == 70);
    if context == 70 {
        return;
    }
    assert_eq!(decode["token_ms"]["n"], 2 * 3);
    let [p50, p95, p99] = ["p50", "p95", "p99"].map(|name| number(&decode["token_ms"][name]));
    assert!(0.0 < p50 && p50 <= p95 && p95 <= p99);
    let total = bytes(&decode["bytes_a_token"]);
    let parts = ["weight_bytes_a_token", "cache_bytes_a_token"];
    assert_eq!(
        total,
        parts.map(|part| bytes(&decode[part])).iter().sum::<u64>()
    );
    assert!(bytes(&decode["weight_bytes_a_token"]) <= bytes(&row["weight_bytes"]));
    // A plan may lower rows after the last timed token, so the end is not the most.
    assert!(bytes(&decode["cache_bytes_a_token"]) <= bytes(&cache["peak_bytes"]));
    for rate in [
        "gb_per_s",
        "same_size_gb_per_s",
        "share_of_same_size",
        "share_of_memory",
    ] {
        assert!(number(&decode[rate]["median"]) > 0.0, "{rate}: {decode}");
    }
    if cfg!(target_os = "linux") && context == 150 && !row["peak_rss_bytes"].is_null() {
        let least = bytes(&row["weight_bytes"]) + bytes(&cache["live_bytes"]);
        assert!(bytes(&row["peak_rss_bytes"]) as f64 >= least as f64);
        let peak = &row["peak"];
        assert_eq!(peak["bytes"], row["peak_rss_bytes"]);
        assert_eq!(peak["weight_bytes"], row["weight_bytes"]);
        assert_eq!(peak["cache_bytes"], cache["peak_bytes"]);
        assert_eq!(peak["prefill"], "exact");
        assert!(bytes(&peak["file_bytes"]) > 0);
    }
}

#[test]
fn a_shared_prefill_holds_what_a_prompt_of_its_own_holds() {
    let live = |contexts| {
        let lengths = [
            "--contexts",
            contexts,
            "--prefill-tokens",
            "150",
            "--chunk",
            "32",
        ];
        let rest = ["--rounds", "1", "--strategy", "smartkv@0.4", "--json"];
        let record = json(&run(&bare(&[&lengths[..], &rest].concat())));
        let cache = list(&record["rows"]).last().unwrap()["cache"].clone();
        assert_eq!(cache["tokens"], 150 + 34);
        cache
    };
    assert_eq!(live("150"), live("20,33,100,150"));
}

#[test]
fn weights_take_turns_too() {
    let strategies = [
        "--strategy",
        "f16,uniform-8",
        "--weights",
        "f32,f16",
        "--json",
    ];
    let record = json(&run(&bench(&[&SHORT[..], &strategies].concat())));
    assert_eq!(list(&record["rows"]).len(), 2 * 2 * 3);
    let order: Vec<(&str, u64)> = list(&record["samples"])
        .iter()
        .map(|turn| {
            (
                turn["weights"].as_str().unwrap(),
                turn["entry"].as_u64().unwrap(),
            )
        })
        .collect();
    let round = [("f32", 0), ("f32", 1), ("f16", 0), ("f16", 1)];
    let back: Vec<_> = round.into_iter().rev().collect();
    assert_eq!(order, [&round[..], &back].concat());
    let bytes = |row: usize| record["rows"][row]["weight_bytes"].as_u64().unwrap();
    assert!(bytes(0) > bytes(6), "f32 is more than f16");
}

#[test]
fn a_table_is_printed_and_the_record_written() {
    let dir = tempdir().unwrap();
    let path = file(dir.path(), "bench.json", "an older record");
    let args = [
        "--strategy",
        "f16,smartkv@0.5",
        "--prefill",
        "quantized",
        "--out",
        &path,
    ];
    let done = run(&bench(&[&SHORT[..], &args].concat()));
    assert_eq!(done.code, 0, "{}", done.stderr);
    for part in [
        "prefill tok/s",
        "p99 ms",
        "live cache",
        "read a token",
        "of memory",
        "smartkv @ 0.5",
    ] {
        assert!(done.stdout.contains(part), "no `{part}` in {}", done.stdout);
    }
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(record["protocol"]["prefill"], "quantized");
    assert_eq!(names(dir.path()), ["bench.json"]);
}

#[test]
fn names_and_budgets_that_are_none_are_refused_before_a_model_is_loaded() {
    let bench = |more: &[&'static str]| [&["bench", "--model", "no/such.gguf"], more].concat();
    refused(
        1,
        &bench(&["--strategy", "smartvk"]),
        &["unknown strategy `smartvk`", "hint: ", "smartkv"],
    );
    refused(
        1,
        &bench(&["--strategy", "smartkv@2"]),
        &["budget 2: expected a share of the f16 cache above 0"],
    );
    for given in ["@0.5", "smartkv@"] {
        refused(
            1,
            &bench(&["--strategy", given]),
            &[
                &format!("--strategy {given}: expected NAME or NAME@BUDGET"),
                "hint: ",
            ],
        );
    }
    refused(
        1,
        &bench(&["--weights", "q9"]),
        &["weights = q9: expected one of auto"],
    );
    refused(
        1,
        &bench(&["--set", "group_sise=16"]),
        &["--set group_sise=16: ", "hint: "],
    );
    refused(
        1,
        &bench(&["--out", "no/such/folder/record.json"]),
        &["--out no/such/folder/record.json: the folder"],
    );
}

#[test]
fn counts_and_contexts_that_are_none_are_refused() {
    for option in ["rounds", "tokens", "chunk", "prefill-tokens", "contexts"] {
        let flag = format!("--{option}");
        let message = format!("error: --{option} 0: expected at least 1");
        refused(1, &bare(&[&flag, "0"]), &[&message]);
        refused(2, &bare(&[&flag, "-1"]), &[]);
    }
    refused(
        1,
        &bare(&["--contexts", "64,32"]),
        &[
            "--contexts 64,32: 32 after 64, expected ascending",
            "hint: write --contexts 32,64",
        ],
    );
    refused(
        1,
        &bare(&["--contexts", "32,32"]),
        &["--contexts 32,32: 32 after 32", "hint: write --contexts 32"],
    );
    refused(2, &bare(&["--contexts", "many"]), &["--contexts", "many"]);
}

#[test]
fn lengths_beyond_model_or_text_are_refused() {
    refused(
        1,
        &bare(&["--strategy", "f16"]),
        &[
            "--contexts 128,1024,4096 with 34 decoded tokens needs 4130 tokens: the model's \
             context holds 256",
            "hint: lower --contexts",
        ],
    );
    refused(
        1,
        &bare(&[
            "--strategy",
            "f16",
            "--contexts",
            "8",
            "--prefill-tokens",
            "300",
        ]),
        &["--prefill-tokens 300 needs 300 tokens: the model's context holds 256"],
    );
    let dir = tempdir().unwrap();
    let text = file(dir.path(), "short.txt", "A few words.");
    let mut args = bare(&[
        "--strategy",
        "f16",
        "--contexts",
        "100",
        "--prefill-tokens",
        "8",
    ]);
    args[4] = &text;
    refused(
        1,
        &args,
        &[
            "needs 134 tokens: the text `",
            "short.txt` has ",
            "hint: lower --contexts",
        ],
    );
    // What a strategy cannot hold is known when the model is.
    refused(
        1,
        &bare(&[
            "--strategy",
            "f16@0.5",
            "--contexts",
            "8",
            "--prefill-tokens",
            "8",
        ]),
        &["budget 0.5: `f16` stores at least 1.0000"],
    );
}
