//! Finds the files of this folder and its subfolders, so that adding a plugin is adding one file.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed={folder}");
    let mut modules = String::new();
    list(Path::new(&folder), &mut modules);
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("modules.rs");
    fs::write(out, modules).expect("the build folder is writable");
}

#[expect(
    clippy::unnecessary_debug_formatting,
    reason = "a quoted, escaped Rust string"
)]
/// A module for every file of `folder`, and one for every subfolder with files of its own.
fn list(folder: &Path, modules: &mut String) {
    let entries = fs::read_dir(folder).expect("a folder of the package");
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_stem()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let source = path.extension().is_some_and(|e| e == "rs");
        if source && name != "lib" && name != "build" {
            writeln!(modules, "#[path = {path:?}]\npub mod {name};").expect("a string grows");
        } else if path.is_dir()
            && !["tests", "target"].contains(&name.as_str())
            // A folder beside a file of its name holds that file's own modules.
            && !path.with_extension("rs").exists()
        {
            writeln!(modules, "/// Registered {name}.\npub mod {name} {{").expect("a string grows");
            list(&path, modules);
            modules.push_str("}\n");
        }
    }
}
