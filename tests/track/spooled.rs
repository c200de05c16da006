//! What stands in the file of a run.

use super::{folder, online, spool, until};
use crate::server::{Behaviour, Server};
use prost::Message as _;
use smartkv::track::proto::{Kind, Record};
use smartkv::track::{Json, Printed, Run, RunInfo, Settings, SpoolReader};
use std::path::Path;

fn read(file: &Path) -> Vec<Record> {
    let mut reader = SpoolReader::open(file).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(Record::decode(record.as_slice()).unwrap());
    }
    records
}

fn offline(dir: &Path) -> Settings {
    let server = Server::start(Behaviour::default());
    let (settings, _) = online(&server, dir);
    Settings {
        online: false,
        ..settings
    }
}

#[test]
fn an_offline_run_is_all_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(
        offline(dir.path()),
        RunInfo {
            config: Json::Object(vec![("long".to_owned(), "c".repeat(80_000).into())]),
            ..RunInfo::default()
        },
    );
    for step in 0..2000 {
        run.log(vec![
            ("loss".to_owned(), (1.0 / f64::from(step)).into()),
            ("_step".to_owned(), 7.0.into()),
        ]);
    }
    run.summary(vec![("best".to_owned(), 0.25.into())]);
    run.file("table.md", "| a |");
    run.output("done", Printed::Out);
    run.finish(3);

    let folder = folder(dir.path());
    assert!(
        folder
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("offline-run-2")
    );
    let records = read(&spool(dir.path()));
    let numbers: Vec<i64> = records.iter().map(|record| record.num).collect();
    assert_eq!(
        numbers,
        (1..=i64::try_from(records.len()).unwrap()).collect::<Vec<_>>()
    );
    let kinds: Vec<&Kind> = records
        .iter()
        .filter_map(|record| record.kind.as_ref())
        .collect();
    assert_eq!(kinds.len(), records.len());
    assert!(matches!(kinds[0], Kind::Header(_)));
    let Kind::Run(described) = kinds[1] else {
        panic!("{:?}", kinds[1])
    };
    assert_eq!(
        (described.run_id.as_str(), described.project.as_str()),
        ("run00001", "smartkv")
    );
    assert_eq!(
        described.config.as_ref().unwrap().update[0]
            .value_json
            .len(),
        80_002
    );
    let steps = kinds.iter().filter_map(|kind| match kind {
        Kind::History(row) => Some(row),
        _ => None,
    });
    let steps: Vec<_> = steps.collect();
    assert_eq!(steps.len(), 2000);
    for (index, row) in steps.iter().enumerate() {
        assert_eq!(
            row.step.as_ref().unwrap().num,
            i64::try_from(index).unwrap()
        );
        let names: Vec<&str> = row.item.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(names, ["loss", "_step", "_runtime", "_timestamp"]);
        assert_eq!(row.item[1].value_json, index.to_string());
    }
    assert_eq!(steps[0].item[0].value_json, "Infinity");
    let exit = kinds.iter().find_map(|kind| match kind {
        Kind::Exit(exit) => Some(exit.exit_code),
        _ => None,
    });
    assert_eq!(exit, Some(3));
    assert!(matches!(kinds.last(), Some(Kind::Footer(_))));
    let files = folder.join("files");
    let text = |name: &str| std::fs::read_to_string(files.join(name)).unwrap();
    assert_eq!(
        (text("table.md").as_str(), text("output.log").as_str()),
        ("| a |", "done\n")
    );
    let summary = super::golden::extended(text("wandb-summary.json").trim());
    assert_eq!(
        (&summary["best"], &summary["_step"]),
        (&0.25.into(), &1999.0.into())
    );
    let config: serde_json::Value = serde_json::from_str(&text("config.yaml")).unwrap();
    assert_eq!(config["long"]["value"].as_str().unwrap().len(), 80_000);
}

#[test]
fn a_run_in_the_middle_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(offline(dir.path()), RunInfo::default());
    for step in 0..100 {
        run.log(vec![("x".to_owned(), f64::from(step).into())]);
    }
    // As after a kill: nobody has ended it, and the file is what it is.
    let rows = |records: &[Record]| {
        let rows = records
            .iter()
            .filter(|record| matches!(record.kind, Some(Kind::History(_))));
        rows.count()
    };
    until("rows in the file", || {
        rows(&read(&spool(dir.path()))) == 100
    });
    let ended = |records: &[Record]| {
        records
            .iter()
            .any(|record| matches!(record.kind, Some(Kind::Exit(_))))
    };
    assert!(!ended(&read(&spool(dir.path()))));
    // A run that nobody finishes has failed.
    drop(run);
    let records = read(&spool(dir.path()));
    let exit = records.iter().find_map(|record| match &record.kind {
        Some(Kind::Exit(exit)) => Some(exit.exit_code),
        _ => None,
    });
    assert_eq!(exit, Some(1));
}

#[test]
fn runs_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let settings = Settings {
            run_id: None,
            ..offline(dir.path())
        };
        Run::start(settings, RunInfo::default()).finish(0);
    }
    let names = std::fs::read_dir(dir.path().join("wandb")).unwrap();
    assert_eq!(names.count(), 20);
}

#[test]
fn a_record_of_many_samples_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::start(offline(dir.path()), RunInfo::default());
    let windows: Vec<_> = (0..30_000)
        .map(|start| serde_json::json!({"start": start}))
        .collect();
    run.report(&serde_json::json!({"samples": {"windows": windows}, "quality": {"x": 1}}));
    run.finish(0);
    let records = read(&spool(dir.path()));
    let rows = records
        .iter()
        .filter(|record| matches!(record.kind, Some(Kind::History(_))));
    assert_eq!(rows.count(), 30_000);
    assert!(matches!(
        records.last().unwrap().kind,
        Some(Kind::Footer(_))
    ));
}
