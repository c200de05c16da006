//! Small random models of every architecture beside Llama, and of every RoPE scaling, against what
//! transformers computes with them (`tests/golden/make_architectures.py`).

mod common;

use common::{golden, golden_folder, ids, load, max_diff};
use safetensors::SafeTensors;
use serde_json::Value;
use smartkv_core::{Cache, KvHook, registry};
use smartkv_host::{Logits, LogitsFor, Model, PlainCache, RopeScaling, WeightMode};
use std::path::{Path, PathBuf};

/// A few layers of f32 sums in another order; logits reach 10. Observed: 2e-5.
const F32: f32 = 1e-4;

fn folder() -> PathBuf {
    golden_folder().join("architectures")
}

fn expected() -> Value {
    golden("architectures/expected.json")
}

/// A variant's logits at the rows of `expected.json`.
fn logits(variant: &str) -> Vec<f32> {
    let path = folder().join(variant).join("expected.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor("logits").unwrap();
    let (floats, _) = data.data().as_chunks::<4>();
    floats.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// The model of `architecture/variant`, put together in a folder as the hub has it.
fn model(variant: &str) -> Model {
    let assembled = tempfile::tempdir().unwrap();
    let copy = |from: PathBuf| {
        let to = assembled.path().join(from.file_name().unwrap());
        std::fs::copy(&from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    };
    copy(folder().join("tokenizer.json"));
    copy(folder().join(variant).join("config.json"));
    let architecture = Path::new(variant).parent().unwrap();
    copy(folder().join(architecture).join("model.safetensors"));
    load(assembled.path(), WeightMode::F32)
}

fn run(model: &Model, hook: &mut dyn KvHook, chunk: usize) -> Logits {
    let tokens = ids(&expected()["tokens"]);
    model
        .prefill(&[&tokens], hook, chunk, LogitsFor::All)
        .unwrap()
}

/// The largest difference from the reference.
fn diff(logits: &Logits, variant: &str) -> f32 {
    let rows = ids(&expected()["rows"]);
    let rows = rows.iter().flat_map(|&row| logits.row(0, row as usize));
    max_diff(&rows.copied().collect::<Vec<_>>(), &self::logits(variant))
}

fn plain(model: &Model) -> PlainCache {
    PlainCache::new(model.cache_shape(1).unwrap())
}

/// Holds a model to its reference: as one prompt, in chunks, and token by token, behind plain
/// attention and behind the f16 cache.
fn check(variant: &str, model: &Model) {
    for chunk in [usize::MAX, 7, 1] {
        let diff = diff(&run(model, &mut plain(model), chunk), variant);
        println!("{variant}, chunks of {chunk}: {diff:e}");
        assert!(diff < F32, "{variant}, chunks of {chunk}: {diff:e}");
    }
    let f16 = registry::strategy(&serde_json::json!({"type": "test-f16"})).unwrap();
    for chunk in [usize::MAX, 7] {
        let mut cache = Cache::builder(model.cache_shape(1).unwrap(), f16.clone())
            .kernels(smartkv_kernels::best())
            .build()
            .unwrap();
        let diff = diff(&run(model, &mut cache, chunk), variant);
        // Keys and values are rounded to 11 bits.
        assert!(diff < 0.1, "{variant} behind a cache: {diff:e}");
        assert!(diff > 0.0);
    }
}

fn check_folder(variant: &str) -> Model {
    let model = model(variant);
    check(variant, &model);
    model
}

fn check_gguf(variant: &str) -> Model {
    let path = folder().join(variant).join("model.gguf");
    let model = load(&path, WeightMode::F32);
    check(variant, &model);
    model
}

/// Rows as they come.
#[smartkv_core::config]
struct Half;

#[smartkv_core::strategy("test-f16", family = "test")]
impl smartkv_core::Strategy for Half {
    fn layout(&self, _: &smartkv_core::CacheShape) -> smartkv_core::Result<smartkv_core::Layout> {
        let tier = smartkv_core::Tier::same(smartkv_core::Format::F16);
        Ok(smartkv_core::Layout::constant(tier))
    }
}

#[test]
fn mistral_has_a_sliding_window() {
    let model = check_folder("mistral/default");
    assert!(model.cache_shape(1).unwrap().windows);
}

#[test]
fn qwen2_has_biases_and_may_have_windows_in_later_layers() {
    check_folder("qwen2/default");
    let model = check_folder("qwen2/window");
    let windows: Vec<_> = model
        .description()
        .attention
        .iter()
        .map(|a| a.window)
        .collect();
    assert_eq!(windows, [None, Some(9)]);
}

#[test]
fn qwen3_norms_queries_and_keys() {
    let model = check_folder("qwen3/default");
    // Its heads together are wider than the stream.
    let d = model.description();
    assert!(d.q_heads * d.head_dim > d.hidden);
}

#[test]
fn phi3_fuses_projections_and_rotates_by_length() {
    check_folder("phi3/default");
    for variant in ["phi3/short", "phi3/long"] {
        let model = model(variant);
        let diff = diff(&run(&model, &mut plain(&model), usize::MAX), variant);
        assert!(diff < F32, "{variant}: {diff:e}");
        let diff = self::diff(&run(&model, &mut plain(&model), 7), variant);
        assert!(
            diff < F32,
            "{variant}: the whole prompt's length counts: {diff:e}"
        );
    }
}

#[test]
fn gemma2_bounds_scores_and_logits() {
    let model = check_folder("gemma2/default");
    assert_eq!(model.cache_shape(1).unwrap().softcap, Some(3.0));
    let all = run(&model, &mut plain(&model), usize::MAX);
    assert!(all.data.iter().all(|logit| logit.abs() <= 5.0));
}

#[test]
fn gemma3_has_local_and_global_rotations() {
    let model = check_folder("gemma3_text/default");
    let ropes: Vec<_> = model
        .description()
        .attention
        .iter()
        .map(|a| a.rope)
        .collect();
    assert_eq!(ropes, [Some(1), Some(0), Some(1)]);
    let ropes = model.ropes();
    let frequency = |layer| ropes.layer(layer).unwrap().frequencies()[3];
    assert!(frequency(0) != frequency(1) && frequency(0) == frequency(2));
}

#[test]
fn gpt2_has_learned_positions() {
    let model = check_folder("gpt2/default");
    assert_eq!(model.description().ropes, []);
    let error = model
        .ropes()
        .check(&model.cache_shape(1).unwrap(), "needs them")
        .unwrap_err();
    assert!(
        error.to_string().contains("positions are learned"),
        "{error}"
    );
}

#[test]
fn every_scaling_stretches_as_transformers_does() {
    for variant in ["linear", "yarn", "yarn-mscale", "llama3"] {
        check_folder(&format!("llama/{variant}"));
    }
}

/// Those who look at a cache between the chunks of a prompt run the same prompt.
#[test]
fn parts_of_a_prompt_rotate_as_the_whole() {
    for variant in ["llama/dynamic", "phi3/long"] {
        let model = model(variant);
        let tokens = ids(&expected()["tokens"]);
        let whole = run(&model, &mut plain(&model), usize::MAX);
        let mut hook = plain(&model);
        let mut left = tokens.len();
        let mut last = Vec::new();
        for part in tokens.chunks(7) {
            left -= part.len();
            let logits = model.forward_part(&[part], &mut hook, LogitsFor::Last, left);
            last = logits.unwrap().last(0).unwrap().to_vec();
        }
        let diff = max_diff(&last, whole.last(0).unwrap());
        assert!(diff < F32, "{variant}: {diff:e}");
        // Part by part with no thought of what follows is another prompt.
        let mut hook = plain(&model);
        for part in tokens.chunks(7) {
            let logits = model.forward(&[part], &mut hook, LogitsFor::Last, false);
            last = logits.unwrap().last(0).unwrap().to_vec();
        }
        let diff = max_diff(&last, whole.last(0).unwrap());
        assert!(diff > 10.0 * F32, "{variant}: {diff:e}");
    }
}

#[test]
fn dynamic_scaling_takes_the_length_of_the_whole_prompt() {
    let variant = "llama/dynamic";
    let model = model(variant);
    for chunk in [usize::MAX, 7] {
        let diff = diff(&run(&model, &mut plain(&model), chunk), variant);
        assert!(diff < F32, "chunks of {chunk}: {diff:e}");
    }
    // Sequences of a batch have lengths of their own.
    let tokens = ids(&expected()["tokens"]);
    let mut batch = PlainCache::new(model.cache_shape(2).unwrap());
    let together = model
        .prefill(&[&tokens[..5], &tokens], &mut batch, 16, LogitsFor::All)
        .unwrap();
    let short = model
        .prefill(&[&tokens[..5]], &mut plain(&model), 16, LogitsFor::All)
        .unwrap();
    for row in 0..5 {
        assert!(max_diff(together.row(0, row), short.row(0, row)) < F32);
    }
    let rows: Vec<f32> = ids(&expected()["rows"])
        .iter()
        .flat_map(|&row| together.row(1, row as usize).to_vec())
        .collect();
    assert!(max_diff(&rows, &logits(variant)) < F32);
    let needs = model
        .ropes()
        .check(&model.cache_shape(1).unwrap(), "needs them");
    assert!(needs.unwrap_err().to_string().contains("length reached"));
    let RopeScaling::Dynamic { .. } = model.description().ropes[0].scaling else {
        panic!("{:?}", model.description());
    };
    assert_eq!(model.description().context_length, 48, "twice the original");
}

#[test]
fn gguf_files_give_the_same_logits() {
    let qwen = check_gguf("qwen2/default");
    assert!(!qwen.description().ropes[0].interleaved && qwen.description().qkv_bias);
    check_gguf("gemma2/by-head");
}

#[test]
fn bytes_that_are_no_token_fall_back() {
    let gguf = folder().join("gemma2/by-head/model.gguf");
    for model in [model("mistral/default"), load(&gguf, WeightMode::F32)] {
        fall_back(model.tokenizer());
    }
}

fn fall_back(tokenizer: &smartkv_host::Tokenizer) {
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), &[2][..]));
    for case in expected()["encodings"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let tokens = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokens, ids(&case["tokens"]), "{text:?}");
        let special = tokenizer.encode(text, true).unwrap();
        assert_eq!(special, ids(&case["with_special"]), "{text:?}");
        if !text.contains('<') {
            assert_eq!(tokenizer.decode(&special).unwrap(), text);
        }
        let mut stream = tokenizer.stream();
        let mut streamed = String::new();
        for &token in &tokens {
            streamed.push_str(&stream.push(token).unwrap());
        }
        streamed.push_str(&stream.finish().unwrap());
        assert_eq!(streamed, tokenizer.decode(&tokens).unwrap(), "{text:?}");
    }
}
