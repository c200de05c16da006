//! `smartkv generate` on the tiny model: what it writes is noise, but always the same noise.

use crate::program::{TINY, file, finish, json, program, refused, run};
use std::process::Stdio;
use tempfile::tempdir;

fn generate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["generate", "--model", TINY], more].concat()
}

#[test]
fn text_goes_to_standard_output_and_bytes_to_standard_error() {
    let run = run(&generate(&["--raw", "hello", "-n", "12"]));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.trim().len() > 1, "{:?}", run.stdout);
    for part in ["smartkv: ", " of f16", "tokens/s", "stopped at "] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
}

#[test]
fn a_seed_repeats_the_text_and_another_changes_it() {
    let text = |seed, threads| {
        let more = [
            "--raw",
            "hello",
            "-n",
            "24",
            "--temperature",
            "1.5",
            "--json",
            "--seed",
            seed,
            "--threads",
            threads,
        ];
        json(&run(&generate(&more)))["text"].clone()
    };
    let first = text("1", "1");
    assert_eq!(first, text("1", "1"));
    assert_eq!(first, text("1", "2"));
    assert_ne!(first, text("2", "1"));
}

#[test]
fn json_is_one_object_with_the_bytes_of_the_cache() {
    let result = json(&run(&generate(&["--raw", "hello", "-n", "5", "--json"])));
    assert_eq!(result["schema"], "smartkv.generate/1");
    assert_eq!(result["model"], TINY);
    assert_eq!(result["budget"], 0.5);
    assert!(result["text"].is_string() && result["stop"].is_string());
    let cache = &result["cache"];
    let of = |field: &str| cache[field].as_u64().unwrap();
    let tokens = result["prompt_tokens"].as_u64().unwrap() + result["new_tokens"].as_u64().unwrap();
    assert_eq!(of("tokens"), tokens);
    let parts = [
        "payload_bytes",
        "metadata_bytes",
        "window_bytes",
        "policy_bytes",
    ];
    assert_eq!(
        of("live_bytes"),
        parts.iter().map(|part| of(part)).sum::<u64>()
    );
    assert!(of("peak_bytes") >= of("live_bytes"));
    for speed in ["prefill_tokens_per_s", "decode_tokens_per_s"] {
        assert!(result["speed"][speed].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn streamed_text_is_the_text_of_the_json() {
    let args = ["--raw", "hello", "-n", "20"];
    let streamed = run(&generate(&args)).stdout;
    let whole = json(&run(&generate(&[&args[..], &["--json"]].concat())));
    assert_eq!(streamed, format!("{}\n", whole["text"].as_str().unwrap()));
}

#[test]
fn generation_ends_where_the_context_does() {
    let dir = tempdir().unwrap();
    // One token a character, nearly.
    let path = file(dir.path(), "long.txt", "q7".repeat(110));
    let more = [
        "--raw",
        "--file",
        &path,
        "-n",
        "5000",
        "--json",
        "--strategy",
        "f16",
    ];
    let result = json(&run(&generate(&more)));
    assert!(result["cache"]["tokens"].as_u64().unwrap() <= 256);
    assert!(["context_length", "eos"].contains(&result["stop"].as_str().unwrap()));
}

#[test]
fn prompts_that_cannot_be_are_refused() {
    for prompt in ["", " \n"] {
        refused(1, &generate(&[prompt]), &["the prompt is empty"]);
        refused(1, &generate(&["--raw", prompt]), &["the prompt is empty"]);
    }
    // Standard input is empty.
    refused(1, &generate(&["-"]), &["the prompt is empty"]);
    refused(2, &generate(&[]), &["PROMPT"]);
    refused(
        1,
        &generate(&["--file", crate::program::TEXT]),
        &[
            "the prompt has ",
            " tokens, `tests/golden/tiny-llama` holds 256: shorten it",
        ],
    );
    refused(
        1,
        &generate(&["--file", "nowhere.txt"]),
        &["cannot read the prompt from nowhere.txt", "No such file"],
    );
}

#[test]
fn a_prompt_may_come_by_standard_input() {
    let dir = tempdir().unwrap();
    let path = file(dir.path(), "prompt.txt", "hello");
    let by_file = json(&run(&generate(&["--file", &path, "-n", "4", "--json"])));
    let mut command = program(&generate(&["-", "-n", "4", "--json"]));
    command.stdin(Stdio::from(std::fs::File::open(&path).unwrap()));
    let by_pipe = json(&finish(command));
    assert_eq!(by_file["text"], by_pipe["text"]);
}

#[test]
fn settings_out_of_their_domain_are_refused() {
    for (flag, value, expected) in [
        ("--temperature", "-1", "temperature = -1: expected"),
        ("--temperature", "NaN", "temperature = NaN: expected"),
        ("--top-p", "0", "top_p = 0: expected"),
        ("--top-p", "1.5", "top_p = 1.5: expected"),
        ("--chunk", "0", "chunk = 0: expected at least 1"),
        ("--strategy", "smartk", "did you mean `smartkv`?"),
    ] {
        refused(1, &generate(&["hello", flag, value]), &[expected]);
    }
}
