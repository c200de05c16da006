//! From the metadata of a GGUF file.

use super::{ARCHITECTURES, Description, Rope, RopeScaling};
use crate::error::{Error, Result};
use crate::weights::Weights;
use crate::weights::gguf::Metadata;

/// Reads the description; `weights` tells whether the head is tied and carries RoPE factors.
pub(crate) fn from_gguf(metadata: &Metadata, weights: &Weights) -> Result<Description> {
    let key = "general.architecture";
    let architecture = metadata.required(key, metadata.string(key)?)?.to_string();
    if !ARCHITECTURES.contains(&architecture.as_str()) {
        let path = metadata.path();
        return Err(Error::unsupported(
            path,
            "architecture",
            architecture,
            &ARCHITECTURES,
        ));
    }
    let named = |name: &str| format!("{architecture}.{name}");
    let count = |name: &str| metadata.usize(&named(name));
    let required = |name: &str| metadata.required(&named(name), count(name)?);

    if let Some(experts) = count("expert_count")?.filter(|&experts| experts > 0) {
        let value = format!("mixture of {experts} experts");
        return Err(Error::unsupported(
            metadata.path(),
            "feed-forward",
            value,
            &["dense"],
        ));
    }
    let hidden = required("embedding_length")?;
    let q_heads = required("attention.head_count")?;
    let kv_heads = count("attention.head_count_kv")?.unwrap_or(q_heads);
    let head_dim = match count("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => hidden.checked_div(q_heads).unwrap_or(0),
    };
    for name in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = count(name)?.filter(|&other| other != head_dim) {
            let reason = format!(
                "`{}` is {other}, expected the head dimension {head_dim}",
                named(name)
            );
            return Err(Error::file(metadata.path(), reason));
        }
    }
    let vocab = match count("vocab_size")? {
        Some(vocab) => vocab,
        None => metadata
            .strings("tokenizer.ggml.tokens")?
            .map_or(0, |tokens| tokens.len()),
    };
    let number = |name: &str| metadata.f64(&named(name));
    let eps = "attention.layer_norm_rms_epsilon";
    let eps = metadata.required(&named(eps), number(eps)?)?;
    let scaling = match weights.get("rope_freqs.weight") {
        Some(factors) => RopeScaling::Factors(factors.to_f32()?),
        None => scaling(metadata, &architecture)?,
    };
    Description {
        layers: required("block_count")?,
        hidden,
        intermediate: required("feed_forward_length")?,
        q_heads,
        kv_heads,
        head_dim,
        vocab,
        context_length: required("context_length")?,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "stored as f32, widened on reading"
        )]
        rms_eps: eps as f32,
        rope: Rope {
            base: number("rope.freq_base")?.unwrap_or(10_000.0),
            // The converter permutes q and k of this architecture for neighbouring pairs.
            interleaved: true,
            scaling,
        },
        tied_head: weights.get("output.weight").is_none(),
        qkv_bias: weights.get("blk.0.attn_q.bias").is_some(),
        output_bias: weights.get("blk.0.attn_output.bias").is_some(),
        mlp_bias: weights.get("blk.0.ffn_up.bias").is_some(),
        architecture,
    }
    .check(metadata.path())
}

fn scaling(metadata: &Metadata, architecture: &str) -> Result<RopeScaling> {
    let kind = metadata.string(&format!("{architecture}.rope.scaling.type"))?;
    let factor = metadata.f64(&format!("{architecture}.rope.scaling.factor"))?;
    match (kind.unwrap_or("none"), factor) {
        ("none", _) | ("linear", None) => Ok(RopeScaling::None),
        ("linear", Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (other, _) => Err(Error::unsupported(
            metadata.path(),
            "RoPE scaling",
            other,
            &["none", "linear", "llama3 (as rope_freqs.weight)"],
        )),
    }
}
