//! Calls that cannot work end in an error that says why, before anything has changed.

mod common;

use common::{golden_folder, load};
use smartkv_core::KvHook;
use smartkv_host::{Error, LogitsFor, Model, PlainCache, WeightMode};

fn model() -> Model {
    load(
        &golden_folder().join("tiny-llama/tiny-llama.gguf"),
        WeightMode::Auto,
    )
}

fn message(model: &Model, tokens: &[&[u32]], cache: &mut PlainCache) -> String {
    let error = model
        .forward(tokens, cache, LogitsFor::Last, false)
        .unwrap_err();
    assert_eq!(cache.bytes(), 0, "{error}");
    error.to_string()
}

#[test]
fn arguments_are_checked_first() {
    let model = model();
    let mut cache = PlainCache::new(model.cache_shape(1).unwrap());
    assert!(message(&model, &[&[]], &mut cache).starts_with("no tokens"));
    assert!(message(&model, &[], &mut cache).starts_with("no tokens"));
    let error = message(&model, &[&[1, 288]], &mut cache);
    assert_eq!(error, "token 288 of sequence 0: the vocabulary has 288");
    let error = message(&model, &[&[1], &[2]], &mut cache);
    assert!(error.contains("build it from `cache_shape(2)`"), "{error}");
    assert!(model.cache_shape(0).is_err());
    let error = model
        .prefill(&[&[1]], &mut cache, 0, LogitsFor::None)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "chunk = 0: expected at least 1 token");
}

#[test]
fn the_context_length_is_the_limit() {
    let model = model();
    let mut cache = PlainCache::new(model.cache_shape(1).unwrap());
    let tokens = vec![5; 257];
    let error = model
        .prefill(&[&tokens], &mut cache, 64, LogitsFor::None)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sequence 0 would reach 257 tokens: the model's context holds 256"
    );
    assert_eq!(
        error.hints(),
        ["shorten the prompt or ask for fewer new tokens"]
    );
    assert_eq!(cache.seen(0), 0, "refused as a whole");
    model
        .prefill(&[&tokens[..256]], &mut cache, 64, LogitsFor::None)
        .unwrap();
    let error = model
        .forward(&[&[5]], &mut cache, LogitsFor::None, false)
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Context {
            asked: 257,
            limit: 256,
            ..
        }
    ));
}

#[test]
fn plain_attention_refuses_what_is_not_finite_or_out_of_order() {
    let model = model();
    let shape = model.cache_shape(1).unwrap();
    let (q, mut k) = (vec![0.5; 64], vec![0.5; 32]);
    let v = k.clone();
    let mut cache = PlainCache::new(shape);
    let mut out = vec![f32::NAN; 64];
    let attend = |cache: &mut PlainCache, layer, k: &[f32], out: &mut [f32]| {
        let step = smartkv_core::AttnStep {
            layer,
            tokens: 1,
            lens: &[1],
            q: &q,
            k,
            v: &v,
            window: None,
        };
        cache.attend(step, out)
    };
    let error = attend(&mut cache, 1, &k, &mut out).unwrap_err().to_string();
    assert!(
        error.contains("layer 1") && error.contains("expected layer 0"),
        "{error}"
    );
    attend(&mut cache, 0, &k, &mut out).unwrap();
    assert!(
        out.iter().all(|&x| (x - 0.5).abs() < 1e-6),
        "one token is its own value"
    );
    assert!(cache.end_step(false).is_err(), "a layer is missing");
    k[3] = f32::NAN;
    let error = attend(&mut cache, 1, &k, &mut out).unwrap_err().to_string();
    assert_eq!(
        error,
        "layer 1: key of token 0 is NaN: not a finite f16 number"
    );
}
