//! From the metadata of a GGUF file, under the names that llama.cpp documents.

use super::{Activation, Description, Dimensions, Rope, RopeScaling, inverse_root};
use crate::error::{Error, Result};
use crate::weights::Weights;
use crate::weights::gguf::Metadata;

/// Architectures with a mapping. Mistral's files say `llama`.
const ARCHITECTURES: [(&str, Mapping); 7] = [
    ("llama", llama),
    ("qwen2", plain),
    ("qwen3", plain),
    ("phi3", phi3),
    ("gemma2", gemma2),
    ("gemma3", gemma3),
    ("gpt2", gpt2),
];

type Mapping = fn(&File<'_>) -> Result<Description>;

/// What a mapping reads.
struct File<'a> {
    metadata: &'a Metadata,
    weights: &'a Weights,
    architecture: &'a str,
}

/// Reads the description; `weights` tells which matrices have a bias, whether the head is tied,
/// and RoPE factors.
pub(crate) fn from_gguf(metadata: &Metadata, weights: &Weights) -> Result<Description> {
    let key = "general.architecture";
    let architecture = metadata.required(key, metadata.string(key)?)?;
    let mapping = (ARCHITECTURES.iter()).find(|(known, _)| *known == architecture);
    let Some((_, mapping)) = mapping else {
        let known = ARCHITECTURES.map(|(known, _)| known);
        let path = metadata.path();
        return Err(Error::unsupported(
            path,
            "architecture",
            architecture,
            &known,
        ));
    };
    let file = File {
        metadata,
        weights,
        architecture,
    };
    mapping(&file)?.check(metadata.path())
}

fn llama(file: &File<'_>) -> Result<Description> {
    let mut description = plain(file)?;
    for rope in &mut description.ropes {
        // The converter permutes q and k of this architecture for neighbouring pairs.
        rope.interleaved = true;
    }
    Ok(description)
}

/// What most architectures share; whatever is optional is there when its tensors are.
fn plain(file: &File<'_>) -> Result<Description> {
    let eps = "attention.layer_norm_rms_epsilon";
    let dimensions = file.dimensions(eps)?;
    let rope = Rope {
        base: file.number("rope.freq_base")?.unwrap_or(10_000.0),
        interleaved: false,
        scaling: file.scaling(dimensions.context_length)?,
    };
    let architecture = file.architecture.to_string();
    Ok(Description {
        tied_head: !file.has("output.weight"),
        qk_norm: file.has("blk.0.attn_q_norm.weight"),
        post_norms: file.has("blk.0.post_attention_norm.weight"),
        qkv_bias: file.has("blk.0.attn_q.bias") || file.has("blk.0.attn_qkv.bias"),
        output_bias: file.has("blk.0.attn_output.bias"),
        mlp_bias: file.has("blk.0.ffn_up.bias"),
        ..Description::llama(architecture, dimensions, rope)
    })
}

fn phi3(file: &File<'_>) -> Result<Description> {
    let mut description = plain(file)?;
    // 0 says that there is none.
    let window = file.count("attention.sliding_window")?;
    description.windows(window.filter(|&window| window > 0), |_| true);
    Ok(description)
}

/// What both generations of Gemma do; the offset of their norms is part of the stored weights.
/// The one model of `largest` layers scales attention by the width of a share of the stream.
fn gemma(file: &File<'_>, largest: usize, period: usize) -> Result<Description> {
    let mut description = plain(file)?;
    description.activation = Activation::GeluTanh;
    #[expect(clippy::cast_precision_loss, reason = "channels are far below 2^24")]
    let hidden = description.hidden as f32;
    description.embedding_scale = hidden.sqrt();
    if description.layers == largest {
        let share = description.hidden.checked_div(description.q_heads);
        description.attention_scale = inverse_root(share.unwrap_or(0));
    }
    let window = file.count("attention.sliding_window")?.unwrap_or(4096);
    let (period, local) = file.pattern(period, description.layers)?;
    description.windows(Some(window), |layer| match &local {
        Some(local) => local[layer],
        None => !(layer + 1).is_multiple_of(period),
    });
    Ok(description)
}

fn gemma2(file: &File<'_>) -> Result<Description> {
    let mut description = gemma(file, 46, 2)?;
    let cap =
        |name: &str, default: f32| -> Result<f32> { Ok(file.float(name)?.unwrap_or(default)) };
    description.attention_softcap = Some(cap("attn_logit_softcapping", 50.0)?);
    description.logit_softcap = Some(cap("final_logit_softcapping", 30.0)?);
    Ok(description)
}

fn gemma3(file: &File<'_>) -> Result<Description> {
    let mut description = gemma(file, 62, 6)?;
    description.logit_softcap = file.float("final_logit_softcapping")?;
    if file.number("rope.freq_base")?.is_none() {
        description.ropes[0].base = 1_000_000.0;
    }
    description.ropes.push(Rope {
        base: file.number("rope.freq_base_swa")?.unwrap_or(10_000.0),
        interleaved: false,
        scaling: RopeScaling::None,
    });
    for layer in &mut description.attention {
        layer.rope = Some(usize::from(layer.window.is_some()));
    }
    Ok(description)
}

fn gpt2(file: &File<'_>) -> Result<Description> {
    let dimensions = file.dimensions("attention.layer_norm_epsilon")?;
    Ok(Description {
        tied_head: !file.has("output.weight"),
        ..Description::gpt2(file.architecture.to_string(), dimensions)
    })
}

impl File<'_> {
    fn named(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn has(&self, tensor: &str) -> bool {
        self.weights.get(tensor).is_some()
    }

    fn count(&self, name: &str) -> Result<Option<usize>> {
        self.metadata.usize(&self.named(name))
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.metadata.f64(&self.named(name))
    }

    fn float(&self, name: &str) -> Result<Option<f32>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "stored as f32, widened on reading"
        )]
        Ok(self.number(name)?.map(|number| number as f32))
    }

    fn required(&self, name: &str) -> Result<usize> {
        let count = self.count(name)?;
        self.metadata.required(&self.named(name), count)
    }

    fn dimensions(&self, eps: &str) -> Result<Dimensions> {
        let path = self.metadata.path();
        if let Some(experts) = self.count("expert_count")?.filter(|&experts| experts > 0) {
            let value = format!("mixture of {experts} experts");
            return Err(Error::unsupported(path, "feed-forward", value, &["dense"]));
        }
        let hidden = self.required("embedding_length")?;
        let q_heads = self.required("attention.head_count")?;
        let head_dim = match self.count("attention.key_length")? {
            Some(head_dim) => head_dim,
            None => hidden.checked_div(q_heads).unwrap_or(0),
        };
        for name in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.count(name)?.filter(|&other| other != head_dim) {
                let reason = format!(
                    "`{}` is {other}, expected the head dimension {head_dim}",
                    self.named(name)
                );
                return Err(Error::file(path, reason));
            }
        }
        let vocab = match self.count("vocab_size")? {
            Some(vocab) => vocab,
            None => self
                .metadata
                .strings("tokenizer.ggml.tokens")?
                .map_or(0, |tokens| tokens.len()),
        };
        Ok(Dimensions {
            layers: self.required("block_count")?,
            hidden,
            intermediate: self.required("feed_forward_length")?,
            q_heads,
            kv_heads: self.count("attention.head_count_kv")?.unwrap_or(q_heads),
            head_dim: Some(head_dim),
            vocab,
            context_length: self.required("context_length")?,
            norm_eps: self.metadata.required(&self.named(eps), self.float(eps)?)?,
        })
    }

    /// Every how many layers one has no window, or of each layer whether it has one.
    fn pattern(&self, default: usize, layers: usize) -> Result<(usize, Option<Vec<bool>>)> {
        let key = self.named("attention.sliding_window_pattern");
        if let Ok(period) = self.metadata.usize(&key) {
            return Ok((period.unwrap_or(default).max(1), None));
        }
        let listed = self.metadata.bools(&key)?.unwrap_or_default();
        if listed.len() != layers {
            let reason = format!("`{key}` lists {} of {layers} layers", listed.len());
            return Err(Error::file(self.metadata.path(), reason));
        }
        Ok((default, Some(listed)))
    }

    fn scaling(&self, context: usize) -> Result<RopeScaling> {
        let factors = |name: &str| match self.weights.get(name) {
            Some(factors) => factors.to_f32().map(Some),
            None => Ok(None),
        };
        if let Some(factors) = factors("rope_freqs.weight")? {
            return Ok(RopeScaling::Factors(factors));
        }
        let original = self.count("rope.scaling.original_context_length")?;
        let original_context = original.unwrap_or(context);
        let given = self.number("rope.scaling.attn_factor")?;
        let both = factors("rope_factors_short.weight")?.zip(factors("rope_factors_long.weight")?);
        if let Some((short, long)) = both {
            let wide = |factors: Vec<f32>| factors.into_iter().map(f64::from).collect();
            #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^52")]
            let stretched = context as f64 / original_context.max(1) as f64;
            return Ok(RopeScaling::Long {
                short: wide(short),
                long: wide(long),
                magnitude: given
                    .unwrap_or_else(|| RopeScaling::long_magnitude(stretched, original_context)),
                original_context,
            });
        }
        let key = self.named("rope.scaling.type");
        let kind = self.metadata.string(&key)?;
        let factor = self.number("rope.scaling.factor")?;
        match (kind.unwrap_or("none"), factor) {
            ("none", _) | ("linear", None) => Ok(RopeScaling::None),
            ("linear", Some(factor)) => Ok(RopeScaling::Linear { factor }),
            ("yarn", Some(factor)) => Ok(RopeScaling::Yarn {
                factor,
                magnitude: given.unwrap_or(1.0) * RopeScaling::yarn_magnitude(factor),
                beta_fast: 32.0,
                beta_slow: 1.0,
                original_context,
                truncate: true,
            }),
            (other, _) => Err(Error::unsupported(
                self.metadata.path(),
                "RoPE scaling",
                other,
                &[
                    "none",
                    "linear",
                    "yarn",
                    "llama3 (as rope_freqs.weight)",
                    "longrope (as rope_factors_long.weight and rope_factors_short.weight)",
                ],
            )),
        }
    }
}
