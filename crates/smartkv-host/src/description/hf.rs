//! From the `config.json` of a Hugging Face folder.

use super::{ARCHITECTURES, Description, Rope, RopeScaling};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// The keys of `config.json` that matter; defaults are those of `LlamaConfig`.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    num_hidden_layers: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: f32,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Scaling>,
    /// Where transformers 5 keeps base and scaling together.
    rope_parameters: Option<Scaling>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Scaling {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f64>,
}

/// Only the architecture, so that another one is named before its other keys are missed.
#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
}

/// Reads the description from the text of `path`.
pub(crate) fn from_hf(path: &Path, text: &str) -> Result<Description> {
    let json = |error| Error::file(path, format!("not a model's config: {error}"));
    let kind: Kind = serde_json::from_str(text).map_err(json)?;
    let kind = kind.model_type.unwrap_or_else(|| "(no model_type)".into());
    if !ARCHITECTURES.contains(&kind.as_str()) {
        return Err(Error::unsupported(
            path,
            "architecture",
            kind,
            &ARCHITECTURES,
        ));
    }
    let config: Config = serde_json::from_str(text).map_err(json)?;
    if let Some(other) = config.hidden_act.filter(|act| act != "silu") {
        return Err(Error::unsupported(path, "hidden_act", other, &["silu"]));
    }
    let heads = config.num_attention_heads;
    let bias = config.attention_bias.unwrap_or(false);
    let parameters = config.rope_parameters.unwrap_or_default();
    let base = config
        .rope_theta
        .or(parameters.rope_theta)
        .unwrap_or(10_000.0);
    let scaling = scaling(path, &config.rope_scaling.unwrap_or(parameters))?;
    Description {
        architecture: config.model_type,
        layers: config.num_hidden_layers,
        hidden: config.hidden_size,
        intermediate: config.intermediate_size,
        q_heads: heads,
        kv_heads: config.num_key_value_heads.unwrap_or(heads),
        head_dim: config
            .head_dim
            .unwrap_or_else(|| config.hidden_size.checked_div(heads).unwrap_or(0)),
        vocab: config.vocab_size,
        context_length: config.max_position_embeddings.unwrap_or(2048),
        rms_eps: config.rms_norm_eps,
        rope: Rope {
            base,
            interleaved: false,
            scaling,
        },
        tied_head: config.tie_word_embeddings.unwrap_or(false),
        qkv_bias: bias,
        output_bias: bias,
        mlp_bias: config.mlp_bias.unwrap_or(false),
    }
    .check(path)
}

fn scaling(path: &Path, given: &Scaling) -> Result<RopeScaling> {
    let missing = |name: &str| Error::file(path, format!("RoPE scaling lacks `{name}`"));
    if let Some(part) = given.partial_rotary_factor.filter(|&part| part != 1.0) {
        return Err(Error::unsupported(
            path,
            "partial_rotary_factor",
            part,
            &["1"],
        ));
    }
    let factor = given.factor.ok_or_else(|| missing("factor"));
    match given.rope_type.as_deref().unwrap_or("default") {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: factor? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: factor?,
            low_freq_factor: given
                .low_freq_factor
                .ok_or_else(|| missing("low_freq_factor"))?,
            high_freq_factor: given
                .high_freq_factor
                .ok_or_else(|| missing("high_freq_factor"))?,
            original_context: given
                .original_max_position_embeddings
                .ok_or_else(|| missing("original_max_position_embeddings"))?,
        }),
        other => Err(Error::unsupported(
            path,
            "RoPE scaling",
            other,
            &["default", "linear", "llama3"],
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> String {
        format!(
            r#"{{"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
            "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 300, "rms_norm_eps": 1e-5{extra}}}"#
        )
    }

    fn read(extra: &str) -> Result<Description> {
        from_hf(Path::new("config.json"), &config(extra))
    }

    #[test]
    fn defaults_are_those_of_llama_config() {
        let description = read("").unwrap();
        assert_eq!(
            (description.head_dim, description.context_length),
            (16, 2048)
        );
        assert_eq!(description.rope.base, 10_000.0);
        assert!(!description.rope.interleaved && !description.tied_head);
    }

    #[test]
    fn both_spellings_of_llama3_scaling_are_read() {
        let scaling = r#""rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192"#;
        let old = read(&format!(
            r#", "rope_theta": 5e5, "rope_scaling": {{{scaling}}}"#
        ))
        .unwrap();
        let new = read(&format!(
            r#", "rope_parameters": {{"rope_theta": 5e5, {scaling}}}"#
        ))
        .unwrap();
        assert_eq!(old, new);
        assert_eq!(
            old.rope.scaling,
            RopeScaling::Llama3 {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 8192
            }
        );
    }

    #[test]
    fn what_is_not_supported_is_named_with_what_is() {
        let gemma = r#"{"model_type": "gemma3"}"#;
        let error = from_hf(Path::new("config.json"), gemma).unwrap_err();
        assert_eq!(
            error.to_string(),
            "config.json: architecture `gemma3` is not supported"
        );
        assert_eq!(error.hints(), ["supported architecture: llama"]);
        let error = read(r#", "rope_scaling": {"type": "yarn", "factor": 4.0}"#).unwrap_err();
        assert!(error.to_string().contains("`yarn`"));
        assert!(read(r#", "hidden_act": "gelu""#).is_err());
    }

    #[test]
    fn numbers_no_model_has_are_refused() {
        for extra in [
            r#", "head_dim": 0"#,
            r#", "head_dim": 12"#,
            r#", "rope_theta": -1.0"#,
            r#", "max_position_embeddings": 0"#,
            r#", "rope_scaling": {"rope_type": "linear", "factor": 0.0}"#,
            r#", "rope_scaling": {"rope_type": "llama3", "factor": 8.0}"#,
        ] {
            assert!(read(extra).is_err(), "{extra}");
        }
    }
}
