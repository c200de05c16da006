//! Defaults < file < environment < flags.

use crate::program::{file, finish, json, program, quick, refusal};
use serde_json::{Value, json as value};
use tempfile::tempdir;

/// The record of a quick evaluation with these settings.
fn eval(config: Option<&str>, env: &[(&str, &str)], flags: &[&str]) -> Value {
    let dir = tempdir().unwrap();
    let path = config.map(|text| file(dir.path(), "eval.yaml", text));
    let mut args = quick(&["--json"]);
    args.extend(path.iter().flat_map(|path| ["--config", path]));
    args.extend(flags);
    let mut command = program(&args);
    command.envs(env.iter().copied());
    json(&finish(command))
}

#[test]
fn flags_win_over_the_environment_and_that_over_files() {
    let config = Some("strategy: smartkv\nbudget: 0.7\nseed: 3\n");
    let env = [("SMARTKV_BUDGET", "0.6"), ("SMARTKV_SEED", "4")];
    let flags = ["--budget", "0.8", "--seed", "5"];
    for (record, budget, seed) in [
        (eval(None, &[], &[]), 0.5, 0),
        (eval(config, &[], &[]), 0.7, 3),
        (eval(config, &env, &[]), 0.6, 4),
        (eval(None, &env, &[]), 0.6, 4),
        (eval(config, &env, &flags), 0.8, 5),
        (eval(config, &[], &flags), 0.8, 5),
    ] {
        assert_eq!(record["budget"], budget);
        assert_eq!(record["protocol"]["seed"], seed);
    }
}

#[test]
fn a_strategy_may_stand_in_a_file_and_be_changed_by_flags() {
    let config = Some("strategy:\n  type: smartkv\n  window: 24\n  sinks: 2\n");
    let record = eval(config, &[], &["--set", "sinks=3"]);
    assert_eq!(record["config"]["window"], 24);
    assert_eq!(record["config"]["sinks"], 3);
    let record = eval(config, &[("SMARTKV_STRATEGY", "f16")], &[]);
    assert_eq!(record["strategy"], "f16");
    let record = eval(config, &[("SMARTKV_STRATEGY", "f16")], &["-s", "smartkv"]);
    assert_ne!(record["config"]["window"], 24);
}

#[test]
fn files_set_windows_and_flags_change_them() {
    // The quick evaluation gives all three as flags.
    let config = Some("windows: {count: 9, prefill: 9, score: 9}\nneedle: {lengths: [9]}\n");
    let protocol = eval(config, &[], &[])["protocol"].clone();
    assert_eq!(protocol["windows_asked"], 2);
    assert_eq!(protocol["prefill_tokens"], 40);
    assert_eq!(protocol["score_tokens"], 8);

    let dir = tempdir().unwrap();
    let text = format!(
        "model: {}\ntext: {}\nwindows: {{count: 1, prefill: 30, score: 5}}\nneedle: {{enabled: false}}\n",
        crate::program::TINY,
        crate::program::TEXT
    );
    let path = file(dir.path(), "eval.yaml", text);
    let record = json(&crate::program::run(&["eval", "--json", "--config", &path]));
    assert_eq!(record["protocol"]["windows"], 1);
    assert_eq!(record["quality"]["tokens"], 5);
    assert_eq!(record["tasks"], value!({}));
}

#[test]
fn all_windows_stand_end_to_end() {
    let dir = tempdir().unwrap();
    let start = std::fs::read_to_string(crate::program::TEXT).unwrap()[..900].to_owned();
    let text = file(dir.path(), "text.txt", start);
    let small = [
        "--prefill-tokens",
        "30",
        "--score-tokens",
        "5",
        "--text",
        &text,
    ];
    let in_file = eval(Some("windows: {count: all}\n"), &[], &[]);
    // The quick evaluation gives a number as a flag, which wins.
    assert_eq!(in_file["protocol"]["windows_asked"], 2);

    let path = file(
        dir.path(),
        "eval.yaml",
        "windows: {count: all}\nneedle: {enabled: false}\n",
    );
    let model = [
        "eval",
        "--json",
        "--model",
        crate::program::TINY,
        "-s",
        "f16",
    ];
    let by_file = [&model[..], &small, &["--config", &path]].concat();
    let by_flag = [&model[..], &small, &["--no-needle", "--windows", "all"]].concat();
    for arguments in [by_file, by_flag] {
        let record = json(&crate::program::run(&arguments));
        let protocol = &record["protocol"];
        assert_eq!(protocol["windows_asked"], "all");
        let fitting = protocol["text_tokens"].as_u64().unwrap() / 36;
        assert!(fitting > 2);
        assert_eq!(protocol["windows"], fitting);
        let windows = record["samples"]["windows"].as_array().unwrap();
        for (index, window) in windows.iter().enumerate() {
            assert_eq!(window["start"], 36 * index);
        }
    }
}

#[test]
fn a_strategy_file_is_named_after_its_file() {
    let dir = tempdir().unwrap();
    let path = file(
        dir.path(),
        "mine.yaml",
        "type: uniform\ngroup_size: 16\nkey_bits: 4\n",
    );
    let record = eval(None, &[], &["--strategy", &path]);
    assert_eq!(record["strategy"], "mine");
    assert_eq!(record["config"]["key_bits"], 4);
}

#[test]
fn a_wrong_variable_is_refused_like_a_wrong_flag() {
    for (name, text, code, expected) in [
        ("BUDGET", "abc", 1, "budget abc: expected a share"),
        ("STRATEGY", "smartk", 1, "did you mean `smartkv`?"),
        ("PROTOCOL", "nonsense", 2, "protocol `nonsense`: unknown"),
        ("SEED", "x", 2, "'x'"),
        ("THREADS", "0", 1, "expected at least 1"),
    ] {
        let mut command = program(&quick(&[]));
        command.env(format!("SMARTKV_{name}"), text);
        let run = finish(command);
        let message = refusal(&run);
        assert_eq!(run.code, code, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
