//! What a decoder is, as data: one description, mapped from GGUF metadata or an HF config.

mod config;
mod gguf;
mod hf;
mod rope;

pub(crate) use gguf::from_gguf;
pub(crate) use hf::from_hf;
pub use rope::{Rope, RopeScaling};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use smartkv_core::CacheShape;
use std::path::Path;

/// A decoder-only transformer: norms, attention and MLPs around one residual stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the architecture as its file gives it, such as `llama`. It says what weights are
    /// called; nothing else depends on it.
    pub architecture: String,
    /// Decoder layers.
    pub layers: usize,
    /// Channels of the residual stream.
    pub hidden: usize,
    /// Channels inside the MLP.
    pub intermediate: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Channels of one head; a multiple of 8.
    pub head_dim: usize,
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// Most tokens a sequence may reach.
    pub context_length: usize,
    /// The norms of the residual stream.
    pub norm: Norm,
    /// Added to the mean square, or the variance, before its root.
    pub norm_eps: f32,
    /// Whether the heads of queries and keys are RMS-normed before their rotation.
    pub qk_norm: bool,
    /// Whether what attention and MLP give is normed before it is added to the stream.
    pub post_norms: bool,
    /// What the MLP does between its matrices.
    pub activation: Activation,
    /// Whether the activation of one matrix's outputs scales those of another.
    pub gated: bool,
    /// Factor on embeddings.
    pub embedding_scale: f32,
    /// Factor on dot products of queries and keys, usually `1/√head_dim`.
    pub attention_scale: f32,
    /// Bound of attention's scores, see [`CacheShape::softcap`].
    pub attention_softcap: Option<f32>,
    /// Bound of the logits, of the same form.
    pub logit_softcap: Option<f32>,
    /// Whether the embedding of its position is added to that of each token.
    pub learned_positions: bool,
    /// Rotary position embeddings, of which each layer names one.
    pub ropes: Vec<Rope>,
    /// Layer by layer, what attention there is unlike in others.
    pub attention: Vec<LayerAttention>,
    /// Whether the output head is the embedding table.
    pub tied_head: bool,
    /// Whether the q, k and v projections have a bias.
    pub qkv_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub output_bias: bool,
    /// Whether the MLP's projections have a bias.
    pub mlp_bias: bool,
}

/// A norm of the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// By the root mean square.
    Rms,
    /// By mean and variance, with a bias.
    Layer,
}

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// The Gaussian error linear unit, approximated by a hyperbolic tangent.
    GeluTanh,
    /// The same by the error function.
    Gelu,
}

/// Attention of one layer, as far as layers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerAttention {
    /// Newest tokens that a query sees, its own among them; every one if `None`.
    pub window: Option<usize>,
    /// Index into [`Description::ropes`]; none where queries and keys are not rotated.
    pub rope: Option<usize>,
}

impl Description {
    /// A decoder of these dimensions that does everything as Llama does, with heads of
    /// `hidden / q_heads` channels.
    pub(crate) fn llama(architecture: String, dimensions: Dimensions, rope: Rope) -> Self {
        let Dimensions {
            layers,
            hidden,
            intermediate,
            q_heads,
            kv_heads,
            head_dim,
            vocab,
            context_length,
            norm_eps,
        } = dimensions;
        let head_dim = head_dim.unwrap_or_else(|| hidden.checked_div(q_heads).unwrap_or(0));
        let all = LayerAttention {
            window: None,
            rope: Some(0),
        };
        Self {
            architecture,
            layers,
            hidden,
            intermediate,
            q_heads,
            kv_heads,
            head_dim,
            vocab,
            context_length,
            norm: Norm::Rms,
            norm_eps,
            qk_norm: false,
            post_norms: false,
            activation: Activation::Silu,
            gated: true,
            embedding_scale: 1.0,
            attention_scale: inverse_root(head_dim),
            attention_softcap: None,
            logit_softcap: None,
            learned_positions: false,
            ropes: vec![rope],
            // A count that no model has is refused by `check`, not allocated.
            attention: vec![all; layers.min(MAX_LAYERS)],
            tied_head: false,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
        }
    }

    /// A decoder of these dimensions that does everything as GPT-2 does: positions are learned,
    /// norms have a bias, and so has every matrix but the head, which is the embedding table.
    pub(crate) fn gpt2(architecture: String, dimensions: Dimensions) -> Self {
        let rope = Rope {
            base: 1.0,
            interleaved: false,
            scaling: RopeScaling::None,
        };
        let mut description = Self {
            norm: Norm::Layer,
            activation: Activation::GeluTanh,
            gated: false,
            learned_positions: true,
            ropes: Vec::new(),
            tied_head: true,
            qkv_bias: true,
            output_bias: true,
            mlp_bias: true,
            ..Self::llama(architecture, dimensions, rope)
        };
        for layer in &mut description.attention {
            layer.rope = None;
        }
        description
    }

    /// Gives a window to the layers for which `local` says so.
    pub(crate) fn windows(&mut self, window: Option<usize>, local: impl Fn(usize) -> bool) {
        for (index, layer) in self.attention.iter_mut().enumerate() {
            layer.window = window.filter(|_| local(index));
        }
    }

    /// The shape of a cache for `batch` sequences.
    ///
    /// # Errors
    /// A batch of 0.
    pub fn cache_shape(&self, batch: usize) -> Result<CacheShape> {
        let shape = CacheShape {
            scale: self.attention_scale,
            softcap: self.attention_softcap,
            windows: self.attention.iter().any(|layer| layer.window.is_some()),
            ..CacheShape::new(
                self.layers,
                batch,
                self.q_heads,
                self.kv_heads,
                self.head_dim,
            )?
        };
        shape.check()?;
        Ok(shape)
    }

    /// Checks what a config read from `path` claims, before tensors are sized by it. Long ropes
    /// bring a factor for the scale of attention along.
    pub(crate) fn check(mut self, path: &Path) -> Result<Self> {
        // Far above any model, far below where products of two would overflow.
        const LIMIT: usize = 1 << 28;
        let counts = [
            ("layers", self.layers, MAX_LAYERS),
            ("hidden size", self.hidden, LIMIT),
            ("intermediate size", self.intermediate, LIMIT),
            ("query heads", self.q_heads, 1 << 16),
            ("vocabulary", self.vocab, LIMIT),
            ("context length", self.context_length, LIMIT),
        ];
        for (name, value, limit) in counts {
            if value == 0 || value > limit {
                let reason = format!("{name} {value}, expected 1 to {limit}");
                return Err(Error::file(path, reason));
            }
        }
        if self.attention.iter().any(|layer| layer.window == Some(0)) {
            let reason = "a sliding window of 0 tokens, expected at least 1";
            return Err(Error::file(path, reason));
        }
        let positive = [
            ("norm epsilon", Some(self.norm_eps)),
            ("embedding scale", Some(self.embedding_scale)),
            ("logit soft-cap", self.logit_softcap),
        ];
        for (name, value) in positive {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value <= 0.0) {
                let reason = format!("{name} is {value}, expected a number above 0");
                return Err(Error::file(path, reason));
            }
        }
        for rope in &self.ropes {
            rope.check(path, self.head_dim)?;
        }
        let magnitudes: Vec<f64> = self.ropes.iter().map(Rope::magnitude).collect();
        if let Some(&magnitude) = magnitudes.first() {
            if magnitudes.iter().any(|other| *other != magnitude) {
                let reason = format!(
                    "layers scale their rotations by {magnitudes:?}, expected the same factor in all"
                );
                return Err(Error::file(path, reason));
            }
            #[expect(clippy::cast_possible_truncation, reason = "a factor near 1")]
            {
                // Queries and keys would both be scaled: their products twice.
                self.attention_scale *= (magnitude * magnitude) as f32;
            }
        }
        self.cache_shape(1)
            .map_err(|error| Error::file(path, error))?;
        Ok(self)
    }
}

/// More layers than any model has.
const MAX_LAYERS: usize = 1 << 12;

/// What every decoder has to say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dimensions {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) q_heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: Option<usize>,
    pub(crate) vocab: usize,
    pub(crate) context_length: usize,
    pub(crate) norm_eps: f32,
}

/// `1/√n`.
#[expect(clippy::cast_precision_loss, reason = "channels are far below 2^24")]
pub(crate) fn inverse_root(n: usize) -> f32 {
    1.0 / (n as f32).sqrt()
}
