use super::*;
use serde_json::json;

fn fields(row: &Row) -> Vec<(&str, String)> {
    row.iter()
        .map(|(key, value)| (key.as_str(), value.to_string()))
        .collect()
}

#[test]
fn an_evaluation_has_a_row_a_window() {
    let record = Json::of(&json!({
        "schema": "smartkv.eval/1",
        "config": {"bits": 4},
        "budget": 0.5,
        "quality": {
            "perplexity": 9.5, "confident": null,
            "perplexity_interval": {"low": 1.0, "high": 2.0},
            "attention": [{"relative": 0.1}],
        },
        "tasks": {"needle": {"accuracy": 1.0, "cells": []}},
        "samples": {
            "windows": [
                {"start": 0, "nll_f16": 2.0, "fidelity": {"mean_nll_nats": 2.5}},
                {"start": 9, "nll_f16": 3.0, "fidelity": null},
            ],
        },
    }));
    let record = record.unwrap();
    let all = rows(&record);
    assert_eq!(all.len(), 2);
    let first = [
        ("window/index", "0"),
        ("window/start", "0"),
        ("window/nll_f16", "2.0"),
    ];
    let first: Vec<_> = first
        .into_iter()
        .chain([("window/mean_nll_nats", "2.5")])
        .map(|(key, value)| (key, value.to_owned()))
        .collect();
    assert_eq!(fields(&all[0]), first);
    assert_eq!(all[1].len(), 3);
    let names: Vec<_> = summary(&record).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "budget",
            "quality/perplexity",
            "quality/perplexity_interval/low",
            "quality/perplexity_interval/high",
            "tasks/needle/accuracy",
        ]
    );
}

#[test]
fn tasks_have_a_row_a_sample() {
    let side = |name: &str, score: f64| json!({"name": name, "score": {"mean": score}});
    let record = Json::of(&json!({
        "strategies": [{"name": "kivi", "budget": 0.25}],
        "tasks": [{
            "name": "copy",
            "config": {"words": 3},
            "result": {
                "sides": ["f16", "kivi"],
                "overall": {"name": "overall", "n": 1, "sides": [side("f16", 1.0), side("kivi", 0.5)]},
                "parts": [{"name": "short", "sides": [side("f16", 1.0)]}],
                "samples": [{"part": "short", "index": 0, "attempts": [{"score": 1.0}, {"score": 0.5}]}],
            },
            "timing": {"seconds": 1.0},
        }],
    }));
    let record = record.unwrap();
    let expected = [
        ("copy/sample", "0"),
        ("copy/part", "\"short\""),
        ("copy/f16/score", "1.0"),
        ("copy/kivi/score", "0.5"),
    ];
    let expected: Vec<_> = expected.map(|(key, value)| (key, value.to_owned())).into();
    assert_eq!(fields(&rows(&record)[0]), expected);
    let summary = summary(&record);
    let expected = [
        ("copy/n", "1"),
        ("copy/f16/score/mean", "1.0"),
        ("copy/kivi/score/mean", "0.5"),
        ("copy/short/f16/score/mean", "1.0"),
    ];
    let expected: Vec<_> = expected.map(|(key, value)| (key, value.to_owned())).into();
    assert_eq!(fields(&summary), expected);
}
