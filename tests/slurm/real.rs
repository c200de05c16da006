//! On a real Slurm: `.ci/slurm` starts one and sets `SMARTKV_TEST_SLURM`; without, nothing is run.
//! It allows arrays of four tasks.

use crate::program::{finish, json, program};
use crate::study::{Study, base, uniform};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than anything here should take; a Slurm that hangs fails the test.
const PATIENCE: Duration = Duration::from_secs(150);

/// Whether there is a Slurm to test with.
fn enabled() -> bool {
    let enabled = std::env::var_os("SMARTKV_TEST_SLURM").is_some_and(|value| value == "1");
    if !enabled {
        eprintln!("skipped: SMARTKV_TEST_SLURM is not set; `.ci/slurm` starts a Slurm and sets it");
    }
    enabled
}

fn slurm(tool: &str, args: &[&str]) -> String {
    let output = Command::new(tool).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `done`.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        let queue = || slurm("squeue", &["--array"]);
        assert!(
            begin.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}\n{}",
            queue()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until nothing is queued.
fn drained() {
    until("an empty queue", || {
        slurm("squeue", &["--noheader", "--array"]).is_empty()
    });
}

fn submit(study: &Study, more: &[&str]) -> Value {
    let slurm = ["--launcher", "slurm", "--threads", "1", "--json"];
    json(&study.sweep("run", &[&slurm[..], more].concat()))
}

/// Cells that take some seconds, on a text of their own.
fn long(cells: &str) -> Study {
    let study = Study::new("");
    let text = study.folder.path().join("long.txt");
    let licence = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE"));
    fs::write(&text, licence.unwrap().repeat(6)).unwrap();
    let grid = format!("{}{cells}", base(600, 32));
    let grid = grid.replace("LICENSE-APACHE", text.to_str().unwrap());
    fs::write(&study.grid, grid).unwrap();
    study
}

/// The same grid, run here.
fn local(study: &Study) -> Study {
    let local = Study::new(&fs::read_to_string(&study.grid).unwrap());
    assert_eq!(local.sweep("run", &["--jobs", "2"]).code, 0);
    local
}

fn log(study: &Study, name: &str) -> String {
    fs::read_to_string(study.store.join("logs/study").join(name)).unwrap_or_default()
}

/// What every test begins with: jobs of an earlier one would be seen under the same name.
macro_rules! on_slurm {
    () => {
        if !enabled() {
            return;
        }
        drained();
    };
}

#[test]
fn a_sweep_is_arrays_throttled_and_collected() {
    on_slurm!();
    let grid = format!(
        "{}axes: {{strategy: {{{}, {}, smartkv: smartkv}}}}\nseeds: 2\n",
        base(2, 8),
        uniform(4),
        uniform(2)
    );
    let study = Study::new(&grid);
    let done = submit(
        &study,
        &["--wait", "--array-parallelism", "1", "--", "--mem=200"],
    );
    assert_eq!(done["arrays"][0]["places"], "0-3");
    assert_eq!(done["arrays"][1]["places"], "4-5");
    assert_eq!(done["after"]["done"], 6);
    // What Slurm remembers of them.
    let job = |index: usize| done["arrays"][index]["job"].as_str().unwrap();
    let shown = slurm("scontrol", &["show", "job", job(0)]);
    for part in [
        "ArrayTaskThrottle=1",
        "Requeue=1",
        "JobName=smartkv-study",
        "MinMemoryNode=200M",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert_eq!(study.records(), local(&study).records());
    // The last job tells.
    drained();
    let collect = done["collect"].as_str().unwrap();
    let told = log(&study, &format!("collect-{collect}.log"));
    assert!(told.contains(" study       6      6 "), "{told}");
    let shown = slurm("scontrol", &["show", "job", collect]);
    assert!(shown.contains("JobState=COMPLETED"), "{shown}");
    assert!(log(&study, &format!("{}_1.log", job(1))).ends_with(" done\n"));
    // Nothing is left, and nothing is submitted.
    let again = submit(&study, &[]);
    assert_eq!(
        (&again["arrays"], &again["collect"]),
        (&Value::Array(vec![]), &Value::Null)
    );
}

#[test]
fn a_task_that_was_cancelled_is_submitted_again_and_alone() {
    on_slurm!();
    let study = long(&format!(
        "axes: {{strategy: {{{}, {}, smartkv: smartkv}}}}\n",
        uniform(4),
        uniform(2)
    ));
    let first = submit(&study, &["--array-parallelism", "1"]);
    let job = first["arrays"][0]["job"].as_str().unwrap();
    // While all of it is queued nothing is submitted twice.
    let again = submit(&study, &[]);
    assert_eq!(again["arrays"], Value::Array(vec![]));
    assert_eq!(again["before"]["missing"], 0);
    slurm("scancel", &[&format!("{job}_1")]);
    drained();
    assert_eq!(study.records().len(), 2);
    let collect = first["collect"].as_str().unwrap();
    let told = log(&study, &format!("collect-{collect}.log"));
    assert!(
        told.contains("1 of 3 cells of `study` have no record"),
        "{told}"
    );
    let shown = slurm("scontrol", &["show", "job", collect]);
    assert!(
        shown.contains("JobState=FAILED") && shown.contains("ExitCode=1:0"),
        "{shown}"
    );

    let rest = submit(&study, &["--wait"]);
    assert_eq!(rest["before"]["lost"], 1);
    assert_eq!(rest["arrays"].as_array().unwrap().len(), 1);
    assert_eq!(rest["arrays"][0]["places"], "1");
    assert_eq!(study.records(), local(&study).records());
}

#[test]
fn a_requeued_task_goes_on_at_its_window() {
    on_slurm!();
    let study = long(&format!("axes: {{strategy: {{{}}}}}\n", uniform(4)));
    let submitted = submit(&study, &[]);
    let job = submitted["arrays"][0]["job"].as_str().unwrap();
    let journal = || {
        let cells = fs::read_dir(study.store.join("journals"))
            .into_iter()
            .flatten()
            .flatten();
        let files =
            cells.flat_map(|cell| fs::read_dir(cell.path()).into_iter().flatten().flatten());
        files
            .map(|file| fs::read_to_string(file.path()).unwrap_or_default())
            .collect::<String>()
    };
    until("some windows", || journal().matches('\n').count() > 10);
    slurm("scontrol", &["requeue", &format!("{job}_0")]);
    let log_name = format!("{job}_0.log");
    until("the task to stop", || {
        log(&study, &log_name).contains("stopped by Slurm")
    });
    let mut kept = journal();
    // A line may have been cut short.
    kept.truncate(kept.rfind('\n').map_or(0, |end| end + 1));
    assert!(kept.matches('\n').count() > 10 && study.records().is_empty());
    // It waits in the queue as before: it is not submitted a second time.
    let again = submit(&study, &[]);
    assert_eq!(again["arrays"], Value::Array(vec![]), "{again}");
    let mut resumed = false;
    until("a record", || {
        let now = journal();
        let done = !study.records().is_empty();
        // The journal goes once the record is there, and is never shorter before.
        assert!(
            done || now.starts_with(kept.as_str()),
            "windows are run again"
        );
        resumed |= now.len() > kept.len();
        done
    });
    assert!(resumed, "no window was seen after the requeue");
    drained();
    let shown = slurm("scontrol", &["show", "job", &format!("{job}_0")]);
    assert!(shown.contains("Restarts=1"), "{shown}");
    assert!(log(&study, &log_name).ends_with(" done\n"));
    assert_eq!(study.records(), local(&study).records());
}

#[test]
fn a_task_that_is_killed_is_missing_and_goes_on() {
    on_slurm!();
    let study = long(&format!("axes: {{strategy: {{{}}}}}\n", uniform(4)));
    let submitted = submit(&study, &[]);
    let job = submitted["arrays"][0]["job"].as_str().unwrap();
    until("some windows", || {
        study.store.join("journals").is_dir()
            && fs::read_dir(study.store.join("journals"))
                .unwrap()
                .next()
                .is_some()
    });
    // Killed without a word, as by a limit of memory.
    slurm("scancel", &["--full", "--signal=KILL", &format!("{job}_0")]);
    drained();
    let mut status = program(&["sweep", "status", "--check", "study", "--json"]);
    status.env("SMARTKV_STORE", study.store());
    let status = finish(status);
    assert_eq!(status.code, 1);
    let object: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (
            &object["plans"][0]["missing"],
            &object["plans"][0]["failed"]
        ),
        (&1.into(), &0.into())
    );
    let end = submit(&study, &["--wait"]);
    assert_eq!(
        (&end["before"]["lost"], &end["after"]["done"]),
        (&1.into(), &1.into())
    );
    assert_eq!(study.records(), local(&study).records());
}
