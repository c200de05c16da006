//! Embeds the shipped strategy configurations by name.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[expect(
    clippy::unnecessary_debug_formatting,
    reason = "a quoted, escaped Rust string"
)]
fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("configs/strategies");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("configs/strategies")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    paths.sort();
    let mut table = String::from("&[\n");
    for path in paths {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().expect("a file").to_string_lossy();
        writeln!(table, "({name:?}, include_str!({path:?})),").expect("a string grows");
    }
    table.push(']');
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("strategies.rs");
    fs::write(out, table).expect("the build folder is writable");
}
