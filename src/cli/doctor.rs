//! `smartkv doctor`: what this machine has, and what would stand in the way.

mod caches;
mod machine;

use super::output;
use crate::assets::Policy;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;

/// Arguments of `smartkv doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Note,
    Problem,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            found: found.into(),
            hint: None,
        }
    }

    fn note(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self {
            name,
            status: Status::Note,
            found: found.into(),
            hint,
        }
    }

    fn problem(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            status: Status::Problem,
            ..Self::note(name, found, hint)
        }
    }
}

/// Runs the command. Fails when something blocks.
pub(super) fn run(_args: DoctorArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let checks = checks(policy);
    let problems = checks
        .iter()
        .filter(|check| check.status == Status::Problem)
        .count();
    if as_json {
        output::json(&json!({ "ok": problems == 0, "checks": checks }))?;
    } else {
        output::text(&render(&checks)?)?;
    }
    anyhow::ensure!(
        problems == 0,
        "{problems} of {} checks found a problem",
        checks.len()
    );
    Ok(())
}

fn checks(policy: &Policy) -> Vec<Check> {
    vec![
        machine::version(),
        machine::simd(),
        machine::threads(),
        machine::memory(),
        machine::gpu(policy),
        caches::cache(policy),
        caches::hub_cache(policy),
        caches::model(policy),
        caches::pip(policy),
        caches::network(policy),
    ]
}

fn render(checks: &[Check]) -> anyhow::Result<String> {
    let mut text = String::new();
    for Check {
        name,
        status,
        found,
        hint,
    } in checks
    {
        let word = match status {
            Status::Ok => "ok",
            Status::Note => "note",
            Status::Problem => "problem",
        };
        writeln!(text, "{word:<9}{name:<15}{found}")?;
        if let Some(hint) = hint {
            writeln!(text, "{:<24}hint: {hint}", "")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn looks_and_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Policy::at(dir.path().join("deep/cache")).offline_if(true);
        let checks = checks(&policy);
        assert!(
            checks.iter().all(|check| check.status != Status::Problem),
            "{checks:?}"
        );
        let text = render(&checks).unwrap();
        assert!(
            text.contains("offline mode") && text.contains("no Python"),
            "{text}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_a_problem() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = caches::cache(&Policy::at(file.path().join("cache")));
        assert_eq!(check.status, Status::Problem);
        assert!(check.hint.unwrap().contains("SMARTKV_CACHE"));
    }
}
