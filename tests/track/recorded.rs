//! The same run as the client's, request by request.

use super::golden::{self, Exchange, extended, floats, scenario};
use super::server::{Behaviour, Server};
use super::{FAST, KEY, Said, folder, online, until};
use serde_json::{Map, Value, json};
use smartkv::track::{Json, Pace, Printed, Row, Run, RunInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The fields of a recorded row as the program logged them.
fn logged(line: &str) -> Row {
    let value = |value: Value| match value.as_str() {
        Some("NaN") => Json::Float(f64::NAN),
        Some("Infinity") => Json::Float(f64::INFINITY),
        Some("-Infinity") => Json::Float(f64::NEG_INFINITY),
        _ => Json::of(&value).unwrap(),
    };
    let fields = extended(line)
        .into_iter()
        .filter(|(key, _)| !key.starts_with('_'));
    fields.map(|(key, field)| (key, value(field))).collect()
}

/// The recorded program's configuration and labels.
fn info(variables: &Value) -> RunInfo {
    let config: Value = serde_json::from_str(variables["config"].as_str().unwrap()).unwrap();
    let config = config.as_object().unwrap().iter();
    let text = |name: &str| variables[name].as_str().map(str::to_owned);
    let tags = variables["tags"].as_array().into_iter().flatten();
    RunInfo {
        name: text("displayName"),
        group: text("groupName"),
        job_type: text("jobType"),
        notes: text("notes"),
        tags: tags.map(|tag| tag.as_str().unwrap().to_owned()).collect(),
        config: Json::Object(
            config
                .map(|(key, field)| (key.clone(), Json::of(&field["value"]).unwrap()))
                .collect(),
        ),
    }
}

/// Without what differs from run to run; it must be there all the same.
fn settled(line: &str) -> Map<String, Value> {
    let mut fields = extended(line);
    for name in ["_timestamp", "_runtime"] {
        let value = fields.remove(name);
        assert!(
            value.is_some_and(|value| value.is_f64()),
            "{name} in {line}"
        );
    }
    fields
}

/// The recorded run, once more with ours.
struct Again {
    recorded: Vec<Exchange>,
    server: Server,
    said: Said,
    dir: tempfile::TempDir,
}

fn again() -> Again {
    let recorded = scenario("console_stats_exit1");
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (settings, said) = online(&server, dir.path());
    let run = Run::start(
        settings,
        info(&golden::variables(&recorded, "UpsertBucket")),
    );
    // The client's sixth row has a step of its own choice, which ours never has.
    for (_, line) in &golden::lines(&recorded, "wandb-history.jsonl")[..5] {
        run.log(logged(line));
    }
    run.output("hello console line 1\nline 2", Printed::Out);
    run.finish(1);
    Again {
        recorded,
        server,
        said,
        dir,
    }
}

#[test]
fn a_run_begins_with_the_clients_variables() {
    let Again {
        recorded,
        server,
        said,
        dir,
    } = again();
    let expected = golden::variables(&recorded, "UpsertBucket");
    let upserts = server.asked("UpsertBucket");
    assert_eq!(upserts.len(), 1);
    let mut variables = upserts[0].body()["variables"].clone();
    let config = |variables: &Value| -> Value {
        floats(serde_json::from_str(variables["config"].as_str().unwrap()).unwrap())
    };
    assert_eq!(config(&variables), config(&expected));
    assert!(variables["host"].is_string() && variables["program"] == "smartkv");
    for name in ["config", "host", "program"] {
        variables[name] = expected[name].clone();
    }
    assert_eq!(variables, expected);
    // Nothing is warned of, and the page is told.
    let page = format!("note: W&B: {}/ent/smartkv/runs/run00001", server.url);
    assert_eq!(said.all(), page);
    let folder = folder(dir.path());
    assert!(
        folder
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("run-")
    );
}

#[test]
fn the_key_is_sent_where_the_client_sends_it() {
    let Again {
        recorded, server, ..
    } = again();
    let posts = recorded.iter().filter(|one| one.get("method") == "POST");
    let paths: Vec<&str> = posts.map(|one| one.get("path").as_str().unwrap()).collect();
    for one in &recorded {
        let put = one.get("method") == "PUT";
        assert_eq!(one.get("auth") == "", put, "only where files are put");
    }
    for request in server.requests() {
        let authorisation = request.headers.get("authorization");
        if request.method == "PUT" {
            assert_eq!(authorisation, None);
            assert_eq!(request.headers["x-storage"], "yes");
        } else {
            assert!(paths.contains(&request.path.as_str()), "{}", request.path);
            let expected = format!("Basic {}", base64(&format!("api:{KEY}")));
            assert_eq!(authorisation, Some(&expected));
            assert_eq!(request.headers["content-type"], "application/json");
        }
    }
}

#[test]
fn rows_and_summary_are_the_clients() {
    let Again {
        recorded, server, ..
    } = again();
    let rows = golden::lines(&recorded, "wandb-history.jsonl");
    let sent = server.file("wandb-history.jsonl");
    assert_eq!(sent.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for ((_, recorded), sent) in rows.iter().zip(sent.values()) {
        assert_eq!(settled(sent), settled(recorded));
    }
    let summary = settled(&server.file("wandb-summary.json")[&0]);
    for (name, value) in &settled(&rows[4].1) {
        assert_eq!(summary.get(name), Some(value), "{name}");
    }
    assert_eq!(summary["_wandb"], json!({"runtime": 0.0}));
}

#[test]
fn output_and_system_metrics_have_the_clients_form() {
    let Again {
        recorded, server, ..
    } = again();
    let parts = |line: &str| {
        let (stamp, text) = line.split_once(' ').unwrap();
        (stamp.len(), text.to_owned())
    };
    let printed: Vec<_> = server
        .file("output.log")
        .values()
        .map(|line| parts(line))
        .collect();
    let expected = golden::lines(&recorded, "output.log");
    let expected: Vec<_> = expected.iter().map(|(_, line)| parts(line)).collect();
    assert_eq!(printed, expected);
    let (_, theirs) = &golden::lines(&recorded, "wandb-events.jsonl")[0];
    let theirs = extended(theirs);
    let ours = extended(&server.file("wandb-events.jsonl")[&0]);
    for name in [
        "_wandb",
        "_timestamp",
        "_runtime",
        "system.proc.memory.rssMB",
    ] {
        assert!(
            ours.contains_key(name) && theirs.contains_key(name),
            "{name}"
        );
    }
    for name in ours.keys() {
        assert!(theirs.contains_key(name), "{name}");
    }
}

#[test]
fn files_are_put_and_then_told_of() {
    let Again {
        recorded, server, ..
    } = again();
    let asked = &server.asked("CreateRunFiles")[0].body()["variables"];
    let form = golden::variables(&recorded, "CreateRunFiles");
    assert_eq!(golden::shape(asked), golden::shape(&form));
    let bodies = server.streamed();
    let told = bodies
        .iter()
        .filter_map(|body| body["uploaded"].as_array())
        .flatten();
    let told: BTreeSet<_> = told.map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(told, server.stored().into_keys().collect());
    for name in [
        "wandb-metadata.json",
        "config.yaml",
        "wandb-summary.json",
        "output.log",
    ] {
        assert!(told.contains(name), "{name}");
    }
    assert_eq!(
        server.stored()["output.log"],
        b"hello console line 1\nline 2\n"
    );
}

#[test]
fn a_run_ends_as_the_clients_does() {
    for (name, code) in [("basic", 0), ("console_stats_exit1", 1)] {
        let recorded = scenario(name);
        let server = Server::start(Behaviour::default());
        let dir = tempfile::tempdir().unwrap();
        let (settings, _) = online(&server, dir.path());
        let run = Run::start(settings, RunInfo::default());
        run.log(vec![("x".to_owned(), 1.0.into())]);
        run.finish(code);
        let end = |body: &Value| (body["complete"].clone(), body["exitcode"].clone());
        let theirs = end(recorded.last().unwrap().get("body"));
        assert_eq!(end(server.streamed().last().unwrap()), theirs);
        let requests = server.requests();
        assert!(
            requests.last().unwrap().is_stream(),
            "nothing follows the end"
        );
        let ends = server
            .streamed()
            .iter()
            .filter(|body| body.get("complete").is_some())
            .count();
        assert_eq!(ends, 1);
    }
}

#[test]
fn numbers_that_json_lacks_are_sent_as_the_client_sends_them() {
    let recorded = scenario("nan_types");
    let (_, line) = &golden::lines(&recorded, "wandb-history.jsonl")[0];
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = online(&server, dir.path());
    let run = Run::start(settings, RunInfo::default());
    run.log(logged(line));
    run.finish(0);
    let sent = &server.file("wandb-history.jsonl")[&0];
    assert_eq!(settled(sent), settled(line));
    for bare in [":NaN", ":Infinity", ":-Infinity"] {
        assert!(
            sent.contains(bare) && line.contains(bare),
            "{bare} in {sent}"
        );
        assert!(
            server.file("wandb-summary.json")[&0].contains(bare),
            "{bare}"
        );
    }
}

#[test]
fn no_request_has_a_form_the_client_has_not() {
    let mut known = BTreeMap::<String, Value>::new();
    let scenarios = ["basic", "console_stats_exit1", "heartbeat", "nan_types"];
    for name in scenarios {
        for one in scenario(name).iter().filter(|one| one.is_stream()) {
            let Value::Object(fields) = golden::shape(one.get("body")) else {
                panic!("no object")
            };
            for (key, value) in fields {
                let Value::Object(files) = value else {
                    known.insert(key, value);
                    continue;
                };
                for (file, part) in files {
                    known.insert(format!("{key}/{file}"), part);
                }
            }
        }
    }
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = online(&server, dir.path());
    let run = Run::start(settings, RunInfo::default());
    run.log(vec![("x".to_owned(), 1.0.into())]);
    run.output("line", Printed::Err);
    run.finish(0);
    for body in server.streamed() {
        for (key, value) in golden::shape(&body).as_object().unwrap() {
            if key == "files" {
                for (file, part) in value.as_object().unwrap() {
                    assert_eq!(known.get(&format!("files/{file}")), Some(part));
                }
            } else {
                assert_eq!(known.get(key), Some(value), "{key}");
            }
        }
    }
    let error = &server.file("output.log")[&0];
    assert!(
        error.starts_with("ERROR 2") && error.ends_with(" line"),
        "{error}"
    );
}

#[test]
fn a_quiet_run_says_that_it_lives() {
    let recorded = scenario("heartbeat");
    let beat = recorded
        .iter()
        .find(|one| one.is_stream() && one.get("body") == &json!({}));
    assert!(beat.is_some());
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, _) = online(&server, dir.path());
    settings.pace = Pace {
        heartbeat: Duration::from_millis(30),
        ..FAST
    };
    let run = Run::start(settings, RunInfo::default());
    let beats = || {
        server
            .streamed()
            .iter()
            .filter(|body| **body == json!({}))
            .count()
    };
    until("two heartbeats", || beats() >= 2);
    run.finish(0);
    assert_ne!(server.streamed()[0], json!({}), "data comes first");
}

#[test]
fn what_comes_between_two_requests_goes_together() {
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, _) = online(&server, dir.path());
    settings.pace = Pace {
        transmit: Duration::from_secs(3600),
        ..FAST
    };
    let run = Run::start(settings, RunInfo::default());
    // The first goes out at once, the rest waits.
    until("the first request", || !server.streamed().is_empty());
    for step in 0..1000 {
        run.log(vec![("x".to_owned(), f64::from(step).into())]);
    }
    run.finish(0);
    assert_eq!(server.file("wandb-history.jsonl").len(), 1000);
    let streamed = server.streamed();
    let with_lines = streamed
        .iter()
        .filter(|body| !body["files"]["wandb-history.jsonl"].is_null());
    assert_eq!(with_lines.count(), 1);
    // The first, the lines, and the end, which comes after the files.
    assert_eq!(streamed.len(), 3);
}

#[test]
fn a_run_of_a_sweep_says_so() {
    let recorded = golden::variables(&scenario("sweep_run"), "UpsertBucket");
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let chosen = dir.path().join("config-x.yaml");
    std::fs::write(&chosen, "wandb_version: 1\n\nbudget:\n  value: 0.25\n").unwrap();
    let (mut settings, _) = online(&server, dir.path());
    settings.sweep_id = recorded["sweep"].as_str().map(str::to_owned);
    settings.sweep_params = Some(chosen);
    let config = Json::Object(vec![("budget".to_owned(), "0.25".into())]);
    Run::start(
        settings,
        RunInfo {
            config,
            ..RunInfo::default()
        },
    )
    .finish(0);
    let variables = &server.asked("UpsertBucket")[0].body()["variables"];
    assert_eq!(variables["sweep"], recorded["sweep"]);
    assert_eq!(variables["config"], r#"{"budget":{"value":0.25}}"#);
}

/// RFC 4648, as the header of HTTP's basic authorisation has it.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let six = (bits >> (18 - 6 * index)) & 63;
            let padding = index > chunk.len();
            out.push(if padding {
                '='
            } else {
                char::from(LETTERS[six as usize])
            });
        }
    }
    out
}
