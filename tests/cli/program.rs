//! Runs the program and checks what holds for every run.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// A small random model that is part of the repository; its context holds 256 tokens.
pub(crate) const TINY: &str = "tests/golden/tiny-llama";

/// A quick evaluation of the tiny model.
const QUICK: [&str; 11] = [
    "eval",
    "--model",
    TINY,
    "--no-needle",
    "--windows",
    "2",
    "--prefill-tokens",
    "40",
    "--score-tokens",
    "8",
    "--text",
];

/// A text that is part of the repository.
pub(crate) const TEXT: &str = "LICENSE-APACHE";

/// What a run left.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program, in the repository, with nothing of the caller's settings.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartkv"));
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    for name in [
        "MODEL", "WEIGHTS", "STRATEGY", "BUDGET", "TEXT", "PROTOCOL", "SEED", "THREADS", "DATA",
    ] {
        command.env_remove(format!("SMARTKV_{name}"));
    }
    command
}

pub(crate) fn finish(mut command: Command) -> Run {
    let output = command.output().unwrap();
    let run = Run {
        // No code is a signal: a crash.
        code: output.status.code().expect("ends by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

pub(crate) fn run(args: &[&str]) -> Run {
    finish(program(args))
}

/// Checks that a run failed as it should and gives its message.
pub(crate) fn refusal(run: &Run) -> String {
    let text = run.stderr.clone();
    assert!(run.code == 1 || run.code == 2, "code {}: {text}", run.code);
    assert_eq!(run.stdout, "", "a failure prints no result: {text}");
    let errors = text.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{text}");
    text
}

/// The message of a command that is refused with `code`; it holds all of `parts`.
#[track_caller]
pub(crate) fn refused(code: i32, args: &[&str], parts: &[&str]) -> String {
    let run = run(args);
    let text = refusal(&run);
    assert_eq!(run.code, code, "{text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    text
}

/// The one JSON object of a command that succeeds.
#[track_caller]
pub(crate) fn json(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.stderr.contains("error:"), "{}", run.stderr);
    // Fails on anything before, after or between.
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(value.is_object(), "{value}");
    value
}

/// Arguments of a quick evaluation of the tiny model, and more.
pub(crate) fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&QUICK[..], &[TEXT], more].concat()
}

/// The same on another text.
pub(crate) fn quick_on<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&QUICK[..], &[text], more].concat()
}

/// Arguments of a quick evaluation of another model.
pub(crate) fn quick_model(model: &str) -> Vec<&str> {
    let mut args = quick(&[]);
    args[2] = model;
    args
}

/// Names of what lies in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes a file and gives its path as an argument.
pub(crate) fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_string()
}
