//! The commands of Slurm: `sbatch`, `squeue`, `scontrol`. Not `sacct`, which many sites lack.

use super::arrays::ArrayLimits;
use super::error::LaunchError;
use super::queue::{FORMAT, Queue};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The number of a job or of a whole array.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The job that `text` names, if it is a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| Self(text.to_string()))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Variables that would hide jobs from `squeue` or change how it writes them.
const SQUEUE_VARIABLES: [&str; 14] = [
    "SQUEUE_ACCOUNT",
    "SQUEUE_FEDERATION",
    "SQUEUE_FORMAT",
    "SQUEUE_FORMAT2",
    "SQUEUE_LICENSES",
    "SQUEUE_LOCAL",
    "SQUEUE_NAMES",
    "SQUEUE_PARTITION",
    "SQUEUE_PRIORITY",
    "SQUEUE_QOS",
    "SQUEUE_SIBLING",
    "SQUEUE_SORT",
    "SQUEUE_STATES",
    "SQUEUE_USERS",
];

/// The site's limits on job arrays.
pub(super) fn limits() -> Result<ArrayLimits, LaunchError> {
    let config = ask("scontrol", &["show", "config"])?;
    ArrayLimits::parse(&config).ok_or_else(|| {
        LaunchError::nonsense("scontrol show config", "a line `MaxArraySize = N`", &config)
    })
}

/// What has not ended of the jobs called `names`.
pub(super) fn queue(names: &[&str]) -> Result<Queue, LaunchError> {
    // By name: a job that Slurm has forgotten would be an error by number.
    let names = format!("--name={}", names.join(","));
    let arguments = ["--noheader", "--array", "--all", &names, "--format", FORMAT];
    let text = ask("squeue", &arguments)?;
    Queue::parse(&text)
        .map_err(|line| LaunchError::nonsense("squeue", &format!("lines like {FORMAT}"), &line))
}

/// Submits a job; its number.
pub(super) fn submit(arguments: &[String]) -> Result<JobId, LaunchError> {
    let text = ask("sbatch", arguments)?;
    // Sites print greetings before it; the name of a cluster may follow it.
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let number = last.and_then(|line| line.trim().split(';').next());
    number
        .and_then(JobId::parse)
        .ok_or_else(|| LaunchError::nonsense("sbatch --parsable", "the number of a job", &text))
}

/// What a command prints.
fn ask<S: AsRef<std::ffi::OsStr>>(
    tool: &'static str,
    arguments: &[S],
) -> Result<String, LaunchError> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null());
    for name in SQUEUE_VARIABLES {
        command.env_remove(name);
    }
    let output = command
        .output()
        .map_err(|source| LaunchError::NoCommand { tool, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = match said.trim() {
        "" => format!("{}, and not a word", output.status),
        said => said.to_string(),
    };
    Err(LaunchError::Refused { tool, said })
}

/// A name that `squeue --name` can ask for: it splits at commas.
pub(super) fn job_name(plan: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plan: String = plan
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    format!("smartkv-{plan}")
}

/// A path for `--output`, in which `%` begins a pattern.
pub(super) fn log_path(folder: &Path, pattern: &str) -> String {
    let folder = folder.display().to_string().replace('%', "%%");
    format!("{folder}/{pattern}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_survive_slurms_patterns() {
        assert_eq!(job_name("budget-2.v1"), "smartkv-budget-2.v1");
        assert_eq!(job_name("a,b c"), "smartkv-a-b-c");
        let path = log_path(Path::new("/100%/logs"), "%A_%a.log");
        assert_eq!(path, "/100%%/logs/%A_%a.log");
        assert_eq!(JobId::parse("12_3"), None);
        assert_eq!(JobId::parse(""), None);
    }
}
