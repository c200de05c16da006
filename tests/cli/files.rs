//! Models and texts that are broken, foreign or not there.

use crate::program::{TINY, file, finish, names, program, quick_model, quick_on, refusal, refused};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn tiny(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(TINY).join(name)).unwrap()
}

/// Where `needle` first stands in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    let mut windows = bytes.windows(needle.len());
    windows.position(|window| window == needle).unwrap()
}

/// A folder with the files of the tiny model, `left_out` excepted and the weights exchanged.
fn folder(path: &Path, left_out: &str, weights: &[u8]) {
    fs::create_dir_all(path).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        if name != left_out {
            fs::write(path.join(name), tiny(name)).unwrap();
        }
    }
    fs::write(path.join("model.safetensors"), weights).unwrap();
}

#[test]
fn broken_gguf_files_are_refused() {
    let dir = tempdir().unwrap();
    let whole = tiny("tiny-llama.gguf");
    let noise: Vec<u8> = (0..5000_u32)
        .map(|i| u8::try_from(i * i / 8 % 256).unwrap())
        .collect();
    let mut half_noise = whole[..4].to_vec();
    half_noise.extend(&noise);
    for (name, bytes, expected) in [
        ("empty", &[][..], "is not a model: it is too short"),
        (
            "noise",
            &noise,
            "is not a model: it does not start as a GGUF file does",
        ),
        ("half-noise", &half_noise, "half-noise.gguf: "),
        (
            "weights-cut",
            &whole[..100_000],
            "reaches beyond the end of the file at 100000",
        ),
        (
            "header-cut",
            &whole[..1000],
            "the file is truncated or its header corrupt",
        ),
        ("start-only", &whole[..24], "start-only.gguf: "),
    ] {
        let path = file(dir.path(), &format!("{name}.gguf"), bytes);
        refused(1, &quick_model(&path), &[&path, expected, "\nhint: "]);
    }
}

#[test]
fn a_gguf_file_cut_anywhere_is_an_error_and_no_crash() {
    let dir = tempdir().unwrap();
    let whole = tiny("tiny-llama.gguf");
    for share in 1..8 {
        let path = file(dir.path(), "cut.gguf", &whole[..whole.len() * share / 8]);
        refused(1, &quick_model(&path), &[&path]);
    }
}

#[test]
fn another_architecture_is_refused_with_what_is_supported() {
    let dir = tempdir().unwrap();
    let mut bytes = tiny("tiny-llama.gguf");
    let at = find(&bytes, b"llama");
    bytes[at..at + 5].copy_from_slice(b"mamba");
    let path = file(dir.path(), "mamba.gguf", bytes);
    refused(
        1,
        &quick_model(&path),
        &[
            "architecture `mamba` is not supported",
            "hint: supported architecture: llama",
        ],
    );

    // The least that is a GGUF file: version 3, no tensors, one string.
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(20_u64.to_le_bytes());
    bytes.extend(b"general.architecture");
    bytes.extend(8_u32.to_le_bytes());
    bytes.extend(5_u64.to_le_bytes());
    bytes.extend(b"mamba");
    let path = file(dir.path(), "least.gguf", bytes);
    refused(
        1,
        &quick_model(&path),
        &["architecture `mamba` is not supported"],
    );
}

#[test]
fn broken_folders_are_refused() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let shown = |name: &str| at(name).to_str().unwrap().to_string();
    let weights = tiny("model.safetensors");
    let key = b"model.layers.1.self_attn.k_proj.weight";

    folder(&at("no-config"), "config.json", &weights);
    refused(
        1,
        &quick_model(&shown("no-config")),
        &["is not a model: it has no `config.json`", "\nhint: "],
    );

    let mut renamed = weights.clone();
    let place = find(&renamed, key) + key.len() - b"k_proj.weight".len();
    renamed[place] = b'x';
    folder(&at("no-tensor"), "", &renamed);
    refused(
        1,
        &quick_model(&shown("no-tensor")),
        &[
            "tensor `model.layers.1.self_attn.k_proj.weight`: missing",
            "\nhint: ",
        ],
    );

    folder(&at("cut"), "", &weights[..weights.len() / 2]);
    refused(
        1,
        &quick_model(&shown("cut")),
        &["model.safetensors", "\nhint: "],
    );

    folder(&at("no-tokenizer"), "tokenizer.json", &weights);
    refused(1, &quick_model(&shown("no-tokenizer")), &["tokenizer.json"]);

    folder(&at("bad-config"), "", &weights);
    fs::write(at("bad-config").join("config.json"), "{\"model_type\": ").unwrap();
    refused(1, &quick_model(&shown("bad-config")), &["config.json"]);

    fs::create_dir(at("empty")).unwrap();
    refused(
        1,
        &quick_model(&shown("empty")),
        &["is not a model: it has no `config.json`"],
    );
    refused(
        1,
        &quick_model(&shown("nowhere")),
        &["no such file or folder", "nowhere"],
    );
}

#[test]
fn weights_that_are_not_numbers_name_their_layer() {
    let dir = tempdir().unwrap();
    let mut weights = tiny("model.safetensors");
    let header = usize::try_from(u64::from_le_bytes(weights[..8].try_into().unwrap())).unwrap();
    let table: Value = serde_json::from_slice(&weights[8..8 + header]).unwrap();
    let entry = &table["model.layers.1.self_attn.k_proj.weight"];
    assert_eq!(entry["dtype"], "F16");
    let start = usize::try_from(entry["data_offsets"][0].as_u64().unwrap()).unwrap();
    let at = 8 + header + start;
    // A NaN in f16.
    weights[at..at + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    folder(dir.path(), "", &weights);
    refused(
        1,
        &quick_model(dir.path().to_str().unwrap()),
        &["layers.1.self_attn.k_proj.weight", "NaN", "\nhint: "],
    );
}

#[test]
fn texts_that_cannot_be_read_are_refused() {
    let dir = tempdir().unwrap();
    let latin = file(dir.path(), "latin.txt", b"caf\xe9 ".repeat(200));
    refused(1, &quick_on(&latin, &[]), &["latin.txt is not UTF-8 text"]);
    let missing = dir.path().join("missing.txt");
    refused(
        1,
        &quick_on(missing.to_str().unwrap(), &[]),
        &["no such file or folder", "missing.txt"],
    );
    refused(
        1,
        &quick_on("esays", &[]),
        &["unknown text `esays`", "did you mean `essays`?"],
    );
    for (name, content) in [("short.txt", "only a few words"), ("empty.txt", "")] {
        let path = file(dir.path(), name, content);
        refused(
            1,
            &quick_on(&path, &[]),
            &[
                "the text has ",
                " tokens: one window needs 49",
                "hint: take a longer text",
            ],
        );
    }
}

#[test]
fn offline_with_nothing_cached_says_so_and_leaves_nothing() {
    let dir = tempdir().unwrap();
    for args in [&["eval"][..], &["models", "pull"], &["generate", "hello"]] {
        let mut command = program(&[args, &["--offline"]].concat());
        command
            .env("SMARTKV_CACHE", dir.path().join("cache"))
            .env("HF_HOME", dir.path().join("hub"))
            .env_remove("HF_HUB_CACHE");
        let run = finish(command);
        let text = refusal(&run);
        assert_eq!(run.code, 1);
        for part in [
            "`smollm2-135m-instruct` is not cached",
            "offline mode",
            "hint: `--model PATH`",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(names(dir.path()), [""; 0]);
    }
}
