//! Runs that the server may know already.

use super::golden::{self, extended, scenario};
use super::server::{Behaviour, Server};
use super::{online, spool};
use serde_json::{Value, json};
use smartkv::track::{Resume, Run, RunInfo};

/// A server that answers as the recorded one did.
fn knowing(recorded: &str) -> (Server, Vec<golden::Exchange>) {
    let recorded = scenario(recorded);
    let status = recorded.iter().find(|one| !one.get("response").is_null());
    let resume = status.unwrap().get("response").clone();
    let server = Server::start(Behaviour {
        resume,
        ..Behaviour::default()
    });
    (server, recorded)
}

fn run(server: &Server, resume: Resume) -> (String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, said) = online(server, dir.path());
    settings.resume = resume;
    let run = Run::start(settings, RunInfo::default());
    run.log(vec![("ppl".to_owned(), 10.0.into())]);
    run.log(vec![("acc".to_owned(), 0.5.into())]);
    run.finish(0);
    (said.all(), dir)
}

#[test]
fn a_resumed_run_goes_on_where_it_stopped() {
    let (server, recorded) = knowing("resume_allow_existing");
    let (said, _dir) = run(&server, Resume::Allow);
    assert!(!said.contains("warning"), "{said}");
    let asked = server.asked("RunResumeStatus")[0].body()["variables"].clone();
    assert_eq!(asked, golden::variables(&recorded, "RunResumeStatus"));
    let id = |variables: &Value| variables["id"].clone();
    let upsert = server.asked("UpsertBucket")[0].body();
    assert_eq!(
        id(&upsert["variables"]),
        id(&golden::variables(&recorded, "UpsertBucket"))
    );

    let theirs = golden::lines(&recorded, "wandb-history.jsonl");
    let ours = server.file("wandb-history.jsonl");
    for ((offset, theirs), (at, ours)) in theirs.iter().zip(&ours) {
        assert_eq!(at, offset);
        assert_eq!(extended(ours)["_step"], extended(theirs)["_step"]);
        let runtime = extended(ours)["_runtime"].as_f64().unwrap();
        assert!(runtime >= 9.0, "the run took 9 s before: {runtime}");
    }
    assert_eq!(ours.len(), 2);
    assert_eq!(*server.file("wandb-events.jsonl").keys().next().unwrap(), 1);
    let summary = extended(&server.file("wandb-summary.json")[&0]);
    assert_eq!(
        (&summary["ppl"], &summary["_step"]),
        (&json!(10.0), &json!(6.0))
    );
}

#[test]
fn what_a_run_holds_may_be_no_number() {
    for (tail, step) in [(r#"{"_step":6,"kl":NaN}"#, 7), ("lost", 4)] {
        let bucket = json!({
            "id": "held",
            "name": "run00001",
            "historyLineCount": 4,
            "historyTail": json!([tail]).to_string(),
            "summaryMetrics": r#"{"kl":NaN,"best":-Infinity}"#,
        });
        let server = Server::start(Behaviour {
            resume: json!({"data": {"model": {"bucket": bucket}}}),
            ..Behaviour::default()
        });
        run(&server, Resume::Allow);
        let history = server.file("wandb-history.jsonl");
        assert_eq!(extended(&history[&4])["_step"], json!(f64::from(step)));
        let summary = &server.file("wandb-summary.json")[&0];
        assert!(summary.contains(r#""kl":NaN"#), "{summary}");
        assert!(summary.contains(r#""best":-Infinity"#), "{summary}");
    }
}

#[test]
fn a_run_that_is_not_there_begins() {
    let (server, recorded) = knowing("resume_allow_new");
    run(&server, Resume::Allow);
    let upsert = server.asked("UpsertBucket")[0].body();
    let theirs = golden::variables(&recorded, "UpsertBucket");
    assert_eq!(upsert["variables"]["id"], theirs["id"]);
    assert_eq!(
        *server.file("wandb-history.jsonl").keys().next().unwrap(),
        0
    );
}

#[test]
fn a_run_that_must_not_be_there_or_must_is_kept() {
    let (existing, _) = knowing("resume_allow_existing");
    let (said, dir) = run(&existing, Resume::Never);
    assert!(said.contains("there is a run `run00001` already"), "{said}");
    assert!(existing.asked("UpsertBucket").is_empty() && spool(dir.path()).is_file());

    let (missing, _) = knowing("resume_allow_new");
    let (said, dir) = run(&missing, Resume::Must);
    assert!(
        said.contains("there is no run `run00001` to resume"),
        "{said}"
    );
    assert!(missing.asked("UpsertBucket").is_empty() && spool(dir.path()).is_file());
}

#[test]
fn nobody_is_asked_unless_told_to_resume() {
    let (server, _) = knowing("resume_allow_existing");
    run(&server, Resume::Overwrite);
    assert!(server.asked("RunResumeStatus").is_empty());
}
