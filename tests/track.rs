//! Tracking against a server on this machine, compared with what the W&B client was recorded to
//! send.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "track/failures.rs"]
mod failures;
#[path = "track/golden.rs"]
mod golden;
#[path = "track/program.rs"]
mod program;
#[path = "track/programs.rs"]
mod programs;
#[path = "track/real.rs"]
mod real;
#[path = "track/recorded.rs"]
mod recorded;
#[path = "track/resumed.rs"]
mod resumed;
#[path = "track/server.rs"]
mod server;
#[path = "track/spooled.rs"]
mod spooled;

use server::Server;
use smartkv::assets::Token;
use smartkv::track::{Notices, Pace, Settings};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A key that is nobody's.
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// Everything happens at once.
const FAST: Pace = Pace {
    transmit: Duration::from_millis(20),
    heartbeat: Duration::from_secs(60),
    system: Duration::from_secs(60),
    backoff: Duration::from_millis(5),
    longest_backoff: Duration::from_millis(40),
    outage: Duration::from_secs(60),
    goodbye: Duration::from_secs(20),
    last_attempt: Duration::from_secs(20),
};

/// What tracking said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    fn warnings(&self) -> usize {
        let lines = self.0.lock().unwrap();
        lines
            .iter()
            .filter(|line| line.starts_with("warning: "))
            .count()
    }
}

/// Settings of a run that goes to `server` and into `dir`.
fn online(server: &Server, dir: &Path) -> (Settings, Said) {
    let said = Said::default();
    let into = said.clone();
    let settings = Settings {
        online: true,
        base_url: server.url.clone(),
        key: Some(Token::new(KEY)),
        run_id: Some("run00001".to_owned()),
        entity: Some("ent".to_owned()),
        pace: FAST,
        notices: Notices::to(move |line| into.0.lock().unwrap().push(line.to_owned())),
        ..Settings::at(dir.join("wandb"))
    };
    (settings, said)
}

/// The one folder of a run in `dir`.
fn folder(dir: &Path) -> PathBuf {
    let mut found = std::fs::read_dir(dir.join("wandb")).unwrap();
    let folder = found.next().unwrap().unwrap().path();
    assert!(found.next().is_none());
    folder
}

/// The file of the one run in `dir`.
fn spool(dir: &Path) -> PathBuf {
    folder(dir).join("run-run00001.wandb")
}

/// Waits for what another thread does; how long does not matter.
fn until(what: &str, ready: impl Fn() -> bool) {
    for _ in 0..2000 {
        if ready() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}
