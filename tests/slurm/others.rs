//! The cell's command under other programs that run commands, as docs/clusters.md has it.

use crate::program::json;
use crate::study::Study;
use std::process::{Command, Stdio};

/// Runs a line of a shell in which `$S` is the program and `$STORE` the store.
fn shell(study: &Study, line: &str) {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("S", env!("CARGO_BIN_EXE_smartkv"))
        .env("SMARTKV_STORE", study.store())
        .env_remove("SMARTKV_THREADS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
}

fn check(line: &str) {
    let alone = Study::small();
    assert_eq!(alone.sweep("run", &[]).code, 0);
    let study = Study::small();
    json(&study.sweep("plan", &["--json"]));
    shell(&study, line);
    assert_eq!(study.records(), alone.records());
    shell(&study, "\"$S\" sweep status --check study");
    // What is done is not listed, and costs nothing when asked for all the same.
    shell(&study, "test -z \"$(\"$S\" cell --plan study --list)\"");
    shell(
        &study,
        "test \"$(\"$S\" cell --plan study --index 2 | cut -d' ' -f2)\" = cached",
    );
}

#[test]
fn xargs_runs_a_plan() {
    check("\"$S\" cell --plan study --list | xargs -n 1 -P 2 \"$S\" cell --plan study --threads 1");
}

#[test]
fn gnu_parallel_runs_a_plan() {
    let version = Command::new("parallel").arg("--version").output();
    let gnu = version.is_ok_and(|v| String::from_utf8_lossy(&v.stdout).contains("GNU parallel"));
    if !gnu {
        eprintln!("skipped: no GNU parallel here");
        return;
    }
    check(
        "\"$S\" cell --plan study --list | parallel --jobs 2 \"$S\" cell --plan study --threads 1",
    );
}

/// As a Kubernetes indexed Job and other arrays do it: a number in a variable.
#[test]
fn a_numbered_variable_runs_a_plan() {
    check(
        "for JOB_COMPLETION_INDEX in 0 1 2 3; do \
           \"$S\" cell --plan=study --index=\"$JOB_COMPLETION_INDEX\" || exit 1; done",
    );
}
