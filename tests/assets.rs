//! Finding and fetching models, texts and data sets, against a server on this machine.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "assets/datasets.rs"]
mod datasets;
#[path = "assets/http.rs"]
mod http;
#[path = "assets/hub.rs"]
mod hub;
#[path = "assets/names.rs"]
mod names;
#[path = "assets/pip.rs"]
mod pip;
#[path = "assets/server.rs"]
mod server;

use smartkv::assets::{AssetError, Policy};
use std::path::Path;
use std::time::Duration;

/// A policy that knows nothing but `dir`, and does not wait between attempts.
fn policy(dir: &Path) -> Policy {
    Policy {
        backoff: Duration::from_millis(1),
        attempts: 3,
        ..Policy::at(dir.join("cache"))
    }
}

/// The error as the command line shows it.
fn shown(error: &AssetError) -> String {
    let lines = error
        .hints()
        .into_iter()
        .map(|hint| format!("\nhint: {hint}"));
    lines.fold(error.to_string(), |text, line| text + &line)
}
