//! Running a program with a limit on its time.

use anyhow::Context as _;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at: rarely, so that looking costs it nothing.
const LOOK: Duration = Duration::from_millis(200);

/// The program's standard output; `None` when it was ended at the limit.
pub(super) fn output(
    command: &mut Command,
    limit: Option<Duration>,
) -> anyhow::Result<Option<String>> {
    let what = format!("{}", command.get_program().display());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {what}"))?;
    let mut pipe = child.stdout.take().context("the output is piped")?;
    // Read beside the program: it would stop at a full pipe.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if limit.is_some_and(|limit| start.elapsed() > limit) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    };
    let text = reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader of {what} ended"))?
        .with_context(|| format!("cannot read what {what} prints"))?;
    anyhow::ensure!(status.success(), "{what} failed: {status}");
    Ok(Some(text))
}

/// Runs a program to its end, its output shown to the user.
pub(super) fn finish(command: &mut Command) -> anyhow::Result<()> {
    let what = format!("{}", command.get_program().display());
    // What it prints is not our result.
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot run {what}"))?;
    anyhow::ensure!(status.success(), "{what} failed: {status}");
    Ok(())
}
