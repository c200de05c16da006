//! `smartkv new`: crates for strategies of one's own. CI builds one: `.ci/plugin`.

use crate::program::{TEXT, json, names, program, refused, run};
use std::path::Path;
use tempfile::tempdir;

const TREE: &str = env!("CARGO_MANIFEST_DIR");

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn a_crate_is_written_for_the_name() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("mine");
    let dir = folder.to_str().unwrap();
    let told = json(&run(&["new", "top-k", "--dir", dir, "--json"]));
    assert_eq!(told["name"], "top-k");
    for file in told["files"].as_array().unwrap() {
        let text = read(&folder, file.as_str().unwrap());
        assert!(
            !text.contains("my-strategy") && !text.contains("my_strategy"),
            "{text}"
        );
        assert!(
            !text.contains("MyStrategy") && !text.contains("{dependencies}"),
            "{text}"
        );
    }
    let all = [
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "src",
        "tests",
        "top-k.yaml",
    ];
    assert_eq!(names(&folder), all);
    assert_eq!(names(&folder.join("src")), ["lib.rs", "main.rs"]);
    assert_eq!(names(parent.path()), ["mine"], "nothing else is left");
    assert!(read(&folder, "src/lib.rs").contains("#[strategy(\"top-k\""));
    assert!(read(&folder, "src/main.rs").starts_with("use top_k as _;"));
    assert_eq!(read(&folder, "src/main.rs").lines().count(), 4);
    let manifest = read(&folder, "Cargo.toml");
    let tree = serde_json::Value::from(TREE).to_string();
    assert!(
        manifest.contains(&format!("smartkv = {{ path = {tree} }}")),
        "{manifest}"
    );
}

#[test]
fn the_folder_is_named_as_the_strategy_unless_told() {
    let parent = tempdir().unwrap();
    let mut command = program(&["new", "fading", "--source", "https://example.org/kv.git"]);
    command.current_dir(parent.path());
    let told = crate::program::finish(command);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));
    assert!(
        told.stdout.contains("cargo test --release"),
        "{}",
        told.stdout
    );
    let manifest = read(&parent.path().join("fading"), "Cargo.toml");
    assert!(manifest.contains("smartkv-core = { git = \"https://example.org/kv.git\" }"));
}

#[test]
fn what_is_there_already_stays() {
    let parent = tempdir().unwrap();
    let dir = parent.path().to_str().unwrap();
    refused(
        1,
        &["new", "fading", "--dir", dir],
        &["exists already", "--dir"],
    );
    assert!(names(parent.path()).is_empty());
    refused(1, &["new", "fading", "--dir", TEXT], &["exists already"]);
    let nowhere = parent.path().join("a/b");
    let nowhere = nowhere.to_str().unwrap();
    refused(1, &["new", "fading", "--dir", nowhere], &["does not exist"]);
}

#[test]
fn names_and_sources_that_cannot_work_are_refused() {
    let parent = tempdir().unwrap();
    let dir = parent.path().join("x");
    let dir = dir.to_str().unwrap();
    for (name, part) in [
        ("Mine", "expected lower-case ASCII letters"),
        ("2bit", "a letter first"),
        ("uniform", "is a strategy of `smartkv-baselines` already"),
        ("ema", "is a tracker of `smartkv-strategies` already"),
        ("k8v4", "is a shipped configuration already"),
        ("match", "cannot name a crate"),
    ] {
        refused(1, &["new", name, "--dir", dir], &[name, part]);
    }
    refused(
        1,
        &["new", "fading", "--dir", dir, "--source", "docs"],
        &["--source docs: no source tree of smartkv"],
    );
    assert!(names(parent.path()).is_empty(), "nothing is half written");
}
