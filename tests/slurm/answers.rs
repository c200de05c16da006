//! What Slurm is asked, and what becomes of its answers.

use crate::fake::{Fake, THREE};
use crate::program::{json, refusal};
use crate::study::{Study, base, uniform};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// Four cells.
fn fake() -> Fake {
    Fake::new(Study::small())
}

fn submissions(fake: &Fake) -> Value {
    let path = fake.study.store.join("submissions/study.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Ids of the cells of a list, which are whole.
fn list(fake: &Fake, number: usize) -> Vec<String> {
    let path = format!("submissions/study/{number}.cells");
    let text = fs::read_to_string(fake.study.store.join(path)).unwrap();
    text.lines().map(id).collect()
}

fn id(line: &str) -> String {
    let handed: Value = serde_json::from_str(line).unwrap();
    handed["cell"]["id"].as_str().unwrap().to_string()
}

fn planned(fake: &Fake) -> Vec<String> {
    let plan = json(&fake.study.sweep("plan", &["--json"]));
    let cells = plan["cells"].as_array().unwrap();
    cells
        .iter()
        .map(|cell| cell["id"].as_str().unwrap().to_string())
        .collect()
}

#[test]
fn a_dry_run_prints_what_would_be_submitted() {
    let fake = fake();
    let more = ["--dry-run", "--array-parallelism", "2"];
    let told = fake.run(&[&more[..], &["--", "--partition=gpu", "--comment=two words"]].concat());
    assert_eq!(told.code, 0, "{}", told.stderr);
    for part in [
        "--array=0-2%2",
        "--array=0%2",
        "--requeue",
        "--signal=B:TERM@60",
        "--partition=gpu '--comment=two words'",
        "places 0-2",
        "--dependency=afterany:$JOB1:$JOB2",
        "sweep status --check",
    ] {
        assert!(told.stdout.contains(part), "no `{part}` in {}", told.stdout);
    }
    let object = json(&fake.run(&["--dry-run", "--json"]));
    assert_eq!(object["before"]["missing"], 4);
    assert_eq!(object["dry_run"], true);
    let commands = object["commands"].as_array().unwrap();
    assert_eq!(commands.len(), 3);
    assert_eq!(commands[0][0], "sbatch");
    // Nothing was submitted and nothing made.
    assert!(fake.calls().is_empty());
    assert!(!fake.study.store.exists());
}

#[test]
fn missing_cells_are_tasks_and_are_remembered() {
    let fake = fake();
    let first = json(&fake.run(&["--json", "--", "--time=60"]));
    assert_eq!(first["arrays"][0]["job"], "101");
    assert_eq!(first["arrays"][1]["places"], "3");
    assert_eq!(first["collect"], "103");
    let calls = fake.calls();
    assert!(calls[0].contains("--array=0-2 ") && calls[1].contains("--array=0 "));
    assert!(calls.iter().all(|call| call.contains("--time=60")));
    assert!(
        calls[2].contains("--dependency=afterany:101:102 "),
        "{}",
        calls[2]
    );
    let ids = planned(&fake);
    assert_eq!([list(&fake, 0), list(&fake, 1)].concat(), ids);

    // The second cell waits and the fourth runs; the others are gone without a record.
    fake.queue("101|1|PENDING|Priority\\n102|0|RUNNING|None\\n103|N/A|PENDING|Dependency\\n");
    let again = json(&fake.run(&["--json"]));
    let before = json!({"cells": 4, "done": 0, "running": 1, "waiting": 1, "failed": 0,
        "lost": 2, "missing": 0});
    assert_eq!(again["before"], before);
    assert_eq!(again["arrays"][0]["places"], "0,2");
    assert_eq!(list(&fake, 2), [ids[0].clone(), ids[2].clone()]);
    // What says how it went comes after all that is left.
    assert!(fake.calls()[4].contains("--dependency=afterany:101:102:104 "));

    // All of it is queued: nothing is submitted, by whatever name.
    fake.queue(
        "101|1|PENDING|None\\n102|0|COMPLETING|None\\n104|0|PENDING|a|b\\n104|1|RUNNING|None\\n",
    );
    let nothing = fake.run(&[]);
    assert!(
        nothing.stdout.contains("nothing to submit"),
        "{}",
        nothing.stdout
    );
    assert_eq!(fake.calls().len(), 5);

    // Gone, all of them: said so, and submitted again.
    fake.queue("");
    let lost = fake.run(&[]);
    assert_eq!(
        lost.stdout.matches("submitted again: ").count(),
        4,
        "{}",
        lost.stdout
    );
    let kept = submissions(&fake);
    let jobs: Vec<&Value> = kept["arrays"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["job"])
        .collect();
    assert_eq!(jobs, ["106", "107"]);
}

#[test]
fn cells_with_a_record_are_not_submitted_and_failures_when_told() {
    let grid = format!(
        "{}  strategy: smartkv\naxes: {{budget: [0.6, 0.01, 0.5]}}\n",
        base(1, 8)
    );
    let fake = Fake::new(Study::new(&grid));
    planned(&fake);
    for index in ["0", "1"] {
        let args = [
            "cell",
            "--plan",
            "study",
            "--index",
            index,
            "--store",
            fake.study.store(),
        ];
        let code = crate::program::run(&args).code;
        assert_eq!(code, i32::from(index == "1"));
    }
    let first = json(&fake.run(&["--json"]));
    assert_eq!(
        (&first["before"]["done"], &first["before"]["failed"]),
        (&1.into(), &1.into())
    );
    assert_eq!(first["arrays"][0]["places"], "2");
    fake.queue("101|0|PENDING|None\\n");
    let retry = json(&fake.sweep("retry", &["--json"]));
    assert_eq!(retry["arrays"][0]["places"], "1");
}

#[test]
fn what_slurm_took_before_it_refused_is_remembered() {
    let fake = fake();
    let says = "sbatch: error: QOSMaxSubmitJobPerUserLimit";
    let refuses = format!("[ $n = 1 ] && echo 101 && exit 0; echo '{says}' >&2; exit 1");
    fake.command("sbatch", &fake.sbatch(&refuses));
    let error = refusal(&fake.run(&[]));
    for part in [
        "1 of 2 arrays are submitted (jobs 101)",
        says,
        "submits the rest",
    ] {
        assert!(error.contains(part), "no `{part}` in {error}");
    }
    assert_eq!(submissions(&fake)["arrays"][0]["job"], "101");
    fake.takes_jobs();
    fake.queue("101|0|PENDING|None\\n101|1|PENDING|None\\n101|2|PENDING|None\\n");
    let rest = json(&fake.run(&["--json"]));
    assert_eq!(rest["arrays"].as_array().unwrap().len(), 1);
    assert_eq!(rest["arrays"][0]["places"], "3");
    assert!(fake.calls()[3].contains("--dependency=afterany:101:103 "));

    // Only what says how it went was refused: it is submitted the next time.
    let fake = Fake::new(Study::small());
    let refuses = format!("[ $n != 3 ] && echo $((100 + n)) && exit 0; echo '{says}' >&2; exit 1");
    fake.command("sbatch", &fake.sbatch(&refuses));
    assert!(refusal(&fake.run(&[])).contains("2 of 2 arrays"));
    fake.queue(
        "101|0|RUNNING|None\\n101|1|RUNNING|None\\n101|2|RUNNING|None\\n102|0|RUNNING|None\\n",
    );
    let rest = json(&fake.run(&["--json"]));
    assert_eq!(
        (&rest["arrays"], &rest["collect"]),
        (&json!([]), &"104".into())
    );
}

#[test]
fn commands_that_are_not_there_are_named() {
    for tool in ["sbatch", "scontrol"] {
        let fake = fake();
        fake.without(tool);
        let error = refusal(&fake.run(&[]));
        assert!(error.contains(&format!("cannot start {tool}")), "{error}");
        assert!(error.contains("login node"), "{error}");
    }
    // Only what was submitted before needs a queue.
    let fake = fake();
    fake.without("squeue");
    assert_eq!(fake.run(&[]).code, 0);
    assert!(refusal(&fake.run(&[])).contains("cannot start squeue"));
}

#[test]
fn answers_that_make_no_sense_are_quoted() {
    for (tool, script, says) in [
        (
            "scontrol",
            "echo hello",
            "answered `hello`: expected a line `MaxArraySize = N`",
        ),
        ("scontrol", "echo MaxArraySize = 0", "allows no job arrays"),
        (
            "scontrol",
            "echo no controller >&2; exit 1",
            "scontrol failed: no controller",
        ),
        (
            "sbatch",
            "echo Submitted batch job 7",
            "answered `Submitted batch job 7`",
        ),
        ("sbatch", "true", "expected the number of a job"),
        ("sbatch", "exit 3", "exit status: 3"),
    ] {
        let fake = fake();
        fake.command(tool, script);
        let error = refusal(&fake.run(&[]));
        assert!(error.contains(says), "{says}: {error}");
    }
    let fake = fake();
    assert_eq!(fake.run(&[]).code, 0);
    for (script, says) in [
        (
            "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1",
            "Unable to contact",
        ),
        ("echo 101 0 R", "answered `101 0 R`"),
    ] {
        fake.command("squeue", script);
        let error = refusal(&fake.run(&[]));
        assert!(error.contains(says), "{says}: {error}");
    }
    assert_eq!(fake.calls().len(), 3, "nothing is submitted in doubt");
    // A greeting and a cluster's name are sense.
    let polite = Fake::new(Study::small());
    polite.command("sbatch", "echo Welcome; echo '7;north'; echo");
    assert_eq!(json(&polite.run(&["--json"]))["collect"], "7");
}

#[test]
fn what_hides_jobs_from_squeue_is_not_heeded() {
    let fake = fake();
    let script = "[ -z \"$SQUEUE_PARTITION$SQUEUE_STATES\" ] && printf '101|0|RUNNING|None\\n'";
    fake.command("squeue", &format!("{script}\ntrue"));
    assert_eq!(fake.run(&[]).code, 0);
    let args = [
        "sweep",
        "run",
        fake.study.grid(),
        "--store",
        fake.study.store(),
    ];
    let more = ["--launcher", "slurm", "--json"];
    let mut command = crate::program::program(&[&args[..], &more].concat());
    command.env("PATH", fake.study.folder.path().join("bin"));
    command
        .env("SQUEUE_PARTITION", "other")
        .env("SQUEUE_STATES", "CD");
    let again = json(&crate::program::finish(command));
    assert_eq!(again["before"]["running"], 1);
}

#[test]
fn options_that_cannot_be_are_refused_with_what_to_use() {
    let fake = fake();
    for (more, says) in [
        (&["--jobs", "2"][..], "--array-parallelism"),
        (&["--", "--array=0-3"], "missing cells make the array"),
        (&["--", "--arr=0-3"], "missing cells make the array"),
        (&["--", "-a", "0-3"], "missing cells make the array"),
        (&["--", "-Jmine"], "job"),
        (&["--", "--clusters=north"], "SLURM_CLUSTERS"),
        (&["--", "--wrap=true"], "a task runs a cell"),
        (&["--", "--wait"], "--wait before `--`"),
        (&["--array-parallelism", "0"], "zero"),
        (&["--dry-run", "--wait"], "--wait"),
    ] {
        let error = refusal(&fake.run(more));
        assert!(error.contains(says), "{more:?}: {error}");
    }
    assert!(fake.calls().is_empty());
    for more in [
        &["--wait"][..],
        &["--dry-run"],
        &["--array-parallelism", "3"],
        &["--", "--time=60"],
    ] {
        let error = refusal(&fake.study.sweep("run", more));
        assert!(error.contains("--launcher slurm"), "{more:?}: {error}");
    }
    let error = refusal(&fake.study.sweep("run", &["--launcher", "pbs"]));
    assert!(error.contains("possible values: local, slurm"), "{error}");
    let search = Fake::new(Study::new(&format!(
        "{}axes: {{budget: [0.5, 0.6]}}\nsearch: {{metric: kl_mean, draw: 2, test: {{seed: 1}}}}\n",
        base(2, 8)
    )));
    let error = refusal(&search.run(&[]));
    assert!(error.contains("is a search"), "{error}");
}

#[test]
fn one_process_submits_at_a_time() {
    let fake = fake();
    assert_eq!(fake.run(&[]).code, 0);
    let lock = fake.study.store.join("submissions/study/lock");
    let lock = fs::File::options().write(true).open(lock).unwrap();
    lock.try_lock().unwrap();
    let busy = fake.run(&[]);
    assert_eq!(busy.code, 75);
    assert!(
        busy.stderr.contains("another process is submitting"),
        "{}",
        busy.stderr
    );
    assert_eq!(fake.calls().len(), 3);
}

#[test]
fn a_damaged_memory_is_not_guessed() {
    let fake = fake();
    assert_eq!(fake.run(&[]).code, 0);
    let path = fake.study.store.join("submissions/study.json");
    fs::write(&path, "{\"arrays\": 3").unwrap();
    let error = refusal(&fake.run(&[]));
    assert!(
        error.contains("no record of submissions") && error.contains("hint:"),
        "{error}"
    );
    assert_eq!(fake.calls().len(), 3);
    let nowhere = Fake::new(Study::small());
    fs::write(&nowhere.study.store, "a file").unwrap();
    assert_eq!(nowhere.run(&[]).code, 74);
}

#[test]
fn waiting_outlives_a_silent_controller_and_tells_what_was_lost() {
    let fake = fake();
    let asked = fake.study.folder.path().join("asked");
    let script = format!(
        "[ -e {0} ] && exit 0; : > {0}; echo 'Socket timed out' >&2; exit 1",
        asked.display()
    );
    fake.command("squeue", &script);
    let end = fake.run(&["--wait", "--json"]);
    assert_eq!(end.code, 1);
    assert!(
        end.stderr
            .contains("warning: squeue failed: Socket timed out"),
        "{}",
        end.stderr
    );
    assert!(
        end.stderr
            .contains("4 of 4 cells of `study` have no record"),
        "{}",
        end.stderr
    );
    let object: Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!(object["after"]["lost"], 4);
}

#[test]
fn waiting_can_be_stopped_and_the_jobs_go_on() {
    let fake = fake();
    fake.queue("101|0|RUNNING|None\\n101|1|PENDING|Resources\\n");
    let args = [
        "sweep",
        "run",
        fake.study.grid(),
        "--store",
        fake.study.store(),
    ];
    let more = ["--launcher", "slurm", "--wait"];
    let mut command = crate::program::program(&[&args[..], &more].concat());
    command.env("PATH", fake.study.folder.path().join("bin"));
    let mut waiting = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What it sees first is said once it can be stopped.
    let mut said = BufReader::new(waiting.stderr.take().unwrap());
    let mut error = String::new();
    said.read_line(&mut error).unwrap();
    let stopped = Command::new("kill")
        .args(["-INT", &waiting.id().to_string()])
        .status();
    assert!(stopped.unwrap().success());
    said.read_to_string(&mut error).unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(130), "{error}");
    assert!(
        error.contains("1 running, 1 waiting (Resources)"),
        "{error}"
    );
    assert!(error.contains("the jobs go on"), "{error}");
    assert_eq!(fake.calls().len(), 3);
}

#[test]
fn names_of_plans_and_folders_may_be_anything() {
    let mut study = Study::new(&format!(
        "{}axes: {{strategy: {{{}}}}}\n",
        base(1, 4),
        uniform(4)
    ));
    let folder = study.folder.path().join("it's 100% \"mine\", $HOME");
    fs::create_dir(&folder).unwrap();
    let grid = folder.join("a, b.yaml");
    fs::rename(&study.grid, &grid).unwrap();
    (study.grid, study.store) = (grid, folder.join("st ore"));
    let fake = Fake::new(study);
    fake.command("scontrol", THREE);
    let submitted = json(&fake.run(&["--json"]));
    assert_eq!(submitted["plan"], "a, b");
    assert!(
        fake.calls()[0].contains("--job-name=smartkv-a--b "),
        "{}",
        fake.calls()[0]
    );
    assert!(fake.calls()[0].contains("100%% "), "{}", fake.calls()[0]);
}
