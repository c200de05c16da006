//! Numbers of records: that they are those of the record, and means of their own samples.
#![expect(clippy::float_cmp, reason = "exact where it is exact")]

mod common;

use common::{Filled, printed};
use serde_json::{Value, json};
use smartkv_analysis::Study;
use smartkv_analysis::measure::{Measurement, Reading, Scale};
use std::collections::BTreeSet;

fn study_of(file: &str) -> Study {
    let mut filled = Filled::new();
    filled.cell("a", &json!({"strategy": file}), printed(file), 0);
    filled.plan("one", &["strategy"], &Value::Null);
    let study = filled.study("one");
    assert!(study.is_complete(), "{}", study.census());
    study
}

fn measured(study: &Study, metric: &str) -> Measurement {
    let cell = &study.cells[0];
    let found = cell.measurement(metric);
    found.unwrap_or_else(|| panic!("no {metric}")).clone()
}

fn number(study: &Study, metric: &str) -> f64 {
    measured(study, metric).reading.number().expect("a number")
}

/// The mean over parts of the mean over samples, on the metric's scale.
fn from_samples(one: &Measurement) -> f64 {
    let parts: BTreeSet<usize> = one.samples.iter().map(|sample| sample.part).collect();
    let mean_of = |part: &usize| {
        let own = one.samples.iter().filter(|s| s.part == *part);
        let own: Vec<f64> = own.map(|sample| sample.value).collect();
        smartkv_stats::mean(&own).expect("samples")
    };
    let parts: Vec<f64> = parts.iter().map(mean_of).collect();
    let mean = smartkv_stats::mean(&parts).expect("parts");
    match one.metric.scale {
        Scale::Mean => mean,
        Scale::ExpMean => mean.exp(),
    }
}

#[test]
fn every_number_with_samples_is_their_mean() {
    for (file, expected) in [
        ("uniform-4-s0", 8),
        ("smartkv-0.3-s0", 8),
        ("gear-2-s1", 8),
        ("oracle-0.3-s0", 6),
        ("tasks-uniform-2", 12),
        ("tasks-uniform-4", 12),
    ] {
        let study = study_of(file);
        let with: Vec<&Measurement> = study.cells[0]
            .measurements
            .iter()
            .filter(|one| !one.samples.is_empty())
            .collect();
        let names: Vec<&String> = with.iter().map(|one| &one.metric.name).collect();
        assert!(with.len() >= expected, "{file}: {names:?}");
        for one in with {
            let (value, mean) = (one.reading.number().unwrap(), from_samples(one));
            assert!(
                (value - mean).abs() <= 1e-9 * value.abs().max(1e-3),
                "{file} {}: {value}, samples have {mean}",
                one.metric.name
            );
            let keys: BTreeSet<&String> = one.samples.iter().map(|s| &s.key).collect();
            assert_eq!(keys.len(), one.samples.len(), "{file} {}", one.metric.name);
        }
    }
}

#[test]
fn numbers_are_those_of_the_record() {
    let record = printed("smartkv-0.3-s0");
    let study = study_of("smartkv-0.3-s0");
    for (metric, place) in [
        ("ratio", "/cache/ratio"),
        ("live_bytes", "/cache/live_bytes"),
        ("bytes_per_token", "/cache/bytes_per_token"),
        ("peak_bytes", "/cache/peak_bytes"),
        ("kl_mean", "/quality/kl_mean"),
        ("kl_p99", "/quality/kl_p99"),
        ("perplexity", "/quality/perplexity"),
        ("perplexity_ratio", "/quality/perplexity_ratio"),
        ("top1_agreement", "/quality/top1_agreement"),
        ("needle_accuracy", "/tasks/needle/accuracy"),
        ("decode_tokens_per_s", "/speed/decode_tokens_per_s"),
    ] {
        assert_eq!(
            Some(number(&study, metric)),
            record.pointer(place).unwrap().as_f64(),
            "{metric}"
        );
    }
    let f16 = record.pointer("/reference/speed/decode_tokens_per_s");
    let expected = number(&study, "decode_tokens_per_s") / f16.unwrap().as_f64().unwrap();
    assert_eq!(number(&study, "decode_speedup"), expected);
    assert_eq!(number(&study, "seconds"), 12.5);
}

#[test]
fn a_simulated_strategy_has_no_bytes_and_no_speed() {
    let study = study_of("gear-2-s0");
    for metric in [
        "ratio",
        "live_bytes",
        "peak_bytes",
        "payload_bytes",
        "peak_resident_bytes",
        "decode_tokens_per_s",
    ] {
        assert_eq!(
            measured(&study, metric).reading,
            Reading::Simulated,
            "{metric}"
        );
    }
    assert!(number(&study, "kl_mean") > 0.0);
}

#[test]
fn scores_of_tasks() {
    let record = printed("tasks-uniform-2");
    let study = study_of("tasks-uniform-2");
    let overall = |task: usize, field: &str| {
        let place = format!("/tasks/{task}/result/overall/sides/{field}");
        record.pointer(&place).unwrap().as_f64().unwrap()
    };
    assert_eq!(
        number(&study, "score.assoc_recall"),
        overall(0, "1/score/mean")
    );
    assert_eq!(number(&study, "score.ruler"), overall(1, "1/score/mean"));
    let difference = overall(1, "1/score/mean") - overall(1, "0/score/mean");
    assert_eq!(number(&study, "difference.ruler"), difference);
    let ratio = f64::midpoint(overall(0, "1/ratio"), overall(1, "1/ratio"));
    assert_eq!(number(&study, "ratio"), ratio);
    for part in ["niah_single_1", "vt"] {
        let one = measured(&study, &format!("score.ruler/{part}"));
        assert_eq!(one.samples.len(), 4);
    }
    assert_eq!(measured(&study, "score.ruler").samples.len(), 8);
}
