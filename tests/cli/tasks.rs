//! Tasks: `smartkv tasks`, `eval --task`, `compare --task`, and runs that are interrupted.

use crate::program::{Run, TEXT, TINY, file, finish, json, names, program, refused, run};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A quick task on the tiny model.
const START: [&str; 3] = ["--task", "needle", "--limit"];

fn asked<'a>(command: &[&'a str], limit: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let grid = [
        "--set",
        "task.lengths=[800]",
        "--set",
        "task.depths=[0, 50, 100]",
    ];
    let prose = format!("{}/prose.txt", long());
    let prose: &'static str = prose.leak();
    let model = ["--model", long(), "--text", prose];
    [command, &model, &START, &[limit], &grid, more].concat()
}

/// The tiny model made to accept prompts long enough for a needle.
fn long() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tiny-long");
        std::fs::create_dir_all(&folder).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(TINY);
        for name in [
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
        ] {
            std::fs::copy(from.join(name), folder.join(name)).unwrap();
        }
        let config = std::fs::read(from.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config["max_position_embeddings"] = 1024.into();
        file(&folder, "config.json", config.to_string());
        let prose = "The river ran past the mill. The children ran after it, along the bank. ";
        file(&folder, "prose.txt", prose.repeat(20));
        folder.to_str().unwrap().to_string()
    })
}

const EVAL: [&str; 3] = ["eval", "--strategy", "rotated"];

/// The record without what no two runs have in common.
fn repeats(mut record: Value) -> Value {
    for task in record["tasks"].as_array_mut().unwrap() {
        task.as_object_mut().unwrap().remove("timing");
    }
    record
}

/// The program with journals in a folder of the test's own.
fn in_folder(args: &[&str], folder: &Path) -> Command {
    let mut command = program(args);
    command.env("SMARTKV_CACHE", folder);
    command
}

/// A run beside which no other is at the same samples.
fn alone(args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    finish(in_folder(args, folder.path()))
}

fn journals(folder: &Path) -> Vec<String> {
    let runs = folder.join("runs");
    if runs.is_dir() {
        names(&runs)
    } else {
        Vec::new()
    }
}

#[test]
fn tasks_are_listed_and_explained() {
    let list = json(&run(&["tasks", "--json"]));
    let table = run(&["tasks"]);
    assert_eq!(table.code, 0);
    for task in list["tasks"].as_array().unwrap() {
        let name = task["name"].as_str().unwrap();
        assert!(table.stdout.contains(name), "{name}: {}", table.stdout);
        let page = run(&["tasks", name]);
        assert!(page.stdout.starts_with(name), "{}", page.stdout);
        assert_eq!(json(&run(&["tasks", name, "--json"]))["name"], name);
        json(&run(&["tasks", name, "--json-schema"]));
    }
    for part in ["ruler", "arXiv 2404.06654", "samples", "hotpot"] {
        let page = run(&["tasks", "ruler"]).stdout;
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    let known = refused(1, &["tasks", "nonsense"], &["unknown task `nonsense`"]);
    assert!(
        known.contains("assoc_recall") && known.contains("ruler"),
        "{known}"
    );
    refused(1, &["tasks", "rulr"], &["did you mean `ruler`?"]);
}

#[test]
fn a_record_has_every_sample_and_says_how_it_was_made() {
    let record = json(&alone(&asked(&EVAL, "2", &["--json"])));
    assert_eq!(record["schema"], "smartkv.tasks/1");
    assert_eq!(record["strategies"][0]["name"], "rotated");
    assert_eq!(record["strategies"][0]["config"]["type"], "rotated");
    assert_eq!(record["options"]["limit"], 2);
    assert_eq!(record["options"]["query_aware"], false);
    assert_eq!(record["prefill"], "exact");
    let task = &record["tasks"][0];
    assert_eq!(task["config"]["lengths"], json!([800]));
    let result = &task["result"];
    assert_eq!(result["sides"], json!(["f16", "rotated"]));
    let parts = result["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    let samples = result["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 6);
    for sample in samples {
        assert_eq!(sample["attempts"].as_array().unwrap().len(), 2);
        assert!(sample["control"]["score"].is_number(), "{sample}");
    }
    let overall = &result["overall"];
    assert_eq!(overall["n"], 6);
    assert!(overall["discriminative"].is_null());
    let why = overall["undecided"].as_str().unwrap();
    assert!(why.contains("at least 8"), "{why}");
    assert!(overall["sides"][0]["compared"].is_null());
    let compared = &overall["sides"][1]["compared"];
    let p = ["p_two_sided", "p_holm"].map(|name| {
        let place = if name == "p_holm" {
            compared
        } else {
            &compared["difference"]
        };
        place[name].as_f64().unwrap()
    });
    assert!(p[0] <= p[1], "{compared}");
    assert!(compared["verdict"]["verdict"].is_string(), "{compared}");
    let ratio = overall["sides"][1]["ratio"].as_f64().unwrap();
    assert!(ratio < 0.7, "{ratio}");
    // The table says the same in words.
    let table = alone(&asked(&EVAL, "2", &[])).stdout;
    for part in [
        "no context",
        "rotated",
        "Too few samples to tell",
        "n too small",
    ] {
        assert!(table.contains(part), "no `{part}` in {table}");
    }
}

#[test]
fn records_do_not_depend_on_threads_and_shards_are_parts_of_the_whole() {
    let record = |more: &[&str]| {
        let args = asked(&EVAL, "2", &[&["--json"], more].concat());
        repeats(json(&alone(&args)))["tasks"][0]["result"].clone()
    };
    let whole = record(&[]);
    assert_eq!(whole, record(&["--threads", "1"]));
    let mut united = Vec::new();
    for shard in ["1/2", "2/2"] {
        let part = record(&["--shard", shard]);
        united.extend(part["samples"].as_array().unwrap().clone());
    }
    united.sort_by_key(|s| {
        (
            s["part"].to_string().len(),
            s["part"].to_string(),
            s["index"].as_u64(),
        )
    });
    let mut all = whole["samples"].as_array().unwrap().clone();
    all.sort_by_key(|s| {
        (
            s["part"].to_string().len(),
            s["part"].to_string(),
            s["index"].as_u64(),
        )
    });
    assert_eq!(united, all);
}

#[test]
fn what_cannot_be_asked_is_refused_before_a_model_is_loaded() {
    let eval = |more: &[&'static str]| [&EVAL[..], &["--model", TINY], more].concat();
    refused(
        1,
        &eval(&["--task", "assoc_recall", "--set", "task.pairs=[1]"]),
        &["--set task.pairs=[1]", "hint: `smartkv tasks NAME`"],
    );
    refused(
        1,
        &eval(&["--task", "assoc_recall", "--set", "task.pair=[8]"]),
        &["no field `pair`: did you mean `pairs`?"],
    );
    refused(
        1,
        &eval(&["--task", "assoc_recall,copy", "--set", "task.samples=3"]),
        &["of which task?", "assoc_recall, copy"],
    );
    refused(
        2,
        &eval(&["--task", "copy", "--shard", "3/2"]),
        &["3/2", "INDEX/COUNT"],
    );
    refused(
        1,
        &eval(&["--task", "copy", "--limit", "0"]),
        &["limit", "at least 1"],
    );
    refused(
        1,
        &eval(&["--task", "copy", "--context", "100000", "--text", TEXT]),
        &["100000", "256"],
    );
    refused(
        1,
        &eval(&["--task", "nonsense"]),
        &["unknown task `nonsense`"],
    );
    refused(1, &eval(&["--limit", "3"]), &["--task"]);
    refused(1, &eval(&["--set", "task.pairs=[8]"]), &["--task"]);
    refused(1, &eval(&["--task", "copy", "--quick"]), &["--quick"]);
    refused(
        1,
        &eval(&[
            "--task",
            "assoc_recall",
            "--set",
            "task.pairs=[8,8]",
            "--text",
            TEXT,
        ]),
        &["8 pairs", "twice"],
    );
}

#[test]
fn a_configuration_says_what_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        folder.path(),
        "whole.yaml",
        "strategy: f16\nask:\n  tasks: [{type: copy, words: [2]}, {type: needle, lengths: [800], depths: [50]}]\n  limit: 1\n",
    );
    let start = [
        "eval",
        "--config",
        &config,
        "--model",
        long(),
        "--text",
        TEXT,
    ];
    let record = json(&alone(&[&start[..], &["--json"]].concat()));
    assert_eq!(record["tasks"][0]["config"]["words"], json!([2]));
    assert_eq!(record["tasks"][1]["name"], "needle");
    assert_eq!(record["options"]["limit"], 1);
    // Flags win over the file.
    let flags = [
        "--task",
        "copy",
        "--set",
        "task.words=[3]",
        "--limit",
        "2",
        "--json",
    ];
    let record = json(&alone(&[&start[..], &flags].concat()));
    assert_eq!(record["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(record["tasks"][0]["config"]["words"], json!([3]));
    assert_eq!(record["options"]["limit"], 2);
    let wrong = file(folder.path(), "wrong.yaml", "ask:\n  taks: [copy]\n");
    refused(1, &["eval", "--config", &wrong], &["wrong.yaml", "taks"]);
}

#[test]
fn a_file_is_a_task_and_its_errors_name_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(
        folder.path(),
        "grid.yaml",
        "type: needle\nlengths: [800]\ndepths: [50]\n",
    );
    let eval = [
        "eval",
        "--strategy",
        "f16",
        "--model",
        long(),
        "--text",
        TEXT,
        "--limit",
        "1",
        "--json",
    ];
    let record = json(&alone(&[&eval[..], &["--task", &good]].concat()));
    assert_eq!(record["tasks"][0]["name"], "grid");
    assert_eq!(record["tasks"][0]["config"]["lengths"], json!([800]));
    let bad = file(
        folder.path(),
        "bad.yaml",
        "type: needle\nlengths: [800]\ndepths: [500]\n",
    );
    refused(
        1,
        &[&eval[..], &["--task", &bad]].concat(),
        &["bad.yaml, line 3", "depths"],
    );
}

#[test]
fn candidates_are_compared_on_the_same_samples() {
    let compare = ["compare", "rotated", "smartkv", "--budgets", "0.5,0.8"];
    let record = json(&alone(&asked(&compare, "1", &["--json"])));
    let result = &record["tasks"][0]["result"];
    let sides = json!(["f16", "rotated", "smartkv@0.5", "smartkv@0.8"]);
    assert_eq!(result["sides"], sides);
    // A cache's answers do not depend on its company.
    let own = json(&alone(&asked(&EVAL, "1", &["--json"])));
    let answers = |record: &Value| -> Vec<Value> {
        let samples = record["tasks"][0]["result"]["samples"]
            .as_array()
            .unwrap()
            .clone();
        samples
            .iter()
            .map(|sample| sample["attempts"][1].clone())
            .collect()
    };
    assert_eq!(answers(&record), answers(&own));
    refused(
        1,
        &asked(&compare, "1", &["--against", "rotated"]),
        &["--against cannot be used with --task"],
    );
    refused(
        1,
        &asked(&["compare", "rotated", "--set", "bits=3"], "1", &[]),
        &["--set bits=3", "task."],
    );
}

/// Starts a run that takes a while and waits until it has finished some samples.
fn started(args: &[&str], folder: &Path) -> std::process::Child {
    let mut command = in_folder(args, folder);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    let since = Instant::now();
    loop {
        let lines = journals(folder).iter().any(|name| {
            let text = std::fs::read(folder.join("runs").join(name)).unwrap_or_default();
            text.split(|&byte| byte == b'\n').count() > 2
        });
        if lines {
            return child;
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it was seen"
        );
        assert!(
            since.elapsed() < Duration::from_secs(120),
            "no sample was finished"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let args = asked(&EVAL, "40", &["--json", "--set", "task.samples=40"]);
    let mut child = started(&args, folder.path());
    // A second process does not write into the first one's journal.
    let second = finish(in_folder(&args, folder.path()));
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(
        second.stderr.contains("another process is at the same run"),
        "{}",
        second.stderr
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(journals(folder.path()).len(), 1);
    let resumed = json(&finish(in_folder(&args, folder.path())));
    let recalled = resumed["tasks"][0]["timing"]["recalled"].as_u64().unwrap();
    assert!((2..120).contains(&recalled), "{recalled}");
    assert_eq!(journals(folder.path()), Vec::<String>::new());
    let whole = json(&finish(in_folder(&args, folder.path())));
    assert_eq!(whole["tasks"][0]["timing"]["recalled"], 0);
    assert_eq!(repeats(resumed), repeats(whole));
    assert_eq!(journals(folder.path()), Vec::<String>::new());
}
