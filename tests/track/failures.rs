//! Servers that fail, refuse and disappear; nothing of it reaches what is tracked.

use super::golden::scenario;
use super::server::{Behaviour, Fault, Request, Server};
use super::{FAST, KEY, Said, folder, online, spool, until};
use smartkv::track::{Json, Pace, Run, RunInfo, SpoolReader};
use std::path::Path;
use std::time::Duration;

/// The kind of a request, as the recording tells them apart.
fn kind(request: &Request) -> String {
    match request.operation() {
        operation if operation.is_empty() => request.path.rsplit('/').next().unwrap().to_owned(),
        operation => operation,
    }
}

fn fault(status: u16) -> Fault {
    Fault {
        status,
        message: format!("injected, {KEY}"),
        ..Fault::default()
    }
}

fn track(server: &Server, dir: &Path) -> Said {
    let (settings, said) = online(server, dir);
    let run = Run::start(settings, RunInfo::default());
    run.log(vec![("x".to_owned(), 1.0.into())]);
    run.finish(0);
    said
}

/// Every record of the file is whole.
fn records(file: &Path) -> usize {
    let mut reader = SpoolReader::open(file).unwrap();
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(reader.position(), std::fs::metadata(file).unwrap().len());
    count
}

#[test]
fn what_the_client_tries_again_is_tried_again() {
    let recorded = scenario("retry_503x2_409x1");
    // The failures that were recorded, in their order, by what was asked.
    let failed = |what: &'static str| -> Vec<u16> {
        let ours = recorded.iter().filter(|one| match what {
            "file_stream" => one.is_stream(),
            operation => one.get("body")["operationName"] == operation,
        });
        let status = ours.map(|one| u16::try_from(one.get("status").as_u64().unwrap()).unwrap());
        status.filter(|status| *status != 200).collect()
    };
    let (upsert, stream) = (failed("UpsertBucket"), failed("file_stream"));
    assert_eq!(
        (upsert.as_slice(), stream.as_slice()),
        (&[409][..], &[503, 503][..])
    );
    let server = Server::failing(move |request, before| {
        let failures = match kind(request).as_str() {
            "UpsertBucket" => &upsert,
            "file_stream" => &stream,
            _ => return None,
        };
        failures.get(before).map(|status| fault(*status))
    });
    let dir = tempfile::tempdir().unwrap();
    let said = track(&server, dir.path());
    assert_eq!(said.warnings(), 0, "{}", said.all());
    assert_eq!(server.asked("UpsertBucket").len(), 2);
    assert_eq!(server.file("wandb-history.jsonl").len(), 1);
    // The same request again, not another one.
    let streams = server.requests().into_iter().filter(Request::is_stream);
    let bodies: Vec<_> = streams.map(|request| request.content).take(3).collect();
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
}

#[test]
fn a_server_says_how_long_it_wants_to_be_left_alone() {
    let server = Server::failing(|request, before| {
        (request.is_stream() && before == 0).then(|| Fault {
            retry_after: Some(0),
            ..fault(429)
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, said) = online(&server, dir.path());
    // Without the server's word the next attempt would come after an hour.
    settings.pace = Pace {
        backoff: Duration::from_secs(3600),
        longest_backoff: Duration::from_secs(3600),
        ..FAST
    };
    Run::start(settings, RunInfo::default()).finish(0);
    assert_eq!(said.warnings(), 0, "{}", said.all());
    assert_eq!(server.streamed().last().unwrap()["complete"], true);

    // One that wants longer than anybody waits is given up at once.
    let server = Server::failing(|_, _| {
        Some(Fault {
            retry_after: Some(86_400),
            ..fault(503)
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let said = track(&server, dir.path());
    assert_eq!(said.warnings(), 1, "{}", said.all());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_refused_key_is_tried_once() {
    let recorded = scenario("auth401");
    assert_eq!(recorded.len(), 1, "the client gives up at once, too");
    let server = Server::failing(|_, _| Some(fault(401)));
    let dir = tempfile::tempdir().unwrap();
    let said = track(&server, dir.path());
    assert_eq!(server.requests().len(), 1);
    assert_eq!(said.warnings(), 1);
    let folder = folder(dir.path());
    let text = said.all();
    assert!(
        text.contains("does not accept the key (HTTP 401)"),
        "{text}"
    );
    assert!(
        text.contains(&format!("`wandb sync {}` sends it", folder.display())),
        "{text}"
    );
    assert!(records(&spool(dir.path())) > 5);
}

#[test]
fn refusals_are_not_tried_again() {
    for status in [400, 403, 404, 410, 413, 422, 501, 302] {
        let server = Server::failing(move |_, _| Some(fault(status)));
        let dir = tempfile::tempdir().unwrap();
        let said = track(&server, dir.path());
        assert_eq!(
            (server.requests().len(), said.warnings()),
            (1, 1),
            "{status}"
        );
    }
    // A stream that conflicts is not a run that is being made.
    let server = Server::failing(|request, _| request.is_stream().then(|| fault(409)));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(track(&server, dir.path()).warnings(), 1);
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|one| one.is_stream())
            .count(),
        1
    );
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::failing(|_, _| Some(fault(500)));
    let pace = Pace {
        outage: Duration::from_millis(200),
        ..FAST
    };
    let (mut settings, said) = online(&server, dir.path());
    settings.pace = pace;
    Run::start(settings, RunInfo::default()).finish(0);
    assert_eq!(said.warnings(), 1, "{}", said.all());
    assert!(said.all().contains("HTTP 500"), "{}", said.all());
    assert!(server.requests().len() > 2);
    assert!(said.all().contains("wandb sync"));
    assert!(records(&spool(dir.path())) > 5);

    // Nothing listens there.
    let (mut settings, said) = online(&server, dir.path());
    settings.base_url = "http://127.0.0.1:9".to_owned();
    settings.dir = dir.path().join("other");
    settings.pace = pace;
    Run::start(settings, RunInfo::default()).finish(0);
    assert_eq!(said.warnings(), 1, "{}", said.all());
}

#[test]
fn a_run_that_ends_tries_once_more() {
    let server = Server::failing(|request, before| {
        (request.operation() == "UpsertBucket" && before == 0).then(|| fault(503))
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, said) = online(&server, dir.path());
    // Otherwise the next attempt would come after an hour.
    settings.pace = Pace {
        backoff: Duration::from_secs(3600),
        longest_backoff: Duration::from_secs(3600),
        outage: Duration::from_secs(36_000),
        ..FAST
    };
    let run = Run::start(settings, RunInfo::default());
    until("the failure", || server.requests().len() == 1);
    run.finish(0);
    assert_eq!(said.warnings(), 0, "{}", said.all());
    assert_eq!(server.streamed().last().unwrap()["complete"], true);
}

#[test]
fn a_run_that_ends_does_not_wait_for_a_server_that_is_silent() {
    // It would be tried for an hour.
    let server = Server::failing(|_, _| Some(fault(500)));
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, said) = online(&server, dir.path());
    settings.pace = Pace {
        outage: Duration::from_secs(3600),
        // Enough for the test to hang if it waited for this.
        goodbye: Duration::from_secs(36_000),
        last_attempt: Duration::from_millis(50),
        ..FAST
    };
    Run::start(settings, RunInfo::default()).finish(0);
    assert!(said.all().contains("has not answered"), "{}", said.all());
}

#[test]
fn no_wait_is_too_long_to_be_counted() {
    // Added to the second that has passed by then, it is more than a duration holds.
    let server = Server::failing(|_, before| {
        Some(Fault {
            retry_after: Some(if before == 0 { 1 } else { u64::MAX }),
            ..fault(503)
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let said = track(&server, dir.path());
    assert_eq!(said.warnings(), 1, "{}", said.all());
    assert!(said.all().contains("HTTP 503"), "{}", said.all());
}

#[test]
fn a_storage_that_is_away_takes_no_line_with_it() {
    let server = Server::failing(|request, _| (request.method == "PUT").then(|| fault(503)));
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, said) = online(&server, dir.path());
    // An outage of the server itself would end everything at once.
    settings.pace = Pace {
        outage: Duration::ZERO,
        last_attempt: Duration::from_millis(100),
        ..FAST
    };
    let run = Run::start(settings, RunInfo::default());
    run.file("a.svg", "<svg/>");
    until("the upload", || !server.stored().is_empty());
    run.log(vec![("x".to_owned(), 1.0.into())]);
    run.finish(0);
    assert_eq!(said.warnings(), 1, "{}", said.all());
    assert!(said.all().contains("cannot be uploaded"), "{}", said.all());
    assert_eq!(server.file("wandb-history.jsonl").len(), 1);
    assert_eq!(server.streamed().last().unwrap()["complete"], true);
}

#[test]
fn a_summary_too_long_for_the_server_is_told() {
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (mut settings, said) = online(&server, dir.path());
    settings.pace = Pace {
        transmit: Duration::from_secs(3600),
        ..FAST
    };
    let run = Run::start(settings, RunInfo::default());
    // What comes after the first request goes with the run's end.
    until("the first request", || !server.streamed().is_empty());
    run.summary(vec![("x".to_owned(), "x".repeat(11 << 20).into())]);
    run.finish(0);
    assert!(
        said.all().contains("the summary is longer"),
        "{}",
        said.all()
    );
    assert_eq!(server.streamed().last().unwrap()["complete"], true);
}

#[test]
fn a_file_that_cannot_be_uploaded_is_left_out() {
    let server = Server::failing(|request, _| {
        let bad = request.method == "PUT" && request.path.ends_with("/bad.svg");
        bad.then(|| fault(403))
    });
    let dir = tempfile::tempdir().unwrap();
    let (settings, said) = online(&server, dir.path());
    let run = Run::start(settings, RunInfo::default());
    run.file("figures/bad.svg", "<svg/>");
    run.file("figures/good.svg", "<svg/>");
    for outside in ["../x", "/etc/x", "", "a/../../b"] {
        run.file(outside, "x");
    }
    run.finish(0);
    assert_eq!(said.warnings(), 5, "{}", said.all());
    assert!(
        said.all().contains("bad.svg cannot be uploaded: HTTP 403"),
        "{}",
        said.all()
    );
    assert_eq!(server.stored()["figures/good.svg"], b"<svg/>");
    assert_eq!(server.streamed().last().unwrap()["complete"], true);
    let files = folder(dir.path()).join("files/figures");
    assert!(files.join("bad.svg").is_file() && files.join("good.svg").is_file());
}

#[test]
fn stop_is_heard() {
    let server = Server::start(Behaviour {
        stopped: true,
        ..Behaviour::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let (settings, said) = online(&server, dir.path());
    let run = Run::start(settings, RunInfo::default());
    until("stop", || run.is_stopped());
    run.finish(0);
    assert!(said.all().contains("pressed Stop"), "{}", said.all());
    assert!(!Run::off().is_stopped());
}

#[test]
fn a_line_too_long_for_the_server_is_left_out_there() {
    let server = Server::start(Behaviour::default());
    let dir = tempfile::tempdir().unwrap();
    let (settings, said) = online(&server, dir.path());
    let run = Run::start(settings, RunInfo::default());
    run.output(&"x".repeat(11 << 20), smartkv::track::Printed::Out);
    run.output("short", smartkv::track::Printed::Out);
    run.finish(0);
    assert_eq!(said.warnings(), 1, "{}", said.all());
    let lines = server.file("output.log");
    assert_eq!(lines.len(), 1);
    assert!(lines[&0].ends_with(" short"));
}

#[test]
fn a_folder_that_cannot_be_written_only_warns() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour::default());
    let (mut settings, said) = online(&server, dir.path());
    std::fs::write(dir.path().join("file"), "").unwrap();
    settings.dir = dir.path().join("file/wandb");
    let run = Run::start(settings, RunInfo::default());
    assert!(!run.is_on());
    run.log(vec![("x".to_owned(), 1.0.into())]);
    run.report(&serde_json::json!({"quality": {"x": 1}}));
    run.finish(0);
    assert_eq!(said.warnings(), 1, "{}", said.all());
    assert!(said.all().contains("nothing is tracked"), "{}", said.all());
    assert!(server.requests().is_empty());
}

#[test]
fn the_key_is_nowhere() {
    // A server that repeats it in every refusal.
    let refusing = Server::failing(|_, _| Some(fault(400)));
    let taking = Server::start(Behaviour::default());
    for server in [&refusing, &taking] {
        let dir = tempfile::tempdir().unwrap();
        let (settings, said) = online(server, dir.path());
        assert!(!format!("{settings:?}").contains(KEY));
        let run = Run::start(settings, RunInfo::default());
        run.log(vec![("x".to_owned(), Json::Float(1.0))]);
        assert!(!format!("{run:?}").contains(KEY));
        run.finish(0);
        assert!(!said.all().contains(KEY), "{}", said.all());
        let mut files = vec![folder(dir.path())];
        let mut seen = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(
                    std::fs::read_dir(path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes());
            assert!(!found, "{}", path.display());
            seen += 1;
        }
        assert!(seen >= 4);
        for request in server.requests() {
            let body = String::from_utf8_lossy(&request.content).into_owned();
            assert!(!body.contains(KEY) && !request.path.contains(KEY));
        }
    }
}
