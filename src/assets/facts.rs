//! What a model file says of itself, read without its weights.

use serde_json::{Map, Value as Json};
use smartkv_host::weights::gguf::{Metadata, open_gguf};
use std::fs;
use std::path::Path;

/// Our names, and where `config.json` and GGUF metadata keep the number.
const NUMBERS: [(&str, &str, &str); 7] = [
    ("layers", "num_hidden_layers", "block_count"),
    ("hidden", "hidden_size", "embedding_length"),
    ("q_heads", "num_attention_heads", "attention.head_count"),
    ("kv_heads", "num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "head_dim", "attention.key_length"),
    ("vocab", "vocab_size", "vocab_size"),
    (
        "context_length",
        "max_position_embeddings",
        "context_length",
    ),
];

/// Architecture and sizes of the model at `path`, as far as it states them.
///
/// # Errors
///
/// When the file cannot be read or is damaged.
pub fn model_facts(path: &Path) -> anyhow::Result<Map<String, Json>> {
    let mut facts = if path.is_dir() {
        let config = fs::read(path.join("config.json"))?;
        from_config(&serde_json::from_slice(&config)?)
    } else {
        from_gguf(&open_gguf(path)?.0)?
    };
    fill(&mut facts);
    Ok(facts)
}

fn from_config(config: &Json) -> Map<String, Json> {
    let mut facts = Map::new();
    if let Some(architecture) = config.get("model_type") {
        facts.insert("architecture".to_owned(), architecture.clone());
    }
    for (name, key, _) in NUMBERS {
        if let Some(number) = config.get(key).filter(|value| value.is_u64()) {
            facts.insert(name.to_owned(), number.clone());
        }
    }
    facts
}

fn from_gguf(metadata: &Metadata) -> anyhow::Result<Map<String, Json>> {
    let mut facts = Map::new();
    let Some(architecture) = metadata.string("general.architecture")? else {
        return Ok(facts);
    };
    facts.insert("architecture".to_owned(), architecture.into());
    for (name, _, key) in NUMBERS {
        let mut number = metadata.usize(&format!("{architecture}.{key}"))?;
        if number.is_none() && name == "vocab" {
            number = metadata
                .strings("tokenizer.ggml.tokens")?
                .map(|tokens| tokens.len());
        }
        if let Some(number) = number {
            facts.insert(name.to_owned(), number.into());
        }
    }
    Ok(facts)
}

/// Adds what is left unsaid because it follows from the rest.
fn fill(facts: &mut Map<String, Json>) {
    let number = |facts: &Map<String, Json>, name: &str| facts.get(name).and_then(Json::as_u64);
    let q_heads = number(facts, "q_heads");
    if let (false, Some(q_heads)) = (facts.contains_key("kv_heads"), q_heads) {
        facts.insert("kv_heads".to_owned(), q_heads.into());
    }
    let head_dim = number(facts, "hidden")
        .zip(q_heads)
        .and_then(|(h, heads)| h.checked_div(heads));
    if let (false, Some(head_dim)) = (facts.contains_key("head_dim"), head_dim) {
        facts.insert("head_dim".to_owned(), head_dim.into());
    }
    let of_cache = ["layers", "kv_heads", "head_dim"].map(|name| number(facts, name));
    if let [Some(layers), Some(heads), Some(channels)] = of_cache {
        // A key and a value of two bytes a channel.
        let bytes = layers
            .saturating_mul(heads)
            .saturating_mul(channels)
            .saturating_mul(4);
        facts.insert("f16_cache_bytes_per_token".to_owned(), bytes.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_completes_a_config() {
        let dir = tempfile::tempdir().unwrap();
        let config = r#"{"model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576,
            "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": null}"#;
        fs::write(dir.path().join("config.json"), config).unwrap();
        let facts = model_facts(dir.path()).unwrap();
        assert_eq!(facts["architecture"], "llama");
        assert_eq!(facts["head_dim"], 64);
        assert_eq!(facts["f16_cache_bytes_per_token"], 30 * 3 * 64 * 4);
        assert!(!facts.contains_key("vocab"));

        let multi_head = from_config(&serde_json::json!({"num_attention_heads": 4}));
        let mut multi_head = multi_head;
        fill(&mut multi_head);
        assert_eq!(multi_head["kv_heads"], 4);
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gguf");
        fs::write(&path, "GGUF").unwrap();
        assert!(model_facts(&path).is_err());
        assert!(model_facts(dir.path()).is_err());
    }
}
