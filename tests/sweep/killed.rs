//! Runs that are killed at any moment.
#![cfg(unix)]

use crate::program::{json, program, run};
use crate::study::{Study, base, uniform};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Long enough that most kills hit a cell at work.
fn study() -> Study {
    Study::new(&format!(
        "{}axes: {{strategy: {{{}, smartkv: smartkv}}}}\nseeds: 2\n",
        base(12, 60),
        uniform(4)
    ))
}

/// The sweep in a process group of its own, so that a signal reaches its cells too.
fn start(study: &Study, jobs: &str) -> Child {
    let args = [
        "sweep",
        "run",
        study.grid(),
        "--store",
        study.store(),
        "--jobs",
        jobs,
    ];
    let mut command = program(&args);
    command
        .process_group(0)
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let group = format!("-{}", child.id());
    let status = Command::new("kill").args([name, "--", &group]).status();
    assert!(status.unwrap().success());
}

/// Windows that are safe on the disk: in records, and in journals of cells without one.
fn finished_windows(study: &Study) -> usize {
    let mut count = 0;
    for text in study.records().values() {
        let record: Value = serde_json::from_str(text).unwrap();
        count += record["result"]["samples"]["windows"]
            .as_array()
            .unwrap()
            .len();
    }
    for folder in fs::read_dir(study.store.join("journals"))
        .into_iter()
        .flatten()
    {
        let folder = folder.unwrap().path();
        let id = folder.file_name().unwrap().to_str().unwrap().to_string();
        if study.records().contains_key(&format!("{id}.json")) {
            continue;
        }
        for journal in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(journal.unwrap().path()).unwrap();
            count += text.matches('\n').count();
        }
    }
    count
}

#[test]
fn killed_at_any_moment_it_goes_on_at_its_window() {
    let whole = study();
    assert_eq!(whole.sweep("run", &["--jobs", "2"]).code, 0);
    let expected = whole.records();
    let all = finished_windows(&whole);
    assert_eq!(all, 4 * 12);

    let study = study();
    json(&study.sweep("plan", &["--json"]));
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut before = 0;
    for kill in 0..40 {
        let mut child = start(&study, if kill % 2 == 0 { "1" } else { "2" });
        std::thread::sleep(Duration::from_millis(30 + random.next_u64() % 250));
        signal(&child, "-9");
        child.wait().unwrap();
        // Records parse (`records` checks), and nothing that was finished is lost.
        let now = finished_windows(&study);
        assert!(now >= before, "kill {kill}: {before} windows, then {now}");
        before = now;
        if now == all {
            break;
        }
    }
    assert!(before > 0, "40 kills and not one window: was anything run?");
    assert_eq!(study.sweep("run", &[]).code, 0);
    assert_eq!(study.records(), expected);
    // A cell may have been killed between its record and the end of its journal.
    json(&run(&["sweep", "gc", "--store", study.store(), "--json"]));
    assert!(
        fs::read_dir(study.store.join("journals"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn a_cell_that_is_killed_fails_alone() {
    let study = study();
    let child = start(&study, "1");
    // Kill the cell, not the sweep: its only child.
    let mut killed = false;
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(20));
        let parent = child.id().to_string();
        let status = Command::new("pkill")
            .args(["-9", "-P", &parent])
            .status()
            .unwrap();
        if status.success() {
            killed = true;
            break;
        }
    }
    assert!(killed, "no cell was seen");
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(study.records().len(), 3);
    let failed = crate::study::files(&study.store.join("failed"));
    let failure: Value = serde_json::from_str(failed.values().next().unwrap()).unwrap();
    assert_eq!(failure["class"], "killed");
    assert!(failure["message"].as_str().unwrap().contains("signal 9"));
    assert_eq!(study.sweep("retry", &[]).code, 0);
    assert_eq!(study.records().len(), 4);
    assert!(crate::study::files(&study.store.join("failed")).is_empty());
}

#[test]
fn an_interrupted_run_stops_and_goes_on() {
    let study = study();
    json(&study.sweep("plan", &["--json"]));
    let mut child = start(&study, "2");
    std::thread::sleep(Duration::from_millis(700));
    signal(&child, "-INT");
    let code = child.wait().unwrap().code();
    // A fast machine may have finished before.
    assert!(code == Some(130) || study.records().len() == 4, "{code:?}");
    assert_eq!(study.sweep("run", &[]).code, 0);
    assert_eq!(study.records().len(), 4);
    let left = run(&[
        "cell",
        "--plan",
        "study",
        "--list",
        "--store",
        study.store(),
    ]);
    assert_eq!(left.stdout, "");
}
