//! Cells, records and stores that are broken.

use crate::program::{finish, json, program, refusal, refused, run};
use crate::study::{Study, base, files};
use serde_json::{Value, json};
use std::fs;

/// One cell that works and one whose budget its strategy cannot hold.
fn half_broken() -> Study {
    Study::new(&format!(
        "{}  strategy: smartkv\naxes: {{budget: [0.6, 0.01]}}\n",
        base(1, 8)
    ))
}

#[test]
fn a_failure_is_a_record_and_retried_on_request() {
    let study = half_broken();
    let first = study.sweep("run", &[]);
    assert_eq!(first.code, 1);
    assert!(first.stderr.contains("FAILED (budget)"), "{}", first.stderr);
    assert!(
        first.stderr.contains("hint: `smartkv sweep retry study`"),
        "{}",
        first.stderr
    );
    assert_eq!(study.records().len(), 1);
    let failed = || {
        let files = files(&study.store.join("failed"));
        serde_json::from_str::<Value>(files.values().next().unwrap()).unwrap()
    };
    assert_eq!(
        (&failed()["class"], &failed()["attempts"]),
        (&"budget".into(), &1.into())
    );
    // Not again unless told.
    let again = study.sweep("run", &["--json"]);
    assert_eq!(again.code, 1);
    assert_eq!(failed()["attempts"], 1);
    assert_eq!(study.sweep("retry", &[]).code, 1);
    assert_eq!(failed()["attempts"], 2);
    let status = run(&["sweep", "status", "study", "--store", study.store()]);
    assert!(
        status
            .stdout
            .contains("failed (budget, 2 times): budget=0.01"),
        "{}",
        status.stdout
    );
    let cell = run(&[
        "cell",
        "--plan",
        "study",
        "--index",
        "1",
        "--store",
        study.store(),
    ]);
    assert!(
        cell.code == 1 && cell.stderr.contains("budget"),
        "{}",
        cell.stderr
    );
}

#[test]
fn a_damaged_record_is_put_aside_and_run_again() {
    let study = Study::small();
    assert_eq!(study.sweep("run", &[]).code, 0);
    let whole = study.records();
    let names: Vec<&String> = whole.keys().collect();
    let path = |index: usize| study.store.join("cells").join(names[index]);
    // Cut short; one digit changed; another cell's record.
    fs::write(path(0), &whole[names[0]][..whole[names[0]].len() / 2]).unwrap();
    let mut record: Value = serde_json::from_str(&whole[names[1]]).unwrap();
    let kl = record["result"]["quality"]["kl_mean"].as_f64().unwrap();
    record["result"]["quality"]["kl_mean"] = (kl / 2.0).into();
    fs::write(path(1), record.to_string()).unwrap();
    fs::write(path(2), &whole[names[3]]).unwrap();
    let status = json(&run(&[
        "sweep",
        "status",
        "study",
        "--store",
        study.store(),
        "--json",
    ]));
    assert_eq!(
        (&status["plans"][0]["damaged"], &status["plans"][0]["done"]),
        (&3.into(), &1.into())
    );
    assert_eq!(study.sweep("run", &[]).code, 0);
    assert_eq!(study.records(), whole);
    assert_eq!(
        fs::read_dir(study.store.join("quarantine"))
            .unwrap()
            .count(),
        3
    );
}

#[test]
fn records_of_another_version_are_kept_and_not_mixed() {
    let study = Study::small();
    assert_eq!(study.sweep("run", &[]).code, 0);
    let record = study.records().into_values().next().unwrap();
    let mut old: Value = serde_json::from_str(&record).unwrap();
    old["schema"] = "smartkv.cell/0".into();
    let path = study
        .store
        .join("cells/00000000000000000000000000000000.json");
    fs::write(&path, old.to_string()).unwrap();
    let status = run(&["sweep", "status", "--store", study.store()]);
    assert!(
        status.stdout.contains("1 records of schema smartkv.cell/0"),
        "{}",
        status.stdout
    );
    assert_eq!(study.sweep("run", &[]).code, 0);
    let args = ["sweep", "gc", "--store", study.store(), "--json"];
    json(&run(&args));
    assert!(path.exists());
}

#[test]
fn rubbish_goes_and_records_stay() {
    let study = Study::small();
    assert_eq!(study.sweep("run", &[]).code, 0);
    let records = study.records();
    let half = study.store.join("cells/.tmpAbC123");
    fs::write(&half, "{").unwrap();
    let other = "{\"schema\":\"smartkv.cell/1\"}";
    fs::write(
        study
            .store
            .join("cells/0123456789abcdef0123456789abcdef.json"),
        other,
    )
    .unwrap();
    let gc = |more: &[&str]| {
        let args = [&["sweep", "gc", "--store", study.store(), "--json"], more].concat();
        json(&run(&args))["paths"].as_array().unwrap().len()
    };
    // One that is being written stays.
    let first = gc(&["--dry-run"]);
    let file = fs::File::options().append(true).open(&half).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(gc(&["--dry-run"]), first + 1);
    let first = first + 1;
    assert!(study.store.join("cells/.tmpAbC123").exists());
    assert_eq!(gc(&[]), first);
    assert!(!study.store.join("cells/.tmpAbC123").exists());
    assert_eq!(gc(&["--unplanned"]), 1);
    assert_eq!(study.records(), records);
    assert_eq!(gc(&["--unplanned"]), 0);
}

#[test]
fn an_input_that_changed_fails_the_cell() {
    let study = Study::small();
    let text = study.folder.path().join("text.txt");
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE"),
        &text,
    )
    .unwrap();
    let grid = fs::read_to_string(&study.grid).unwrap();
    fs::write(
        &study.grid,
        grid.replace("LICENSE-APACHE", text.to_str().unwrap()),
    )
    .unwrap();
    json(&study.sweep("plan", &["--json"]));
    fs::write(&text, "other words ".repeat(2000)).unwrap();
    let args = [
        "cell",
        "--plan",
        "study",
        "--index",
        "0",
        "--store",
        study.store(),
    ];
    let failed = run(&args);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("has SHA-256"), "{}", failed.stderr);
    // Nothing of it is a record, and what is planned now is another cell.
    assert!(study.records().is_empty());
    assert_eq!(study.sweep("run", &[]).code, 0);
    assert_eq!(study.records().len(), 4);
}

#[test]
fn a_store_that_cannot_be_is_refused() {
    let study = Study::small();
    fs::write(&study.store, "a file").unwrap();
    let run = study.sweep("run", &[]);
    assert_eq!(run.code, 74);
    assert!(run.stderr.contains("cannot make"), "{}", run.stderr);
    refused(
        1,
        &["sweep", "status", "--store", "/nowhere/at/all"],
        &["has no plan"],
    );
    refused(
        1,
        &["cell", "x", "--store", "/nowhere/at/all"],
        &["`x` is no cell id"],
    );
    let id = "0123456789abcdef0123456789abcdef";
    refused(
        1,
        &["cell", id, "--store", "/nowhere/at/all"],
        &[id, "is not in the store"],
    );
    refused(
        1,
        &["cell", "--plan", "p", "--index", "0", "--store", "/nowhere"],
        &["plan `p`"],
    );
}

#[test]
fn a_place_beyond_the_plan_is_refused() {
    let study = Study::small();
    json(&study.sweep("plan", &["--json"]));
    let args = [
        "cell",
        "--plan",
        "study",
        "--index",
        "4",
        "--store",
        study.store(),
    ];
    refused(1, &args, &["cell `4`", "has 4 cells"]);
}

/// A shell refuses every file beyond a few blocks, as a full disk would.
#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let study = Study::small();
    json(&study.sweep("plan", &["--json"]));
    let mut command = std::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-c", script]);
    command.arg(env!("CARGO_BIN_EXE_smartkv"));
    command.args([
        "cell",
        "--plan",
        "study",
        "--index",
        "0",
        "--store",
        study.store(),
    ]);
    let full = finish(command);
    assert_eq!(full.code, 74, "{}", full.stderr);
    assert!(
        full.stderr.contains("cannot write") && full.stderr.contains("hint:"),
        "{}",
        full.stderr
    );
    assert!(study.records().is_empty());
    assert_eq!(study.sweep("run", &[]).code, 0);
    assert_eq!(study.records().len(), 4);
}

#[test]
fn a_plan_that_is_written_anew_does_not_disturb_a_run() {
    let study = Study::new(&format!(
        "{}axes: {{strategy: {{{}, {}}}}}\nseeds: 6\n",
        base(4, 16),
        crate::study::uniform(4),
        crate::study::uniform(2)
    ));
    let args = ["sweep", "run", study.grid(), "--store", study.store()];
    let mut running = program(&args)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while study.records().is_empty() {
        assert!(
            running.try_wait().unwrap().is_none(),
            "it ended with no record"
        );
    }
    let grid = fs::read_to_string(&study.grid).unwrap();
    fs::write(&study.grid, grid.replace("seeds: 6", "seeds: 1")).unwrap();
    while running.try_wait().unwrap().is_none() {
        study.sweep("plan", &[]);
    }
    assert!(running.wait().unwrap().success());
    assert!(!study.store.join("failed").read_dir().unwrap().any(|_| true));
    assert_eq!(study.records().len(), 12);
}

#[test]
fn two_runners_try_a_failing_cell_once() {
    let study = half_broken();
    let args = ["sweep", "run", study.grid(), "--store", study.store()];
    let spawn = || {
        program(&args)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut child in [spawn(), spawn()] {
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
    let failed = files(&study.store.join("failed"));
    let failure: Value = serde_json::from_str(failed.values().next().unwrap()).unwrap();
    assert_eq!(failure["attempts"], 1);
}

#[test]
fn plans_do_not_take_each_others_names() {
    let study = Study::small();
    json(&study.sweep("plan", &["--json"]));
    let other = study.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let same = other.join("study.yaml");
    fs::copy(&study.grid, &same).unwrap();
    let args = [
        "sweep",
        "plan",
        same.to_str().unwrap(),
        "--store",
        study.store(),
    ];
    refused(
        1,
        &args,
        &["has a plan `study` of", "hint: give the file another name"],
    );
    // What is changed from the command line is another plan, and can be named.
    let changed = json(&study.sweep("run", &["--set", "seeds=1", "--json"]));
    let name = changed["plan"].as_str().unwrap();
    assert!(name.starts_with("study.set-"), "{name}");
    let again = json(&run(&[
        "sweep",
        "retry",
        name,
        "--store",
        study.store(),
        "--json",
    ]));
    assert_eq!(again["summary"]["cached"], 2);
    assert_eq!(
        json(&study.sweep("run", &["--json"]))["summary"]["total"],
        4
    );
}

#[test]
fn plans_of_another_version_are_left_alone() {
    let study = Study::small();
    assert_eq!(study.sweep("run", &[]).code, 0);
    fs::write(
        study.store.join("plans/old.json"),
        "{\"schema\": \"smartkv.plan/9\"}",
    )
    .unwrap();
    let status = run(&["sweep", "status", "--store", study.store()]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(
        status.stderr.contains("smartkv.plan/9"),
        "{}",
        status.stderr
    );
    // What it names is not known, so nothing may be called unplanned.
    refused(
        1,
        &["sweep", "gc", "--unplanned", "--store", study.store()],
        &["plan `old`"],
    );
    assert_eq!(run(&["sweep", "gc", "--store", study.store()]).code, 0);
}

#[test]
fn jobs_and_threads_must_be() {
    let study = Study::small();
    let error = refusal(&study.sweep("run", &["--jobs", "0"]));
    assert!(error.contains("--jobs 0"), "{error}");
}

#[test]
fn clocks_do_not_matter() {
    let study = Study::small();
    assert_eq!(study.sweep("run", &[]).code, 0);
    for (name, _) in study.records() {
        let path = study.store.join("cells").join(name);
        let file = fs::File::options().append(true).open(&path).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        file.set_modified(long_ago).unwrap();
    }
    let again = json(&study.sweep("run", &["--json"]));
    assert_eq!(
        again["summary"],
        json!({"total": 4, "cached": 4, "done": 0, "failed": 0,
        "failed_before": 0})
    );
    let _ = program(&[]);
}
