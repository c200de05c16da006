//! The real client and an independent server. They are Python packages, so these tests run where
//! `.ci/wandb` has installed them: `SMARTKV_TEST_WANDB` names the folder of their programs.

use super::golden::extended;
use super::programs::{LOCAL_KEY, OpenWandb, finish, python, quiet};
use super::server::{Behaviour, Server};
use super::{KEY, folder, online, until};
use serde_json::{Value, json};
use smartkv::track::{Json, Printed, Run, RunInfo, Settings};
use std::path::{Path, PathBuf};

/// `wandb sync` of a run's folder to `url`.
fn sync(folder: &Path, url: &str, key: &str, home: &Path) -> String {
    let mut command = quiet(python("wandb"), home);
    command
        .arg("sync")
        .arg(folder)
        .env("WANDB_BASE_URL", url)
        .env("WANDB_API_KEY", key);
    finish(command, home)
}

/// A run of many rows, kept in `settings.dir`.
fn long_run(settings: Settings, rows: u32) {
    let config = Json::Object(vec![
        ("long".to_owned(), "c".repeat(80_000).into()),
        ("budget".to_owned(), 0.5.into()),
    ]);
    let run = Run::start(
        settings,
        RunInfo {
            config,
            ..RunInfo::default()
        },
    );
    for step in 0..rows {
        run.log(vec![(
            "loss".to_owned(),
            (1.0 / f64::from(step + 1)).into(),
        )]);
    }
    run.summary(vec![("best".to_owned(), 0.25.into())]);
    run.file("figures/curve.svg", "<svg/>");
    run.output("printed", Printed::Out);
    run.finish(3);
}

#[test]
#[ignore = "needs openwandb: .ci/wandb runs it"]
fn openwandb_takes_an_evaluation() {
    let server = OpenWandb::start();
    let dir = tempfile::tempdir().unwrap();
    let mut command = quiet(PathBuf::from(env!("CARGO_BIN_EXE_smartkv")), dir.path());
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny-llama");
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE");
    command
        .args([
            "eval",
            "--wandb",
            "online",
            "--model",
            model,
            "--text",
            text,
            "--no-needle",
        ])
        .args([
            "--windows",
            "3",
            "--prefill-tokens",
            "40",
            "--score-tokens",
            "8",
        ])
        .args(["--budget", "0.5", "--out", "record.json"])
        .env("WANDB_BASE_URL", server.url())
        .env("WANDB_API_KEY", LOCAL_KEY)
        .env("WANDB_RUN_ID", "evaluated");
    let printed = finish(command, dir.path());
    assert!(!printed.contains("warning"), "{printed}");
    let record = std::fs::read_to_string(dir.path().join("record.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();

    let (state, config, summary) = server.run("evaluated");
    assert_eq!(state, "finished");
    assert_eq!(config["budget"]["value"], 0.5);
    assert_eq!(config["strategy_config"]["value"], record["config"]);
    assert_eq!(summary["quality/kl_mean"], record["quality"]["kl_mean"]);
    let windows = record["samples"]["windows"].as_array().unwrap();
    let losses: Vec<f64> = windows
        .iter()
        .map(|window| window["nll_f16"].as_f64().unwrap())
        .collect();
    assert_eq!(server.metric("evaluated", "window/nll_f16"), losses);
}

#[test]
#[ignore = "needs openwandb: .ci/wandb runs it"]
fn openwandb_takes_a_long_run() {
    let server = OpenWandb::start();
    let dir = tempfile::tempdir().unwrap();
    let mock = Server::start(Behaviour::default());
    let (settings, said) = online(&mock, dir.path());
    long_run(
        Settings {
            base_url: server.url(),
            key: Some(smartkv::assets::Token::new(LOCAL_KEY)),
            entity: None,
            ..settings
        },
        2000,
    );
    assert_eq!(said.warnings(), 0, "{}", said.all());
    let (state, config, summary) = server.run("run00001");
    // It does not look at exit codes.
    assert_eq!(state, "finished");
    assert_eq!(config["long"]["value"].as_str().unwrap().len(), 80_000);
    assert_eq!(summary["best"], 0.25);
    assert_eq!(summary["loss"], 1.0 / 2000.0);
    let losses = server.metric("run00001", "loss");
    assert_eq!(
        (losses.len(), losses[0], losses[1999]),
        (2000, 1.0, 1.0 / 2000.0)
    );
    let files = server.get("/api/v1/runs/run00001/files").to_string();
    assert!(files.contains("curve.svg"), "{files}");
}

#[test]
#[ignore = "needs wandb and openwandb: .ci/wandb runs it"]
fn wandb_sync_sends_our_file_to_openwandb() {
    let server = OpenWandb::start();
    let dir = tempfile::tempdir().unwrap();
    let mock = Server::start(Behaviour::default());
    let (settings, _) = online(&mock, dir.path());
    long_run(
        Settings {
            online: false,
            entity: None,
            ..settings
        },
        2000,
    );
    let printed = sync(&folder(dir.path()), &server.url(), LOCAL_KEY, dir.path());
    assert!(!printed.to_lowercase().contains("error"), "{printed}");
    let (state, config, summary) = server.run("run00001");
    // It does not look at exit codes.
    assert_eq!(state, "finished");
    assert_eq!(config["long"]["value"].as_str().unwrap().len(), 80_000);
    assert_eq!(summary["best"], 0.25);
    let losses = server.metric("run00001", "loss");
    assert_eq!(
        (losses.len(), losses[0], losses[1999]),
        (2000, 1.0, 1.0 / 2000.0)
    );
}

/// What the client asks besides.
fn client(body: &Value) -> Option<Value> {
    let query = body["query"].as_str().unwrap();
    let viewer = json!({
        "id": "VXNlcjox", "entity": "ent", "username": "ent", "email": "e@x", "flags": "{}",
        "teams": {"edges": [{"node": {"name": "ent"}}]}, "organizations": [], "admin": false,
    });
    if query.contains("query Viewer") {
        Some(json!({"data": {"viewer": viewer}}))
    } else if query.contains("query ServerFeaturesQuery") {
        Some(json!({"data": {"serverInfo": {"features": []}}}))
    } else if query.contains("query OrganizationCoreWeave") {
        Some(json!({"data": {}}))
    } else {
        None
    }
}

#[test]
#[ignore = "needs wandb: .ci/wandb runs it"]
fn wandb_sync_sends_what_we_would_have_sent() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let servers = [(); 2].map(|()| {
        Server::start(Behaviour {
            others: Some(Box::new(|body, _| client(body))),
            ..Behaviour::default()
        })
    });
    for (dir, server) in dirs.iter().zip(&servers) {
        let (mut settings, _) = online(server, dir.path());
        settings.online = std::ptr::eq(server, &raw const servers[0]);
        settings.tags = vec!["a".to_owned(), "b".to_owned()];
        settings.group = Some("g".to_owned());
        let run = Run::start(settings, RunInfo::default());
        for value in [1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300] {
            run.log(vec![
                ("a/b.c".to_owned(), value.into()),
                (
                    "nested".to_owned(),
                    Json::Object(vec![("x".to_owned(), value.into())]),
                ),
            ]);
        }
        run.output("out", Printed::Out);
        run.output("err", Printed::Err);
        run.finish(0);
    }
    sync(
        &folder(dirs[1].path()),
        &servers[1].url,
        KEY,
        dirs[1].path(),
    );
    let [ours, theirs] = servers;
    let variables = |server: &Server| server.asked("UpsertBucket")[0].body()["variables"].clone();
    for name in ["name", "project", "entity", "groupName", "tags", "host"] {
        assert_eq!(variables(&ours)[name], variables(&theirs)[name], "{name}");
    }
    let settled = |server: &Server| -> Vec<_> {
        let lines = server.file("wandb-history.jsonl").into_values();
        let lines = lines.map(|line| {
            let mut fields = extended(&line);
            fields.retain(|name, _| name != "_timestamp" && name != "_runtime");
            fields
        });
        lines.collect()
    };
    assert_eq!(settled(&ours), settled(&theirs));
    assert_eq!(settled(&ours).len(), 5);
    let text = |server: &Server| -> Vec<String> {
        let lines = server.file("output.log").into_values();
        let stripped = |line: &str| {
            let (kind, rest) = line.split_at(if line.starts_with("ERROR ") { 6 } else { 0 });
            kind.to_owned() + rest.split_once(' ').unwrap().1
        };
        lines.map(|line| stripped(&line)).collect()
    };
    assert_eq!(text(&ours), text(&theirs));
    let last = |server: &Server| server.streamed().pop().unwrap();
    assert_eq!(last(&ours)["exitcode"], last(&theirs)["exitcode"]);
    assert_eq!(last(&theirs)["complete"], true);
    let events = |server: &Server| {
        let lines = server.file("wandb-events.jsonl");
        lines
            .values()
            .flat_map(|line| extended(line).into_iter().map(|(name, _)| name))
            .collect()
    };
    let (ours, theirs): (std::collections::BTreeSet<String>, _) = (events(&ours), events(&theirs));
    assert_eq!(ours, theirs);
}

#[test]
#[ignore = "needs wandb: .ci/wandb runs it"]
fn wandb_sync_sends_a_killed_run() {
    let server = Server::start(Behaviour {
        others: Some(Box::new(|body, _| client(body))),
        ..Behaviour::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, _) = online(&server, dir.path());
    settings.online = false;
    let run = Run::start(settings, RunInfo::default());
    for step in 0..100 {
        run.log(vec![("loss".to_owned(), f64::from(step).into())]);
    }
    // What a kill leaves: the file as it is at some moment, in the middle of a record.
    let (from, to) = (folder(dir.path()), dir.path().join("offline-run-killed"));
    std::fs::create_dir_all(to.join("files")).unwrap();
    until("rows", || {
        std::fs::metadata(from.join("run-run00001.wandb"))
            .unwrap()
            .len()
            > 8000
    });
    let bytes = std::fs::read(from.join("run-run00001.wandb")).unwrap();
    std::fs::write(to.join("run-run00001.wandb"), &bytes[..8000]).unwrap();
    run.finish(0);
    let printed = sync(&to, &server.url, KEY, dir.path());
    assert!(server.file("wandb-history.jsonl").len() > 5, "{printed}");
    let end = server.streamed().pop().unwrap();
    assert_eq!(
        (&end["complete"], &end["exitcode"]),
        (&true.into(), &1.into()),
        "{printed}"
    );
}

#[test]
#[ignore = "needs wandb: .ci/wandb runs it"]
fn wandb_agent_drives_smartkv() {
    // What the service keeps of a sweep.
    let config = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let kept = config.clone();
    let others = move |body: &Value, before: usize| {
        let query = body["query"].as_str().unwrap();
        let sweep = || {
            json!({
                "id": "djE6U3dlZXA6c3dwMDAwMDE=", "name": "swp00001", "method": "grid",
                "state": "RUNNING", "config": *kept.lock().unwrap(), "description": null,
                "createdAt": "2026-01-01T00:00:00", "heartbeatAt": null, "updatedAt": null,
                "earlyStopJobRunning": false, "controller": null, "scheduler": null,
                "priorRuns": {"edges": []}, "runs": {"edges": []},
                "project": {"id": "p", "name": "cache", "entity": {"id": "e", "name": "ent"}},
            })
        };
        let agent = json!({"id": "djE6QWdlbnQ6YTE="});
        if query.contains("mutation UpsertSweep") {
            // The client asks in several forms, for servers of several ages.
            *kept.lock().unwrap() = body["variables"]["config"].as_str().unwrap().to_owned();
            let answer = json!({"sweep": sweep(), "configValidationWarnings": []});
            return Some(json!({"data": {"upsertSweep": answer}}));
        }
        if query.contains("query SweepWithRuns") {
            let answer = json!({"id": "p", "sweep": sweep()});
            return Some(json!({"data": {"project": answer, "model": answer}}));
        }
        if query.contains("mutation CreateAgent") {
            return Some(json!({"data": {"createAgent": {"agent": agent}}}));
        }
        if query.contains("mutation Heartbeat") {
            let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny-llama");
            let text = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE");
            let strategy = if before == 0 { "smartkv" } else { "h2o" };
            let commands = match before {
                0 | 1 => json!([{
                    "type": "run", "run_id": format!("swprun{before}"), "program": "smartkv",
                    "logs": [],
                    "args": {
                        "strategy": {"value": strategy},
                        "budget": {"value": 0.5}, "seed": {"value": 0},
                        "model": {"value": model}, "text": {"value": text},
                        "windows": {"value": 2}, "prefill-tokens": {"value": 40},
                        "score-tokens": {"value": 8}, "no-needle": {"value": true},
                    },
                }]),
                _ => json!([{"type": "exit"}]),
            };
            let answer = json!({"agent": agent, "commands": commands.to_string()});
            return Some(json!({"data": {"agentHeartbeat": answer}}));
        }
        client(body)
    };
    let server = Server::start(Behaviour {
        others: Some(Box::new(others)),
        ..Behaviour::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_smartkv")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let wandb = |args: &[&str]| {
        let mut command = quiet(python("wandb"), dir.path());
        command
            .args(args)
            .env("PATH", &path)
            .env("WANDB_BASE_URL", &server.url)
            .env("WANDB_API_KEY", KEY);
        finish(command, dir.path())
    };
    let sweep = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/wandb/sweep.yaml");
    wandb(&["sweep", "--project", "cache", "--entity", "ent", sweep]);
    assert!(config.lock().unwrap().contains("quality/kl_mean"));
    let printed = wandb(&["agent", "ent/cache/swp00001"]);

    assert_eq!(server.asked("UpsertBucket").len(), 2, "{printed}");
    for (request, strategy) in server.asked("UpsertBucket").iter().zip(["smartkv", "h2o"]) {
        let variables = &request.body()["variables"];
        assert_eq!(variables["sweep"], "swp00001", "{printed}");
        assert_eq!(
            (&variables["project"], &variables["entity"]),
            (&"cache".into(), &"ent".into())
        );
        let config: Value = serde_json::from_str(variables["config"].as_str().unwrap()).unwrap();
        assert_eq!(config["strategy"]["value"], strategy);
        assert_eq!(config["budget"]["value"], 0.5);
    }
    let ended = server
        .streamed()
        .into_iter()
        .filter(|body| body["complete"] == true);
    let codes: Vec<Value> = ended.map(|body| body["exitcode"].clone()).collect();
    assert_eq!(codes, [0, 0], "{printed}");
    let summary = extended(&server.file("wandb-summary.json")[&0]);
    assert!(summary["quality/kl_mean"].is_f64());
    assert!(!printed.contains(KEY));
}
