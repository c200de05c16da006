//! The scripts that jobs run, run as Slurm would: by a shell, with its variables.

use crate::fake::Fake;
use crate::program::json;
use crate::study::{Study, base, files, uniform};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A script with the variables of task `index`.
fn script(fake: &Fake, name: &str, index: usize) -> Command {
    let folder = fake.study.store.join("submissions").join(plan(fake));
    let mut command = Command::new("sh");
    command
        .arg(folder.join(name))
        .arg(folder.join("0.cells"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SLURM_ARRAY_TASK_ID", index.to_string())
        .env("SLURM_CPUS_ON_NODE", "1")
        .env_remove("SMARTKV_THREADS")
        .stdin(Stdio::null());
    command
}

fn plan(fake: &Fake) -> String {
    let stem = fake.study.grid.file_stem().unwrap();
    stem.to_str().unwrap().to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn tasks_run_the_cells_of_their_list_and_the_last_job_tells() {
    let mut study = Study::small();
    let folder = study.folder.path().join("it's \"mine\", $HOME");
    fs::create_dir(&folder).unwrap();
    let grid = folder.join("a plan.yaml");
    fs::rename(&study.grid, &grid).unwrap();
    (study.grid, study.store) = (grid, folder.join("st ore"));
    let fake = Fake::new(study);
    json(&fake.run(&["--json"]));
    let store = fake.study.store.clone();
    let tracked = tempfile::tempdir().unwrap();
    for index in [2, 0, 1] {
        let mut task = script(&fake, "cell.sh", index);
        task.env("WANDB_MODE", "offline")
            .env("WANDB_RUN_ID", "shared")
            .env("WANDB_DIR", tracked.path());
        let output = task.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let list = fs::read_to_string(store.join("submissions/a plan/0.cells")).unwrap();
        let handed: Value = serde_json::from_str(list.lines().nth(index).unwrap()).unwrap();
        let id = handed["cell"]["id"].as_str().unwrap();
        assert!(store.join(format!("cells/{id}.json")).is_file());
        let facts = fs::read_to_string(store.join(format!("runs/{id}.json"))).unwrap();
        assert!(facts.contains("\"threads\": 1"), "{facts}");
    }
    // A run each, whatever name was meant for one.
    let runs = fs::read_dir(tracked.path().join("wandb")).unwrap();
    let runs: Vec<_> = runs.map(|run| run.unwrap().file_name()).collect();
    let own = |run: &&std::ffi::OsString| {
        let run = run.to_string_lossy();
        run.starts_with("offline-run-") && !run.ends_with("shared")
    };
    assert_eq!(runs.iter().filter(own).count(), 3, "{runs:?}");
    // The fourth cell is task 0 of the second list.
    let output = script(&fake, "collect.sh", 0).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("1 of 4 cells of `a plan` have no record"));
    let beyond = script(&fake, "cell.sh", 3).output().unwrap();
    assert_eq!(beyond.status.code(), Some(1), "{}", stderr(&beyond));

    let alone = Study::small();
    assert_eq!(alone.sweep("run", &[]).code, 0);
    let mut expected = alone.records();
    expected.retain(|name, _| fake.study.records().contains_key(name));
    assert_eq!(fake.study.records(), expected);
    assert_eq!(expected.len(), 3);
}

#[test]
fn a_task_that_is_told_to_stop_keeps_its_windows_and_goes_on() {
    let text = Study::new("").folder;
    let long = text.path().join("long.txt");
    let licence = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE"));
    fs::write(&long, licence.unwrap().repeat(6)).unwrap();
    let grid = format!("{}axes: {{strategy: {{{}}}}}\n", base(600, 32), uniform(4))
        .replace("LICENSE-APACHE", long.to_str().unwrap());
    let fake = Fake::new(Study::new(&grid));
    let whole = Study::new(&grid);
    assert_eq!(whole.sweep("run", &[]).code, 0);
    json(&fake.run(&["--json", "--threads", "1"]));
    let journals = fake.study.store.join("journals");
    let windows = || {
        let folders = fs::read_dir(&journals).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        files
            .map(|file| fs::read_to_string(file.path()).unwrap_or_default())
            .collect::<String>()
    };
    let mut task = script(&fake, "cell.sh", 0);
    let task = task
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..1000 {
        if windows().matches('\n').count() > 5 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // Slurm tells the shell, and not what it runs.
    let told = Command::new("kill")
        .args(["-TERM", &task.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    let output = task.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("stopped by Slurm"),
        "{}",
        stderr(&output)
    );
    assert!(fake.study.records().is_empty());
    assert!(files(&fake.study.store.join("failed")).is_empty());
    let mut kept = windows();
    // A line may have been cut short.
    kept.truncate(kept.rfind('\n').map_or(0, |end| end + 1));
    assert!(kept.matches('\n').count() > 5);
    // Its second attempt adds to them.
    let mut again = script(&fake, "cell.sh", 0);
    let again = again.stdout(Stdio::null()).spawn().unwrap();
    let mut resumed = false;
    for _ in 0..10_000 {
        if resumed {
            break;
        }
        let now = windows();
        // The journal goes once the record is there, and is never shorter before.
        let done = !fake.study.records().is_empty();
        assert!(!done, "no window was seen before the record");
        assert!(now.starts_with(&kept), "windows are run again");
        resumed = now.len() > kept.len();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(resumed, "no window was added");
    assert!(again.wait_with_output().unwrap().status.success());
    assert_eq!(fake.study.records(), whole.records());
}
