//! A small random Llama in both file formats against what transformers computes with it
//! (`tests/golden/make_tiny_llama.py`).

mod common;

use common::{golden, golden_folder, ids, load, max_diff};
use safetensors::SafeTensors;
use serde_json::Value;
use smartkv_core::KvHook;
use smartkv_host::{Logits, LogitsFor, Message, Model, PlainCache, WeightMode, argmax};
use std::path::PathBuf;

/// Two layers of f32 sums in another order; logits reach 7.4. Observed: 1.2e-5.
const F32: f32 = 1e-4;
/// The two layouts and any split of the prompt change the order of sums too.
const SAME: f32 = 1e-4;

fn folder() -> PathBuf {
    golden_folder().join("tiny-llama")
}

fn expected() -> Value {
    golden("tiny-llama/expected.json")
}

fn expected_logits() -> Vec<f32> {
    let bytes = std::fs::read(folder().join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor("logits").unwrap();
    data.data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

fn hf() -> Model {
    load(&folder(), WeightMode::F32)
}

fn gguf() -> Model {
    load(&folder().join("tiny-llama.gguf"), WeightMode::F32)
}

fn cache(model: &Model, batch: usize) -> PlainCache {
    PlainCache::new(model.cache_shape(batch).unwrap())
}

fn all(model: &Model, tokens: &[u32], chunk: usize) -> Logits {
    model
        .prefill(&[tokens], &mut cache(model, 1), chunk, LogitsFor::All)
        .unwrap()
}

#[test]
fn both_formats_give_the_logits_of_transformers() {
    let tokens = ids(&expected()["tokens"]);
    for (name, model) in [("safetensors", hf()), ("gguf", gguf())] {
        let diff = max_diff(&all(&model, &tokens, tokens.len()).data, &expected_logits());
        println!("{name}: {diff:e}");
        assert!(diff < F32, "{name}: {diff:e}");
    }
}

#[test]
fn any_split_of_the_prompt_gives_the_same_logits() {
    let tokens = ids(&expected()["tokens"]);
    let model = gguf();
    for chunk in [1, 2, 3, 7, 16, 50, 51, 64, usize::MAX] {
        let diff = max_diff(&all(&model, &tokens, chunk).data, &expected_logits());
        println!("chunks of {chunk}: {diff:e}");
        assert!(diff < F32, "chunks of {chunk}: {diff:e}");
    }
}

#[test]
fn greedy_decoding_continues_like_transformers() {
    let golden = expected();
    let model = hf();
    let tokens = ids(&golden["tokens"]);
    let mut hook = cache(&model, 1);
    let mut logits = model
        .prefill(&[&tokens], &mut hook, 20, LogitsFor::Last)
        .unwrap();
    let mut generated = Vec::new();
    for _ in 0..32 {
        generated.push(argmax(logits.row(0, 0)).unwrap());
        let next = &generated[generated.len() - 1..];
        logits = model
            .forward(&[next], &mut hook, LogitsFor::Last, false)
            .unwrap();
    }
    assert_eq!(generated, ids(&golden["continuation"]));
    assert_eq!(hook.seen(0), tokens.len() + 32);
}

#[test]
fn a_ragged_batch_equals_its_sequences_one_by_one() {
    let tokens = ids(&expected()["tokens"]);
    let model = gguf();
    let sequences = [&tokens[..51], &tokens[3..4], &tokens[10..33]];
    for chunk in [1, 8, 64] {
        let mut batch = cache(&model, 3);
        let together = model
            .prefill(&sequences, &mut batch, chunk, LogitsFor::All)
            .unwrap();
        let next = [&tokens[5..6], &[][..], &tokens[7..10]];
        let step = model
            .forward(&next, &mut batch, LogitsFor::All, false)
            .unwrap();
        assert_eq!(together.rows, [51, 1, 23]);
        assert_eq!(step.rows, [1, 0, 3]);
        for (sequence, tokens) in sequences.iter().enumerate() {
            let mut single = cache(&model, 1);
            let alone = model
                .prefill(&[tokens], &mut single, 64, LogitsFor::All)
                .unwrap();
            let rows =
                (0..tokens.len()).map(|row| (together.row(sequence, row), alone.row(0, row)));
            for (batched, alone) in rows {
                assert!(max_diff(batched, alone) < SAME);
            }
            if next[sequence].is_empty() {
                continue;
            }
            let alone = model
                .forward(&[next[sequence]], &mut single, LogitsFor::All, false)
                .unwrap();
            for row in 0..next[sequence].len() {
                assert!(max_diff(step.row(sequence, row), alone.row(0, row)) < SAME);
            }
            assert_eq!(batch.seen(sequence), single.seen(0));
        }
    }
}

#[test]
fn only_the_rows_asked_for_are_computed() {
    let tokens = ids(&expected()["tokens"]);
    let model = hf();
    let sequences = [&tokens[..9], &tokens[..51]];
    let run = |chunk, wanted| {
        model
            .prefill(&sequences, &mut cache(&model, 2), chunk, wanted)
            .unwrap()
    };
    let all = run(16, LogitsFor::All);
    for chunk in [4, 16, 51, 100] {
        let last = run(chunk, LogitsFor::Last);
        assert_eq!(last.rows, [1, 1]);
        for sequence in 0..2 {
            let expect = all.last(sequence).unwrap();
            assert!(
                max_diff(last.row(sequence, 0), expect) < SAME,
                "chunk {chunk}"
            );
        }
        let none = run(chunk, LogitsFor::None);
        assert_eq!((none.rows, none.data.len()), (vec![0, 0], 0));
    }
}

#[test]
fn a_reset_cache_is_like_new() {
    let tokens = ids(&expected()["tokens"]);
    let model = gguf();
    let mut hook = cache(&model, 1);
    model
        .prefill(&[&tokens[20..]], &mut hook, 8, LogitsFor::None)
        .unwrap();
    hook.reset();
    let again = model
        .prefill(&[&tokens], &mut hook, 64, LogitsFor::All)
        .unwrap();
    assert_eq!(again, all(&model, &tokens, 64));
    assert_eq!(hook.bytes(), tokens.len() * 2 * 2 * 2 * 16 * 4);
}

#[test]
fn weight_modes_trade_bytes_for_exactness() {
    let tokens = ids(&expected()["tokens"]);
    let path = folder().join("tiny-llama.gguf");
    let run = |mode| {
        let model = load(&path, mode);
        (
            max_diff(&all(&model, &tokens, 64).data, &expected_logits()),
            model.weight_bytes(),
        )
    };
    let (f32_diff, f32_bytes) = run(WeightMode::F32);
    let (f16_diff, f16_bytes) = run(WeightMode::F16);
    let (quantized_diff, quantized_bytes) = run(WeightMode::Quantized);
    println!("f32 {f32_diff:e}, f16 {f16_diff:e}, quantized {quantized_diff:e}");
    assert!(f32_diff < F32);
    // The layers are f16 already, only the head is rounded: by 2^-12 of each weight.
    assert!(f16_diff > 0.0 && f16_diff < 1e-2, "{f16_diff:e}");
    // The head multiplies activations of 14 bits.
    assert!(quantized_diff < 1e-2, "{quantized_diff:e}");
    // The layers stay f16, as they are stored.
    let head = 288 * 64;
    assert_eq!(f16_bytes - quantized_bytes, head * 2 - head / 32 * 34);
    assert!(f16_bytes < f32_bytes);
    let (auto_diff, auto_bytes) = run(WeightMode::Auto);
    assert_eq!((auto_diff, auto_bytes), (quantized_diff, quantized_bytes));
    // 8 bits of each weight: 2^-9 of it.
    let (bf16_diff, bf16_bytes) = run(WeightMode::Bf16);
    assert_eq!(bf16_bytes, f16_bytes);
    assert!(bf16_diff > f16_diff && bf16_diff < 0.2, "{bf16_diff:e}");
}

#[test]
fn weights_as_stored_give_the_logits_of_transformers() {
    let tokens = ids(&expected()["tokens"]);
    for chunk in [1, 3, 64] {
        let model = load(&folder(), WeightMode::Auto);
        let diff = max_diff(&all(&model, &tokens, chunk).data, &expected_logits());
        assert!(diff < F32, "chunks of {chunk}: {diff:e}");
    }
}

#[test]
fn the_tokenizers_agree_with_transformers() {
    for model in [hf(), gguf()] {
        let tokenizer = model.tokenizer();
        for case in expected()["encodings"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                tokenizer.encode(text, false).unwrap(),
                ids(&case["tokens"]),
                "{text:?}"
            );
            let special = tokenizer.encode(text, true).unwrap();
            assert_eq!(special, ids(&case["with_special"]), "{text:?}");
            assert_eq!(tokenizer.decode_with_special(&special[1..]).unwrap(), text);
        }
        assert_eq!((tokenizer.bos(), tokenizer.vocab_size()), (Some(0), 288));
        assert!(tokenizer.is_eos(2) && !tokenizer.is_eos(7));
    }
    assert_eq!(
        hf().tokenizer().eos(),
        [0, 2],
        "generation_config.json lists both"
    );
    assert_eq!(gguf().tokenizer().eos(), [2]);
}

#[test]
fn the_chat_templates_agree_with_transformers() {
    let golden = expected();
    let chat: Vec<Message> = serde_json::from_value(golden["chat"].clone()).unwrap();
    for model in [hf(), gguf()] {
        let template = model.template().unwrap();
        assert_eq!(
            template.render(&chat, true).unwrap(),
            golden["chat_text"].as_str().unwrap()
        );
        let error = template
            .render(&[Message::new("tool", "x")], true)
            .unwrap_err();
        assert!(error.to_string().contains("unknown role tool"), "{error}");
    }
}

#[test]
fn text_streams_in_whole_characters() {
    let model = gguf();
    let text = "the river 日本 🙂 e\u{301} naïve";
    let tokens = model.tokenizer().encode(text, true).unwrap();
    let mut stream = model.tokenizer().stream();
    let mut streamed = String::new();
    for &token in &tokens {
        let piece = stream.push(token).unwrap();
        assert!(!piece.contains('\u{FFFD}'));
        streamed.push_str(&piece);
    }
    assert_eq!(streamed, text);
    assert_eq!(stream.finish().unwrap(), "");

    let mut stream = model.tokenizer().stream();
    assert_eq!(
        stream
            .push(
                *model
                    .tokenizer()
                    .encode("🙂", false)
                    .unwrap()
                    .first()
                    .unwrap()
            )
            .unwrap(),
        ""
    );
    assert_eq!(stream.finish().unwrap(), "\u{FFFD}");
}
