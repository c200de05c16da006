//! `smartkv analyze errors`.

use crate::program::{file, json, quick, refused, run};
use crate::{array, number, written};
use serde_json::{Value, json as value};
use std::path::Path;

fn errors<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["analyze", "errors"][..], more].concat()
}

/// An evaluation of the tiny model, written to a folder.
fn evaluation(folder: &Path) -> String {
    let path = folder.join("eval.json");
    let path = path.to_str().unwrap().to_string();
    let more = [
        "--windows",
        "4",
        "--strategy",
        "uniform-2",
        "--set",
        "group_size=0",
    ];
    let mut args = quick(&[]);
    // Four windows in the place of two.
    let windows = args.iter().position(|arg| *arg == "--windows").unwrap();
    args.splice(windows..windows + 2, []);
    let done = run(&[&args[..], &more, &["--json", "--out", &path]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    path
}

fn attempt(score: f64, text: &str, nll: f64) -> Value {
    value!({
        "score": score, "text": text, "generated_tokens": 3, "stop": "eos",
        "forced": {"tokens": 2, "correct_tokens": 1, "nll_nats": nll, "kl_nats": 0.5},
        "live_bytes": 10, "f16_bytes": 40,
    })
}

fn sample(part: &str, index: usize, context: usize, f16: (f64, f64), own: (f64, f64)) -> Value {
    value!({
        "part": part, "index": index, "fingerprint": format!("{part}-{index}"), "id": format!("id-{index}"),
        "context_tokens": context, "question_tokens": 5, "answers": ["blue"], "control": null,
        "attempts": [attempt(f16.0, "blue", f16.1), attempt(own.0, "green", own.1)],
    })
}

/// A record of two parts, shallow and deep; all is lost in the deep one.
fn tasks() -> Value {
    let part = |name: &str, depth: u32| value!({"name": name, "meta": {"depth_percent": depth}});
    value!({
        "schema": "smartkv.tasks/1", "model": "m",
        "strategies": [{"name": "smartkv @ 0.25", "config": {}, "budget": 0.25}],
        "tasks": [{"name": "needle", "config": {}, "result": {
            "sides": ["f16", "smartkv @ 0.25"],
            "overall": {"name": "", "meta": {}},
            "parts": [part("shallow", 10), part("deep", 90)],
            "samples": [
                sample("shallow", 0, 1000, (1.0, 0.2), (1.0, 0.3)),
                sample("shallow", 1, 1000, (1.0, 0.4), (1.0, 0.4)),
                sample("deep", 0, 3000, (1.0, 0.6), (0.0, 4.6)),
                sample("deep", 1, 3000, (1.0, 0.8), (0.0, 2.8)),
            ],
        }}],
    })
}

fn group<'a>(record: &'a Value, by: &str, key: &str) -> &'a Value {
    let groups = array(&record["samples"]);
    let found = groups
        .iter()
        .find(|g| g["by"] == by && g["key"].as_str().unwrap().contains(key));
    found.unwrap_or_else(|| panic!("no {by} {key} in {groups:?}"))
}

#[test]
fn losses_are_found_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "tasks.json", tasks().to_string());
    let record = written(&errors(&[&path, "--worst", "1"]));
    assert_eq!(record["schema"], "smartkv.errors/1");
    let all = group(&record, "all", "");
    assert_eq!(
        (number(&all["loss"]["mean"]), number(&all["n"])),
        (0.5, 4.0)
    );
    assert_eq!(
        (&all["lost"], &all["won"]),
        (&Value::from(2), &Value::from(0))
    );
    // (0.1 + 0 + 4 + 2) / 2 tokens / 4 samples.
    assert!(
        (number(&all["gold_nll_rise"]["mean"]) - 6.1 / 8.0).abs() < 1e-12,
        "{all}"
    );
    assert_eq!(number(&group(&record, "depth", "90%")["loss"]["mean"]), 1.0);
    assert_eq!(number(&group(&record, "depth", "10%")["loss"]["mean"]), 0.0);
    assert_eq!(
        number(&group(&record, "context", "2048 to 4095")["loss"]["mean"]),
        1.0
    );
    assert_eq!(
        number(&group(&record, "context", "512 to 1023")["loss"]["mean"]),
        0.0
    );
    assert_eq!(
        number(&group(&record, "part", "needle: deep")["score"]),
        0.0
    );
    assert_eq!(number(&group(&record, "f16_gold_nll", "4 of 4")["n"]), 1.0);
    let worst = array(&record["worst_samples"]);
    assert_eq!(worst.len(), 1);
    assert_eq!(
        (&worst[0]["part"], &worst[0]["index"]),
        (&"deep".into(), &Value::from(0))
    );
    assert_eq!(
        (&worst[0]["text_f16"], &worst[0]["text"]),
        (&"blue".into(), &"green".into())
    );
    assert_eq!(worst[0]["strategy"], "smartkv @ 0.25");
}

#[test]
fn cells_and_folders_are_read_as_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let cells = folder.path().join("cells");
    std::fs::create_dir(&cells).unwrap();
    let cell = value!({
        "schema": "smartkv.cell/1", "id": "0", "cell": {}, "result": tasks(),
    });
    file(&cells, "0.json", cell.to_string());
    file(&cells, "notes.txt", "not a record");
    let store = folder.path().to_str().unwrap();
    let record = json(&run(&errors(&[store, "--json"])));
    assert_eq!(array(&record["files"]).len(), 1);
    assert_eq!(record["files"][0]["schema"], "smartkv.cell/1");
    assert_eq!(number(&group(&record, "all", "")["n"]), 4.0);
    // The same samples once more are no more samples, and those of another model are apart.
    let again = file(folder.path(), "again.json", tasks().to_string());
    let record = json(&run(&errors(&[store, &again, "--json"])));
    assert_eq!(number(&group(&record, "all", "")["n"]), 4.0);
    let mut other = tasks();
    other["model"] = "other".into();
    let other = file(folder.path(), "other.json", other.to_string());
    let record = json(&run(&errors(&[&again, &other, "--json"])));
    let all = array(&record["samples"])
        .iter()
        .filter(|g| g["by"] == "all");
    let names: Vec<&Value> = all.map(|g| &g["strategy"]).collect();
    assert_eq!(names, ["smartkv @ 0.25 on m", "smartkv @ 0.25 on other"]);
    // So are those of another configuration that goes by the same name.
    let mut other = tasks();
    other["strategies"][0]["config"] = value!({"window": 0});
    let other = file(folder.path(), "other.json", other.to_string());
    let record = json(&run(&errors(&[&again, &other, "--json"])));
    let all = array(&record["samples"])
        .iter()
        .filter(|g| g["by"] == "all");
    let names: Vec<&str> = all.map(|g| g["strategy"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("smartkv @ 0.25 (")),
        "{names:?}"
    );
}

#[test]
fn windows_are_grouped_and_run_again_to_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = evaluation(folder.path());
    let record = written(&errors(&[&path, "--rerun", "2", "--worst", "3"]));
    let groups = array(&record["windows"]);
    let of = |by: &str| groups.iter().filter(|g| g["by"] == by).collect::<Vec<_>>();
    assert_eq!(number(&of("all")[0]["n"]), 4.0);
    assert_eq!(of("f16_nll").len(), 4);
    let worst: Vec<f64> = array(&record["worst_windows"])
        .iter()
        .map(|window| number(&window["kl"]))
        .collect();
    assert_eq!(worst.len(), 3);
    assert!(worst.is_sorted_by(|a, b| a >= b));
    let rerun = array(&record["rerun"]);
    assert_eq!(rerun.len(), 2);
    for (window, kl) in rerun.iter().zip(&worst) {
        assert_eq!(number(&window["kl"]), *kl);
        let again = number(&window["kl_again"]);
        assert!((again - kl).abs() < 1e-9 * kl.max(1e-9), "{again} {kl}");
        assert_eq!(array(&window["kl_tokens"]).len(), 8);
        let tokens = array(&window["worst_tokens"]);
        assert_eq!(tokens.len(), 3);
        let most = array(&window["kl_tokens"])
            .iter()
            .map(number)
            .fold(0.0, f64::max);
        assert!((number(&tokens[0]["kl"]) - most).abs() < 1e-6);
        assert!(!tokens[0]["before"].as_str().unwrap().is_empty());
    }
    let shares: f64 = array(&record["tokens"])
        .iter()
        .filter(|group| group["by"] == "f16_nll")
        .map(|group| number(&group["kl_share"]))
        .sum();
    assert!((shares - 1.0).abs() < 1e-6);
}

#[test]
fn needles_of_an_evaluation_are_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = evaluation(folder.path());
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let needle = |correct: bool, said: &str| {
        value!({
            "length_tokens": 512, "depth_percent": 50, "sample": 0, "key": "k", "value": "123",
            "context_tokens": 480, "prompt_tokens": 500, "needle_at_percent": 49.0,
            "prediction": said, "generated_tokens": 3, "stop": null, "correct": correct,
            "gold_log_prob_per_token_nats": -0.5,
        })
    };
    record["samples"]["needle"] = value!([needle(false, "999")]);
    record["samples"]["needle_f16"] = value!([needle(true, "123")]);
    let path = file(folder.path(), "needle.json", record.to_string());
    let done = run(&errors(&[&path]));
    assert_eq!(done.code, 0, "{}", done.stderr);
    for part in ["right  123", "here   999", "depth 50%"] {
        assert!(done.stdout.contains(part), "no `{part}` in {}", done.stdout);
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| file(folder.path(), name, text);
    for (name, text, part) in [
        ("text.json", "not JSON", "it is not JSON"),
        ("empty.json", "", "it is not JSON"),
        ("nan.json", "{\"schema\": NaN}", "it is not JSON"),
        (
            "other.json",
            "{\"a\": 1}",
            "it has no `schema`: expected smartkv.eval/1",
        ),
        ("list.json", "[]", "it has no `schema`"),
        (
            "bench.json",
            "{\"schema\": \"smartkv.bench/1\"}",
            "a `smartkv.bench/1` record has no samples",
        ),
        (
            "new.json",
            "{\"schema\": \"smartkv.eval/2\"}",
            "another version of smartkv",
        ),
        (
            "half.json",
            "{\"schema\": \"smartkv.tasks/1\"}",
            "it has no `model`",
        ),
        (
            "cell.json",
            "{\"schema\": \"smartkv.cell/1\"}",
            "the cell has no `result`",
        ),
    ] {
        let path = write(name, text);
        refused(1, &errors(&[&path]), &[part, name]);
    }
    refused(
        1,
        &errors(&["no-such-file.json"]),
        &["no-such-file.json: no such file or folder"],
    );
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    refused(
        1,
        &errors(&[empty.to_str().unwrap()]),
        &["no `.json` in it"],
    );
    refused(2, &errors(&[]), &["<RECORD>"]);
}

#[test]
fn numbers_that_are_missing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = evaluation(folder.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    // What is not finite is written as null.
    record["samples"]["windows"][1]["nll_f16"] = Value::Null;
    let path = file(folder.path(), "null.json", record.to_string());
    refused(
        1,
        &errors(&[&path]),
        &[
            "null.json cannot be used",
            "samples.windows[1]",
            "`nll_f16`",
        ],
    );
    let mut broken = tasks();
    broken["tasks"][0]["result"]["samples"][2]["attempts"][1]["score"] = Value::Null;
    let path = file(folder.path(), "score.json", broken.to_string());
    refused(1, &errors(&[&path]), &["task `needle`, samples[2]"]);
    let mut few = tasks();
    few["tasks"][0]["result"]["samples"] = value!([]);
    let path = file(folder.path(), "none.json", few.to_string());
    refused(
        1,
        &errors(&[&path]),
        &["no sample and no window of a strategy"],
    );
}

#[test]
fn windows_are_only_run_again_on_what_they_were_measured_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = evaluation(folder.path());
    refused(
        1,
        &errors(&[&path, "--rerun", "1", "--text", "LICENSE-MIT"]),
        &["was measured on another `LICENSE-APACHE`", "--text"],
    );
    let tasks = file(folder.path(), "tasks.json", tasks().to_string());
    refused(
        1,
        &errors(&[&tasks, "--rerun", "1"]),
        &["no windows of a text"],
    );
    refused(
        1,
        &errors(&[&path, "--rerun", "0"]),
        &["--rerun 0: expected at least 1, or all"],
    );
    refused(2, &errors(&[&path, "--text", "LICENSE-MIT"]), &["--rerun"]);
}
