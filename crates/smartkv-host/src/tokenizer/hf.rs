//! A tokenizer from the files of a Hugging Face folder.

use super::Tokenizer;
use crate::error::{Error, Result};
use crate::files::{read_json, read_text};
use serde_json::Value;
use std::path::Path;

/// Builds the tokenizer of `tokenizer.json`; BOS and EOS come from the configs beside it.
pub(crate) fn from_hf(folder: &Path) -> Result<Tokenizer> {
    let path = folder.join("tokenizer.json");
    let broken = |error: tokenizers::Error| Error::file(&path, format!("no tokenizer: {error}"));
    let mut inner = tokenizers::Tokenizer::from_bytes(read_text(&path)?).map_err(broken)?;
    // Files saved after training may cut or pad texts; what to measure is not theirs to decide.
    inner.with_truncation(None).map_err(broken)?;
    inner.with_padding(None);

    let optional = |name: &str| -> Result<Value> {
        let path = folder.join(name);
        if path.exists() {
            read_json(&path)
        } else {
            Ok(Value::Null)
        }
    };
    let tokens = optional("tokenizer_config.json")?;
    let named = |key: &str| special_token(&tokens, key).and_then(|token| inner.token_to_id(&token));
    let config = optional("config.json")?;
    let generation = optional("generation_config.json")?;
    let mut eos: Vec<u32> = named("eos_token").into_iter().collect();
    for source in [&config, &generation] {
        eos.extend(ids(&source["eos_token_id"]));
    }
    eos.sort_unstable();
    eos.dedup();
    let bos = named("bos_token").or_else(|| ids(&config["bos_token_id"]).next());
    Ok(Tokenizer {
        inner,
        bos,
        eos,
        before: None,
        after: None,
    })
}

/// The text of a special token in `tokenizer_config.json`: a text, or an object with `content`.
pub(crate) fn special_token(config: &Value, key: &str) -> Option<String> {
    let value = &config[key];
    value
        .as_str()
        .or_else(|| value["content"].as_str())
        .map(Into::into)
}

/// An id, or a list of ids.
fn ids(value: &Value) -> impl Iterator<Item = u32> {
    let list = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter()
        .filter_map(Value::as_u64)
        .filter_map(|id| u32::try_from(id).ok())
}
