//! `smartkv eval` as a tracked run.

use super::golden::extended;
use super::server::{Behaviour, Server};
use super::{KEY, until};
use prost::Message as _;
use serde_json::Value;
use smartkv::track::SpoolReader;
use smartkv::track::proto::{Kind, Record};
use std::path::Path;
use std::process::{Command, Output};

/// A quick evaluation of the tiny model, in an environment of its own.
fn eval(dir: &Path, vars: &[(&str, &str)], more: &[&str]) -> Output {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny-llama");
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE");
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartkv"));
    command
        .args([
            "eval",
            "--model",
            model,
            "--text",
            text,
            "--no-needle",
            "--windows",
            "2",
        ])
        .args(["--prefill-tokens", "40", "--score-tokens", "8", "--json"])
        .args(more)
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .envs(vars.iter().copied());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn nothing_is_written_unless_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let plain = eval(
        dir.path(),
        &[("WANDB_API_KEY", KEY), ("WANDB_PROJECT", "p")],
        &[],
    );
    assert!(plain.status.success(), "{}", stderr(&plain));
    let disabled = eval(dir.path(), &[("WANDB_MODE", "disabled")], &["--wandb"]);
    assert!(disabled.status.success(), "{}", stderr(&disabled));
    // Only the cache, where finished windows lie while a run goes on.
    let left = std::fs::read_dir(dir.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".cache"]);
    let runs = dir.path().join(".cache/smartkv/runs");
    assert_eq!(std::fs::read_dir(runs).unwrap().count(), 0);
    assert!(!(stderr(&plain) + &stderr(&disabled)).contains("W&B"));
}

#[test]
fn an_evaluation_is_tracked_and_prints_the_same_record() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::default());
    let vars = [
        ("WANDB_BASE_URL", server.url.as_str()),
        ("WANDB_API_KEY", KEY),
        ("WANDB_RUN_ID", "run00001"),
        ("WANDB_ENTITY", "ent"),
    ];
    let flags = [
        "--wandb-project",
        "cache",
        "--wandb-tags",
        "a,b",
        "--budget",
        "0.5",
    ];
    let tracked = eval(dir.path(), &vars, &flags);
    assert!(tracked.status.success(), "{}", stderr(&tracked));
    let record: Value = serde_json::from_slice(&tracked.stdout).unwrap();

    let variables = server.asked("UpsertBucket")[0].body()["variables"].clone();
    assert_eq!(variables["project"], "cache");
    assert_eq!(variables["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(variables["jobType"], "eval");
    let config: Value = serde_json::from_str(variables["config"].as_str().unwrap()).unwrap();
    assert_eq!(config["budget"]["value"], 0.5);
    assert_eq!(config["strategy_config"]["value"], record["config"]);
    assert_eq!(config["seed"]["value"], 0);

    let rows = server.file("wandb-history.jsonl");
    let windows = record["samples"]["windows"].as_array().unwrap();
    assert_eq!(rows.len(), windows.len());
    for (row, window) in rows.values().zip(windows) {
        let row = extended(row);
        assert_eq!(
            row["window/mean_kl_nats"],
            window["fidelity"]["mean_kl_nats"]
        );
        assert_eq!(row["window/nll_f16"], window["nll_f16"]);
    }
    let summary = extended(&server.file("wandb-summary.json")[&0]);
    assert_eq!(summary["quality/kl_mean"], record["quality"]["kl_mean"]);
    assert_eq!(summary["cache/ratio"], record["cache"]["ratio"]);
    let stored: Value = serde_json::from_slice(&server.stored()["record.json"]).unwrap();
    assert_eq!(stored, record);
    assert!(server.file("output.log").len() > 5);
    let end = server.streamed().pop().unwrap();
    assert_eq!(
        (&end["complete"], &end["exitcode"]),
        (&true.into(), &0.into())
    );
    assert!(stderr(&tracked).contains("/ent/cache/runs/run00001"));
    let all = stderr(&tracked) + &String::from_utf8_lossy(&tracked.stdout);
    assert!(!all.contains(KEY));

    // Tracking changes nothing of what is measured.
    let plain = eval(dir.path(), &[], &["--budget", "0.5"]);
    let mut plain: Value = serde_json::from_slice(&plain.stdout).unwrap();
    let mut record = record;
    for timed in [&mut plain, &mut record] {
        timed["speed"] = Value::Null;
        timed["reference"]["speed"] = Value::Null;
    }
    assert_eq!(plain, record);
}

#[test]
fn a_failed_evaluation_is_a_failed_run() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::default());
    let vars = [
        ("WANDB_BASE_URL", server.url.as_str()),
        ("WANDB_API_KEY", KEY),
    ];
    let failed = eval(dir.path(), &vars, &["--wandb", "--budget", "0.0001"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = stderr(&failed);
    // Before the server is waited for, and once.
    let (error, note) = (said.find("error: "), said.find("note: W&B"));
    assert!(error.is_some() && error < note, "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    until("the end", || !server.streamed().is_empty());
    assert_eq!(server.streamed().pop().unwrap()["exitcode"], 1);
    let lines = server.file("output.log");
    assert!(
        lines
            .values()
            .any(|line| line.starts_with("ERROR ") && line.contains("error: "))
    );
}

#[test]
fn an_evaluation_does_not_fail_with_its_tracking() {
    let dir = tempfile::tempdir().unwrap();
    let refusing = Server::failing(|_, _| {
        Some(super::server::Fault {
            status: 401,
            ..Default::default()
        })
    });
    let vars = [
        ("WANDB_BASE_URL", refusing.url.as_str()),
        ("WANDB_API_KEY", KEY),
    ];
    let output = eval(dir.path(), &vars, &["--wandb", "online"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("wandb sync"),
        "{}",
        stderr(&output)
    );
    let _: Value = serde_json::from_slice(&output.stdout).unwrap();

    std::fs::write(dir.path().join("file"), "").unwrap();
    let output = eval(
        dir.path(),
        &[("WANDB_DIR", "file")],
        &["--wandb", "offline"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nothing is tracked"),
        "{}",
        stderr(&output)
    );

    let output = eval(dir.path(), &[], &["--wandb", "sometimes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("online, offline or disabled"));
}

#[test]
fn a_killed_evaluation_leaves_a_file_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    // Long enough that it does not end before it is killed.
    let license = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE");
    let text = std::fs::read_to_string(license).unwrap().repeat(40);
    std::fs::write(dir.path().join("long.txt"), text).unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny-llama");
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartkv"));
    command
        .args([
            "eval", "--wandb", "offline", "--model", model, "--text", "long.txt",
        ])
        .args(["--no-needle", "--windows", "all", "--prefill-tokens", "40"])
        .args(["--score-tokens", "8", "--attention-error"])
        .current_dir(dir.path())
        .env_clear()
        .env("WANDB_RUN_ID", "run00001")
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let file = || {
        let folder = std::fs::read_dir(dir.path().join("wandb"))
            .ok()?
            .next()?
            .ok()?
            .path();
        Some(folder.join("run-run00001.wandb")).filter(|file| file.is_file())
    };
    until("the file of the run", || {
        file().is_some_and(|file| std::fs::metadata(file).is_ok_and(|file| file.len() > 500))
    });
    child.kill().unwrap();
    assert!(
        !child.wait().unwrap().success(),
        "it was killed before it ended"
    );
    let mut reader = SpoolReader::open(&file().unwrap()).unwrap();
    let mut kinds = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        kinds.extend(Record::decode(record.as_slice()).unwrap().kind);
    }
    assert!(kinds.iter().any(|kind| matches!(kind, Kind::Run(_))));
    assert!(!kinds.iter().any(|kind| matches!(kind, Kind::Exit(_))));
}

#[test]
fn the_shipped_sweep_varies_flags_that_there_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/wandb/sweep.yaml");
    let sweep: Value = smartkv::config::read_yaml(Path::new(path)).unwrap();
    let command = serde_json::json!([
        "${env}",
        "smartkv",
        "eval",
        "--wandb",
        "${args_no_boolean_flags}"
    ]);
    assert_eq!(sweep["command"], command);
    let help = Command::new(env!("CARGO_BIN_EXE_smartkv"))
        .args(["eval", "--help"])
        .output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    for name in sweep["parameters"].as_object().unwrap().keys() {
        assert!(help.contains(&format!("--{name} <")), "{name}");
    }
    for strategy in sweep["parameters"]["strategy"]["values"]
        .as_array()
        .unwrap()
    {
        let name = strategy.as_str().unwrap();
        smartkv::config::StrategySpec::resolve(name, &[]).unwrap();
    }
    // The name the summary has it under, as another test finds it there.
    assert_eq!(sweep["metric"]["name"], "quality/kl_mean");
}

#[test]
fn a_sweep_passes_a_warning_of_its_cells_on_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let grid = format!(
        "base:\n  model: {root}/tests/golden/tiny-llama\n  text: {root}/LICENSE-APACHE\n  needle: \
         {{enabled: false}}\n  windows: {{count: 1, prefill: 40, score: 8, seeded: true}}\naxes:\n  \
         strategy: {{u: {{type: uniform, key_bits: 4, value_bits: 4, group_size: 16}}}}\nseeds: 2\n"
    );
    std::fs::write(dir.path().join("grid.yaml"), grid).unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartkv"));
    command
        .args(["sweep", "run", "grid.yaml", "--store", "store"])
        .args(["--wandb", "offline"])
        .current_dir(dir.path())
        .env_clear()
        .env("HOME", dir.path())
        .env("WANDB_DIR", "file");
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let warnings = said.lines().filter(|line| line.starts_with("warning:"));
    let warnings: Vec<_> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{said}");
    assert!(warnings[0].contains("nothing is tracked"), "{said}");
    let cells = std::fs::read_dir(dir.path().join("store/cells")).unwrap();
    assert_eq!(cells.count(), 2, "{said}");
}
