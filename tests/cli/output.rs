//! Where results go: standard output and `--out`, whole or not at all.

use crate::program::{file, json, names, quick, refused, run};
use serde_json::Value;
use std::fs;
use tempfile::tempdir;

#[test]
fn a_missing_folder_is_refused_before_any_work() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("missing/record.json");
    let mut args = quick(&["--out", path.to_str().unwrap()]);
    // Looked at before the model: this one is not there.
    args[2] = "no/such/model.gguf";
    refused(
        1,
        &args,
        &[
            "--out ",
            "record.json: the folder ",
            "missing does not exist",
        ],
    );
    assert_eq!(names(dir.path()), [""; 0]);

    let folder = dir.path().to_str().unwrap();
    let mut args = quick(&["--out", folder]);
    args[2] = "no/such/model.gguf";
    refused(
        1,
        &args,
        &["--out ", ": a folder, expected the name of a file"],
    );
}

#[test]
fn the_record_is_written_whole_and_alone() {
    let dir = tempdir().unwrap();
    let path = file(dir.path(), "record.json", "an older record");
    let printed = json(&run(&quick(&["--json", "--out", &path])));
    let written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(names(dir.path()), ["record.json"]);
}

#[test]
fn a_failure_keeps_the_older_record() {
    let dir = tempdir().unwrap();
    let path = file(dir.path(), "record.json", "an older record");
    refused(
        1,
        &quick(&["--budget", "0.01", "--out", &path]),
        &["budget 0.01"],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "an older record");
    assert_eq!(names(dir.path()), ["record.json"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use crate::program::program;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
    use std::process::{Command, Stdio};

    #[test]
    fn a_record_is_as_readable_as_any_new_file() {
        let dir = tempdir().unwrap();
        let other = file(dir.path(), "other", "");
        let path = dir.path().join("record.json");
        let done = run(&quick(&["--out", path.to_str().unwrap()]));
        assert_eq!(done.code, 0, "{}", done.stderr);
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&path), mode(other.as_ref()));
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempdir().unwrap();
        let target = file(dir.path(), "target.json", "");
        let link = dir.path().join("link.json");
        symlink(&target, &link).unwrap();
        let done = run(&quick(&["--out", link.to_str().unwrap()]));
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().starts_with('{'));
    }

    /// What is no file is written to, not replaced. A pipe stands for `/dev/null` and its like:
    /// a test that fails must not harm the machine.
    #[test]
    fn a_pipe_is_written_to() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = Command::new("mkfifo").arg(&path).status();
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        // Ends with an empty text, should the program replace the pipe.
        let reader = Command::new("timeout")
            .arg("60")
            .arg("cat")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let done = run(&quick(&["--out", path.to_str().unwrap()]));
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
        let read = reader.wait_with_output().unwrap().stdout;
        let record: Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(record["schema"], "smartkv.eval/1");
        assert_eq!(names(dir.path()), ["pipe"]);
    }

    #[test]
    fn a_full_disk_behind_standard_output_is_an_error() {
        let full = std::path::Path::new("/dev/full");
        let device = fs::metadata(full).is_ok_and(|meta| meta.file_type().is_char_device());
        if !device {
            return;
        }
        let sink = fs::OpenOptions::new().write(true).open(full).unwrap();
        let mut command = program(&["strategies", "--json"]);
        let output = command.stdout(sink).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.starts_with("error: cannot write to standard output"),
            "{text}"
        );
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        let mut command = program(&["completions", "bash"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
    }
}
