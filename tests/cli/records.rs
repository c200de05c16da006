//! The record of `eval --json`: its fields, its sums, and that it repeats.

use crate::program::{TEXT, TINY, json, quick, run};
use serde_json::Value;

/// An evaluation long enough that a budget binds: below 128 tokens it does not.
fn eval(more: &[&str]) -> Value {
    let args = [
        "eval",
        "--model",
        TINY,
        "--text",
        TEXT,
        "--no-needle",
        "--windows",
        "2",
        "--prefill-tokens",
        "160",
        "--score-tokens",
        "16",
        "--json",
    ];
    json(&run(&[&args[..], more].concat()))
}

fn uniform(bits: &str) -> Value {
    // The tiny model's heads have 16 channels.
    eval(&[
        "--strategy",
        &format!("uniform-{bits}"),
        "--set",
        "group_size=16",
    ])
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn bytes(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

/// What every record must hold.
#[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
fn check(record: &Value) {
    for field in [
        "strategy", "budget", "model", "cache", "quality", "speed", "tasks", "protocol", "schema",
    ] {
        assert!(record.get(field).is_some(), "no `{field}` in {record}");
    }
    assert_eq!(record["schema"], "smartkv.eval/1");
    assert_eq!(record["model"], TINY);
    for cache in [&record["cache"], &record["reference"]["cache"]] {
        let of = |field: &str| bytes(&cache[field]);
        let parts = [
            "payload_bytes",
            "metadata_bytes",
            "window_bytes",
            "policy_bytes",
        ];
        assert_eq!(
            of("live_bytes"),
            parts.iter().map(|part| of(part)).sum::<u64>()
        );
        // 2 layers, 2 heads, 16 channels, keys and values, 2 bytes; the first token is BOS.
        assert_eq!(of("tokens"), 1 + 160 + 16);
        assert_eq!(of("f16_bytes"), of("tokens") * 2 * 2 * 16 * 2 * 2);
        let ratio = of("live_bytes") as f64 / of("f16_bytes") as f64;
        assert!((number(&cache["ratio"]) - ratio).abs() < 1e-12);
        assert!(number(&cache["max_ratio"]) >= ratio);
        assert!(of("peak_bytes") >= of("live_bytes"));
        assert!(of("allocated_bytes") >= of("live_bytes"));
    }
    let quality = &record["quality"];
    assert_eq!(quality["tokens"], 2 * 16);
    assert!(number(&quality["perplexity"]) > 1.0 && number(&quality["perplexity_f16"]) > 1.0);
    assert!(number(&quality["kl_mean"]) >= 0.0);
    assert!((0.0..=1.0).contains(&number(&quality["top1_agreement"])));
    for speed in ["prefill_tokens_per_s", "decode_tokens_per_s"] {
        assert!(number(&record["speed"][speed]) > 0.0);
    }
    assert_eq!(record["protocol"]["name"], "decode");
    assert_eq!(record["samples"]["windows"].as_array().unwrap().len(), 2);
}

#[test]
fn f16_against_itself_loses_nothing() {
    let record = eval(&["--strategy", "f16"]);
    check(&record);
    assert_eq!(record["cache"]["ratio"], 1.0);
    assert_eq!(record["cache"]["max_ratio"], 1.0);
    let quality = &record["quality"];
    assert!(number(&quality["kl_mean"]) < 1e-9, "{quality}");
    assert!(number(&quality["kl_max"]) < 1e-9, "{quality}");
    assert_eq!(quality["perplexity"], quality["perplexity_f16"]);
    assert_eq!(quality["top1_agreement"], 1.0);
    assert_eq!(record["budget"], Value::Null);
}

#[test]
fn more_bits_are_more_bytes_and_less_divergence() {
    let records = ["8", "4", "2"].map(uniform);
    for record in &records {
        check(record);
        assert!(number(&record["cache"]["ratio"]) < 1.0);
    }
    for pair in records.windows(2) {
        let [more, fewer] = pair else { unreachable!() };
        let kl = |record: &Value| number(&record["quality"]["kl_mean"]);
        assert!(kl(more) < kl(fewer), "{} {}", kl(more), kl(fewer));
        assert!(bytes(&more["cache"]["live_bytes"]) > bytes(&fewer["cache"]["live_bytes"]));
        // The same reference beside each.
        assert_eq!(
            more["quality"]["perplexity_f16"],
            fewer["quality"]["perplexity_f16"]
        );
    }
    // 8 bits and a scale and zero point of 2 bytes each for 16 channels, of 16 bits.
    assert_eq!(records[0]["cache"]["ratio"], (8.0 + 32.0 / 16.0) / 16.0);
}

#[test]
fn a_budget_holds_at_every_step() {
    let mut last = f64::INFINITY;
    for budget in ["0.4", "0.5", "0.8"] {
        let record = eval(&["--strategy", "smartkv", "--budget", budget]);
        check(&record);
        let limit: f64 = budget.parse().unwrap();
        assert_eq!(record["budget"], limit);
        assert!(
            number(&record["cache"]["max_ratio"]) <= limit,
            "{}",
            record["cache"]
        );
        let kl = number(&record["quality"]["kl_mean"]);
        assert!(kl > 0.0 && kl < last, "{kl} after {last}");
        last = kl;
    }
}

#[test]
fn a_budget_holds_however_it_is_written() {
    let live = |budget| bytes(&eval(&["--budget", budget])["cache"]["live_bytes"]);
    let token = 2 * 2 * 16 * 2 * 2;
    assert_eq!(live("50%"), live("0.5"));
    assert_eq!(live("8bit"), live("0.5"));
    assert!(live("100tok") <= 100 * token);
    assert!(live("20KiB") <= 20 << 10);
}

#[test]
fn threads_change_nothing_but_speed() {
    let record = |threads: &str| {
        let mut record = eval(&["--threads", threads, "--seed", "7"]);
        assert_eq!(record["environment"]["threads"].to_string(), threads);
        record["environment"]["threads"].take();
        record["speed"].take();
        record["reference"]["speed"].take();
        record.to_string()
    };
    let one = record("1");
    assert_eq!(one, record("2"));
    assert_eq!(one, record("1"));
}

#[test]
fn both_formats_of_a_model_and_every_protocol_give_records() {
    let gguf = format!("{TINY}/tiny-llama.gguf");
    let mut args = quick(&["--json"]);
    args[2] = &gguf;
    let record = json(&run(&args));
    let digest = record["environment"]["model_sha256"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    for more in [
        &["--protocol", "chunked:4"][..],
        &["--prefill", "quantized"],
    ] {
        check(&eval_named_decode(more));
    }
}

/// The protocol is what was asked for; [`check`] looks at the rest.
fn eval_named_decode(more: &[&str]) -> Value {
    let mut record = eval(more);
    let field = if more[0] == "--protocol" {
        "name"
    } else {
        "prefill"
    };
    assert_eq!(record["protocol"][field], more[1]);
    record["protocol"]["name"] = "decode".into();
    record
}

#[test]
fn without_json_there_is_a_table() {
    let run = run(&quick(&[]));
    assert_eq!(run.code, 0, "{}", run.stderr);
    for part in [
        "perplexity",
        "ratio to f16",
        "KL",
        "smartkv @ 0.5",
        "Protocol decode",
        "payload",
    ] {
        assert!(run.stdout.contains(part), "no `{part}` in {}", run.stdout);
    }
}
