//! Weight bytes that one decoded token reads.

use smartkv_host::Model;
use smartkv_host::weights::{gguf::open_gguf, open_safetensors};
use std::path::Path;

/// Names of the embedding table in the two file formats.
const EMBEDDING: [&str; 2] = ["token_embd.weight", "model.embed_tokens.weight"];

/// All weights, apart from an embedding table that is not also the head: a token reads one row of
/// that.
pub(super) fn bytes_a_token(model: &Model, path: &Path) -> anyhow::Result<u64> {
    let all = model.weight_bytes() as u64;
    if model.description().tied_head {
        return Ok(all);
    }
    let weights = if path.is_dir() {
        open_safetensors(path)?
    } else {
        open_gguf(path)?.1
    };
    let table = EMBEDDING.iter().find_map(|name| weights.get(name));
    Ok(all.saturating_sub(table.map_or(0, |table| table.stored_bytes() as u64)))
}
