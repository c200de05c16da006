//! The default model, fetched if it is not cached: what compression costs on real text.

use crate::program::{json, run};
use serde_json::Value;

const WINDOW: [&str; 7] = [
    "eval",
    "--json",
    "--windows",
    "1",
    "--prefill-tokens",
    "256",
    "--score-tokens",
];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn half_the_bytes_keep_perplexity_and_needle() {
    let needle = ["--needle-lengths", "512", "--needle-depths", "50"];
    let smartkv = ["32", "--strategy", "smartkv", "--budget", "0.5"];
    let record = json(&run(&[&WINDOW[..], &smartkv, &needle].concat()));
    let cache = &record["cache"];
    assert!(number(&cache["ratio"]) <= 0.5, "{cache}");
    assert!(number(&cache["max_ratio"]) <= 0.5, "{cache}");
    let quality = &record["quality"];
    assert!(
        (number(&quality["perplexity_ratio"]) - 1.0).abs() <= 0.02,
        "{quality}"
    );
    for tasks in [&record["tasks"], &record["reference"]["tasks"]] {
        assert_eq!(tasks["needle"]["n"], 1);
        assert_eq!(tasks["needle"]["correct"], 1, "{tasks}");
    }
}

#[test]
fn f16_is_its_own_reference() {
    let f16 = ["32", "--strategy", "f16", "--no-needle"];
    let record = json(&run(&[&WINDOW[..], &f16].concat()));
    let quality = &record["quality"];
    let [own, reference] = ["perplexity", "perplexity_f16"].map(|field| number(&quality[field]));
    assert!((own / reference - 1.0).abs() < 1e-4, "{quality}");
    assert_eq!(record["cache"]["ratio"], 1.0);
}
