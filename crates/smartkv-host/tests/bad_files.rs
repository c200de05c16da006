//! Files that are missing, truncated, corrupt or of another kind: always an error that names the
//! file, never a panic, never an allocation by a corrupt count.

mod common;

use common::golden_folder;
use safetensors::tensor::{SafeTensors, TensorView, serialize};
use smartkv_host::{Error, LoadOptions, LogitsFor, Model, PlainCache};
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::path::Path;

fn gguf() -> Vec<u8> {
    std::fs::read(golden_folder().join("tiny-llama/tiny-llama.gguf")).unwrap()
}

/// Loads `bytes` as a file and, when that works, runs it. The message must name the file.
fn try_model(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).unwrap();
    let outcome = catch_unwind(|| {
        let model = Model::load(path, LoadOptions::default())?;
        let mut cache = PlainCache::new(model.cache_shape(1)?);
        model
            .forward(&[&[3, 7, 9]], &mut cache, LogitsFor::Last, false)
            .map(|_| ())
    });
    match outcome.expect("no file may cause a panic") {
        Ok(()) => Ok(()),
        // Damaged weights can be numbers still, and only overflow when they are used.
        Err(Error::Cache(_) | Error::Input(_)) => Ok(()),
        Err(error) => {
            let message = error.to_string();
            assert!(
                message.contains("model.gguf"),
                "does not name the file: {message}"
            );
            Err(message)
        }
    }
}

#[test]
fn truncations_are_errors() {
    let bytes = gguf();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    assert_eq!(try_model(&path, &bytes), Ok(()));
    // Every length near the start, then steps that are no multiple of anything.
    let lengths = (0..64)
        .chain((64..bytes.len()).step_by(211))
        .chain([bytes.len() - 1]);
    for length in lengths {
        let error = try_model(&path, &bytes[..length]);
        let message = error.expect_err(&format!("{length} of {} bytes were accepted", bytes.len()));
        if length > 4 {
            assert!(message.contains("truncated"), "{length}: {message}");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    let bytes = gguf();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let header = bytes
        .windows(10)
        .position(|window| window == b"rope_freqs")
        .unwrap()
        + 64;
    let mut refused = 0;
    let mut damaged = bytes.clone();
    let places = (0..header).step_by(7);
    let flips = places.len();
    for at in places {
        // Another bit each time, the high ones included: they make the absurd counts.
        let bit = 1 << (at % 8);
        damaged[at] ^= bit;
        refused += usize::from(try_model(&path, &damaged).is_err());
        damaged[at] ^= bit;
    }
    println!("{refused} of {flips} flips refused");
    assert!(refused > flips / 10, "{refused} of {flips}");
}

#[test]
fn extreme_numbers_in_the_header_are_refused() {
    let bytes = gguf();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    // Tensor count, entry count, and the length of the first key.
    for at in [8, 16, 24] {
        for value in [u64::MAX, u64::MAX / 2, 1 << 40, 1 << 20] {
            let mut damaged = bytes.clone();
            damaged[at..at + 8].copy_from_slice(&value.to_le_bytes());
            assert!(try_model(&path, &damaged).is_err(), "{value} at {at}");
        }
    }
}

#[test]
fn other_kinds_of_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let message = try_model(&path, b"PK\x03\x04 a zip").unwrap_err();
    assert!(
        message.contains(r"not a GGUF file: starts with PK\x03\x04"),
        "{message}"
    );
    assert!(
        try_model(&path, b"")
            .unwrap_err()
            .contains("the file is empty")
    );
    let mut bytes = gguf();
    bytes[4] = 1;
    assert!(
        try_model(&path, &bytes)
            .unwrap_err()
            .contains("GGUF version 1, expected 2 or 3")
    );

    let missing = folder.path().join("absent.gguf");
    let error = Model::load(&missing, LoadOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read") && !error.hints().is_empty());
}

#[test]
fn another_architecture_is_named_with_those_supported() {
    let mut bytes = gguf();
    let at = bytes
        .windows(5)
        .position(|window| window == b"llama")
        .unwrap();
    bytes[at..at + 5].copy_from_slice(b"mamba");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let error = Model::load(&path, LoadOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("architecture `mamba` is not supported"),
        "{error}"
    );
    assert_eq!(
        error.hints(),
        ["supported architecture: llama, qwen2, qwen3, phi3, gemma2, gemma3, gpt2"]
    );
}

/// A copy of the tiny folder with `edit` applied to its tensors, in `shards` files.
fn folder_with(shards: usize, edit: impl Fn(&str) -> bool) -> tempfile::TempDir {
    let source = golden_folder().join("tiny-llama");
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
    }
    let bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut parts: Vec<HashMap<String, TensorView<'_>>> = vec![HashMap::new(); shards];
    let mut map = serde_json::Map::new();
    for (index, (name, view)) in file.tensors().into_iter().enumerate() {
        let shard = format!("part-{}.safetensors", index % shards);
        map.insert(name.clone(), shard.into());
        if edit(&name) {
            parts[index % shards].insert(name, view);
        }
    }
    if shards == 1 {
        let bytes = serialize(parts.remove(0), None).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        return folder;
    }
    for (index, part) in parts.into_iter().enumerate() {
        let path = folder.path().join(format!("part-{index}.safetensors"));
        std::fs::write(path, serialize(part, None).unwrap()).unwrap();
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    folder
}

fn load_error(folder: &Path) -> String {
    Model::load(folder, LoadOptions::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn shards_are_one_model() {
    let run = |folder: &Path| {
        let model = Model::load(folder, LoadOptions::default()).unwrap();
        let mut cache = PlainCache::new(model.cache_shape(1).unwrap());
        model
            .forward(&[&[3, 7, 9]], &mut cache, LogitsFor::All, false)
            .unwrap()
    };
    let single = run(&golden_folder().join("tiny-llama"));
    assert_eq!(run(folder_with(3, |_| true).path()), single);
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let gone = "model.layers.1.mlp.up_proj.weight";
    for shards in [1, 2] {
        let folder = folder_with(shards, |name| name != gone);
        let message = load_error(folder.path());
        assert!(
            message.contains(gone) && message.contains("missing"),
            "{message}"
        );
    }
    let folder = folder_with(1, |_| true);
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config = config.replace("\"intermediate_size\": 96", "\"intermediate_size\": 100");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let message = load_error(folder.path());
    assert!(
        message.contains("mlp.gate_proj.weight")
            && message.contains("has shape [96, 64]")
            && message.contains("[100, 64]"),
        "{message}"
    );
}

#[test]
fn damaged_folders_are_errors() {
    let folder = folder_with(1, |_| true);
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for length in (0..bytes.len())
        .step_by(9973)
        .chain([1, 7, 8, 9, bytes.len() - 1])
    {
        std::fs::write(&weights, &bytes[..length]).unwrap();
        assert!(
            load_error(folder.path()).contains("model.safetensors"),
            "{length}"
        );
    }
    std::fs::remove_file(&weights).unwrap();
    assert!(load_error(folder.path()).contains("model.safetensors"));
    for name in ["tokenizer.json", "config.json"] {
        std::fs::write(folder.path().join(name), "{\"a\": ").unwrap();
        assert!(load_error(folder.path()).contains(name));
    }

    let folder = folder_with(2, |_| true);
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, r#"{"weight_map": {"x": "../outside.safetensors"}}"#).unwrap();
    assert!(load_error(folder.path()).contains("no file inside the folder"));
}
