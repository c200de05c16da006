//! From the `config.json` of a Hugging Face folder.
//!
//! One function an architecture; each starts from what Llama does and says what differs. What a
//! file leaves out is what transformers' `LlamaConfig` has, unless a function says otherwise: the
//! hub's files leave out little.

mod rope;
#[cfg(test)]
mod tests;

use super::config::Config;
use super::{Activation, Description, Dimensions, RopeScaling, inverse_root};
use crate::error::{Error, Result};
use std::path::Path;

/// Architectures with a mapping, by `model_type`.
const ARCHITECTURES: [(&str, Mapping); 9] = [
    ("llama", llama),
    ("mistral", mistral),
    ("qwen2", qwen2),
    ("qwen3", qwen3),
    ("phi3", phi3),
    ("gemma2", gemma2),
    ("gemma3_text", gemma3),
    ("gemma3", gemma3),
    ("gpt2", gpt2),
];

type Mapping = fn(Config<'_>, String) -> Result<Description>;

/// Reads the description from the text of `path`.
pub(crate) fn from_hf(path: &Path, text: &str) -> Result<Description> {
    let values = serde_json::from_str(text)
        .map_err(|error| Error::file(path, format!("not a model's config: {error}")))?;
    let config = Config::new(path, &values);
    let kind = config.text("model_type")?.unwrap_or("(no model_type)");
    let mapping = ARCHITECTURES.iter().find(|(known, _)| *known == kind);
    let Some((_, mapping)) = mapping else {
        let known = ARCHITECTURES.map(|(known, _)| known);
        return Err(Error::unsupported(path, "architecture", kind, &known));
    };
    // Models that see images too describe their decoder apart.
    let decoder = config.object("text_config")?.unwrap_or(config);
    mapping(decoder, kind.into())?.check(path)
}

fn llama(config: Config<'_>, name: String) -> Result<Description> {
    let dimensions = dimensions(config, 2048)?;
    let bias = config.flag("attention_bias")?.unwrap_or(false);
    let rope = rope::of(config, dimensions.context_length)?;
    let dimensions = match rope.scaling {
        // The config says what the model was trained for, the factor how far it may go.
        RopeScaling::Dynamic { factor, .. } => Dimensions {
            context_length: stretched(dimensions.context_length, factor),
            ..dimensions
        },
        _ => dimensions,
    };
    Ok(Description {
        activation: activation(config, "hidden_act", Activation::Silu)?,
        tied_head: config.flag("tie_word_embeddings")?.unwrap_or(false),
        qkv_bias: bias,
        output_bias: bias,
        mlp_bias: config.flag("mlp_bias")?.unwrap_or(false),
        ..Description::llama(name, dimensions, rope)
    })
}

fn mistral(config: Config<'_>, name: String) -> Result<Description> {
    let mut description = llama(config, name)?;
    // Later releases have no window, and say so.
    let window = match config.count("sliding_window")? {
        None if !config.says("sliding_window") => Some(4096),
        given => given,
    };
    description.windows(window, |_| true);
    Ok(description)
}

fn qwen2(config: Config<'_>, name: String) -> Result<Description> {
    let mut description = Description {
        qkv_bias: true,
        output_bias: false,
        mlp_bias: false,
        ..llama(config, name)?
    };
    qwen_windows(config, &mut description)?;
    Ok(description)
}

fn qwen3(config: Config<'_>, name: String) -> Result<Description> {
    let mut description = llama(config, name)?;
    if config.count("head_dim")?.is_none() {
        description.head_dim = 128;
        description.attention_scale = inverse_root(128);
    }
    description.qk_norm = true;
    description.mlp_bias = false;
    qwen_windows(config, &mut description)?;
    Ok(description)
}

fn qwen_windows(config: Config<'_>, description: &mut Description) -> Result<()> {
    if !config.flag("use_sliding_window")?.unwrap_or(false) {
        return Ok(());
    }
    let window = match config.count("sliding_window")? {
        None if !config.says("sliding_window") => Some(4096),
        given => given,
    };
    let first = config.count("max_window_layers")?.unwrap_or(28);
    let local = local(config, description.layers, |layer| layer >= first)?;
    description.windows(window, |layer| local[layer]);
    Ok(())
}

fn phi3(config: Config<'_>, name: String) -> Result<Description> {
    let dimensions = dimensions(config, 4096)?;
    let rope = rope::of_phi3(config, dimensions.context_length)?;
    let mut description = Description {
        activation: activation(config, "hidden_act", Activation::Silu)?,
        tied_head: config.flag("tie_word_embeddings")?.unwrap_or(false),
        ..Description::llama(name, dimensions, rope)
    };
    description.windows(config.count("sliding_window")?, |_| true);
    Ok(description)
}

/// What both generations of Gemma do.
fn gemma(config: Config<'_>, name: String, dimensions: Dimensions) -> Result<Description> {
    if config.flag("use_bidirectional_attention")?.unwrap_or(false) {
        let supported = ["causal attention"];
        let what = "use_bidirectional_attention";
        return Err(Error::unsupported(config.path(), what, true, &supported));
    }
    let bias = config.flag("attention_bias")?.unwrap_or(false);
    let dimensions = Dimensions {
        head_dim: dimensions.head_dim.or(Some(256)),
        ..dimensions
    };
    let scalar = config.float("query_pre_attn_scalar")?.unwrap_or(256.0);
    let rope = rope::of(config, dimensions.context_length)?;
    #[expect(clippy::cast_precision_loss, reason = "channels are far below 2^24")]
    let hidden = dimensions.hidden as f32;
    Ok(Description {
        post_norms: true,
        activation: activation(config, "hidden_activation", Activation::GeluTanh)?,
        embedding_scale: hidden.sqrt(),
        attention_scale: 1.0 / scalar.sqrt(),
        tied_head: config.flag("tie_word_embeddings")?.unwrap_or(true),
        qkv_bias: bias,
        output_bias: bias,
        ..Description::llama(name, dimensions, rope)
    })
}

fn gemma2(config: Config<'_>, name: String) -> Result<Description> {
    let mut description = gemma(config, name, dimensions(config, 8192)?)?;
    let cap = |key: &str, default: f32| -> Result<Option<f32>> {
        let given = config.float(key)?;
        Ok(if config.says(key) {
            given
        } else {
            Some(default)
        })
    };
    description.attention_softcap = cap("attn_logit_softcapping", 50.0)?;
    description.logit_softcap = cap("final_logit_softcapping", 30.0)?;
    let local = local(config, description.layers, |layer| layer % 2 == 0)?;
    let window = config.count("sliding_window")?.unwrap_or(4096);
    description.windows(Some(window), |layer| local[layer]);
    Ok(description)
}

fn gemma3(config: Config<'_>, name: String) -> Result<Description> {
    let or =
        |key: &str, default: usize| -> Result<usize> { Ok(config.count(key)?.unwrap_or(default)) };
    // Configs of the larger models leave out what the smallest one does alike.
    let dimensions = Dimensions {
        layers: or("num_hidden_layers", 26)?,
        hidden: or("hidden_size", 2304)?,
        intermediate: or("intermediate_size", 9216)?,
        q_heads: or("num_attention_heads", 8)?,
        kv_heads: or("num_key_value_heads", 4)?,
        head_dim: config.count("head_dim")?,
        vocab: or("vocab_size", 262_208)?,
        context_length: or("max_position_embeddings", 131_072)?,
        norm_eps: config.float("rms_norm_eps")?.unwrap_or(1e-6),
    };
    let mut description = gemma(config, name, dimensions)?;
    description.qk_norm = true;
    description.attention_softcap = config.float("attn_logit_softcapping")?;
    description.logit_softcap = config.float("final_logit_softcapping")?;
    let period = config.count("sliding_window_pattern")?.unwrap_or(6).max(1);
    let layers = description.layers;
    let local = local(config, layers, |layer| !(layer + 1).is_multiple_of(period))?;
    let window = config.count("sliding_window")?.unwrap_or(4096);
    description.windows(Some(window), |layer| local[layer]);
    description.ropes = rope::of_gemma3(config, description.context_length)?.into();
    for layer in &mut description.attention {
        layer.rope = Some(usize::from(layer.window.is_some()));
    }
    Ok(description)
}

fn gpt2(config: Config<'_>, name: String) -> Result<Description> {
    let what = "scale_attn_by_inverse_layer_idx";
    if config.flag(what)?.unwrap_or(false) {
        return Err(Error::unsupported(config.path(), what, true, &["false"]));
    }
    let hidden = config.required("n_embd", Config::count)?;
    let heads = config.required("n_head", Config::count)?;
    let dimensions = Dimensions {
        layers: config.required("n_layer", Config::count)?,
        hidden,
        intermediate: config.count("n_inner")?.unwrap_or(hidden.saturating_mul(4)),
        q_heads: heads,
        kv_heads: heads,
        head_dim: None,
        vocab: config.required("vocab_size", Config::count)?,
        context_length: config.count("n_positions")?.unwrap_or(1024),
        norm_eps: config.float("layer_norm_epsilon")?.unwrap_or(1e-5),
    };
    let mut description = Description {
        tied_head: config.flag("tie_word_embeddings")?.unwrap_or(true),
        activation: activation(config, "activation_function", Activation::GeluTanh)?,
        ..Description::gpt2(name, dimensions)
    };
    if !config.flag("scale_attn_weights")?.unwrap_or(true) {
        description.attention_scale = 1.0;
    }
    Ok(description)
}

/// A context `factor` times as long; factors below 1 shorten none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "contexts are far below 2^52, what is larger or no number is refused by its size"
)]
fn stretched(context: usize, factor: f64) -> usize {
    (context as f64 * factor.max(1.0)) as usize
}

/// The dimensions under the keys that most configs use.
fn dimensions(config: Config<'_>, context_length: usize) -> Result<Dimensions> {
    let count = |key: &str| config.required(key, Config::count);
    let q_heads = count("num_attention_heads")?;
    let context = config.count("max_position_embeddings")?;
    Ok(Dimensions {
        layers: count("num_hidden_layers")?,
        hidden: count("hidden_size")?,
        intermediate: count("intermediate_size")?,
        q_heads,
        kv_heads: config.count("num_key_value_heads")?.unwrap_or(q_heads),
        head_dim: config.count("head_dim")?,
        vocab: count("vocab_size")?,
        context_length: context.unwrap_or(context_length),
        norm_eps: config.required("rms_norm_eps", Config::float)?,
    })
}

fn activation(config: Config<'_>, key: &'static str, default: Activation) -> Result<Activation> {
    const KNOWN: [(&str, Activation); 5] = [
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_new", Activation::GeluTanh),
        ("gelu", Activation::Gelu),
    ];
    let Some(name) = config.text(key)? else {
        return Ok(default);
    };
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map(|(_, activation)| *activation).ok_or_else(|| {
        let names = KNOWN.map(|(known, _)| known);
        Error::unsupported(config.path(), key, name, &names)
    })
}

/// Which layers attend to a window: as `layer_types` lists, or else as `default` says.
fn local(config: Config<'_>, layers: usize, default: impl Fn(usize) -> bool) -> Result<Vec<bool>> {
    let Some(types) = config.texts("layer_types")? else {
        // Counts are not checked yet.
        return Ok((0..layers.min(super::MAX_LAYERS)).map(default).collect());
    };
    if types.len() != layers {
        let reason = format!("{} layer_types for {layers} layers", types.len());
        return Err(Error::file(config.path(), reason));
    }
    let kind = |kind: &str| match kind {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => {
            let supported = ["full_attention", "sliding_attention"];
            let path = config.path();
            Err(Error::unsupported(path, "layer type", other, &supported))
        }
    };
    types.into_iter().map(kind).collect()
}
