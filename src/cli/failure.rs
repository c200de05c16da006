//! Errors for people: one message, its causes, and what to do.

use super::bench::BenchError;
use crate::assets::AssetError;
use crate::config::ConfigError;
use crate::experiment::launch::LaunchError;
use crate::experiment::{EXIT_BUSY, EXIT_STORE, ExperimentError, store_error};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the error that ends the process is printed already.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Prints the error that ends the process, unless it was [told](tell), and says how to exit.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    tell(error);
    exit_code(error)
}

/// Prints `error:` with its causes and `hint:` lines to standard error, the first time. For the
/// error that ends the process, before something else is waited for.
pub(super) fn tell(error: &anyhow::Error) {
    if TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut text = String::from("error: ");
    let mut last = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let message = cause.to_string();
        // Transparent wrappers and messages that quote their cause say it once.
        if depth > 0 && !last.contains(&message) {
            text.push_str("\n  because: ");
            text.push_str(&message);
        } else if depth == 0 {
            text.push_str(&message);
        }
        last = message;
    }
    for hint in hints(error) {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    text.push('\n');
    // Nothing is left to tell when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What a script can tell apart: the codes of `sysexits.h` for a disk and for "later", and 130 for
/// a run that was stopped.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if store_error(error).is_some() {
        return ExitCode::from(EXIT_STORE);
    }
    if let Some(LaunchError::Submitting { .. }) = error.downcast_ref() {
        return ExitCode::from(EXIT_BUSY);
    }
    match error.downcast_ref::<ExperimentError>() {
        Some(ExperimentError::Busy { .. }) => ExitCode::from(EXIT_BUSY),
        Some(ExperimentError::Stopped { .. }) => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    }
}

fn hints(error: &anyhow::Error) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for cause in error.chain() {
        let hints = if let Some(e) = cause.downcast_ref::<smartkv_core::Error>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<ConfigError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<smartkv_host::Error>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<AssetError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<smartkv_eval::EvalError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<ExperimentError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<LaunchError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<smartkv_analysis::AnalysisError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<smartkv_analysis::figure::FigureError>() {
            e.hints()
        } else if let Some(e) = cause.downcast_ref::<BenchError>() {
            e.hints()
        } else {
            Vec::new()
        };
        for hint in hints {
            if !all.contains(&hint) {
                all.push(hint);
            }
        }
    }
    all
}
