//! Embeds the shipped strategy configurations and grids by name.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    if let Some(commit) = commit(Path::new(&root)) {
        println!("cargo::rustc-env=SMARTKV_COMMIT={commit}");
    }
    let configs = Path::new(&root).join("configs");
    let mut table = String::from("&[\n");
    for path in yaml_files(&configs.join("strategies")) {
        let name = path.file_stem().expect("a file").to_string_lossy();
        writeln!(table, "({name:?}, include_str!({:?})),", text(&path)).expect("a string grows");
    }
    table.push(']');
    write("strategies.rs", &table);

    // What grids share stands in `configs/grids`, which has no grids to be named.
    let mut table = String::from("&[\n");
    for folder in ["ablations", "sweeps", "grids"] {
        for path in yaml_files(&configs.join(folder)) {
            let stem = path.file_stem().expect("a file").to_string_lossy();
            let name = if folder == "grids" { "" } else { &stem };
            let file = format!("configs/{folder}/{stem}.yaml");
            writeln!(
                table,
                "({name:?}, {file:?}, include_str!({:?})),",
                text(&path)
            )
            .expect("a string grows");
        }
    }
    table.push(']');
    write("grids.rs", &table);
}

/// The commit that is built, with `-dirty` if files differed from it then; none outside a clone.
fn commit(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(args)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    // A package inside another repository is not of its commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    let head = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={}", root.join(head).display());
    git(&[
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ])
}

/// The YAML files of a folder in the order of their names; a new one builds again.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    paths.sort();
    for path in &paths {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    paths
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that Rust can quote")
}

fn write(name: &str, table: &str) {
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join(name);
    fs::write(out, table).expect("the build folder is writable");
}
