//! What a decoder is, as data: one description, mapped from GGUF metadata or an HF config.

mod gguf;
mod hf;

pub(crate) use gguf::from_gguf;
pub(crate) use hf::from_hf;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use smartkv_core::CacheShape;
use std::path::Path;

/// Architectures with a mapping, by the name that both formats use.
pub(crate) const ARCHITECTURES: [&str; 1] = ["llama"];

/// A decoder-only transformer: RMS norm, rotary positions, grouped-query attention, gated `SiLU`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the architecture, such as `llama`.
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
    /// Added to the mean square before its root.
    pub rms_eps: f32,
    /// Rotary position embedding.
    pub rope: Rope,
    /// Whether the output head is the embedding table.
    pub tied_head: bool,
    /// Whether the q, k and v projections have a bias.
    pub qkv_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub output_bias: bool,
    /// Whether the MLP's projections have a bias.
    pub mlp_bias: bool,
}

/// Rotary position embedding of the keys and queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    /// Base of the frequencies: pair `i` turns by `base^(-2i/head_dim)` per token.
    pub base: f64,
    /// Whether pairs are neighbours `(2i, 2i+1)`, as GGUF stores Llama, or halves
    /// `(i, i + head_dim/2)`, as Hugging Face does.
    pub interleaved: bool,
    /// How frequencies are stretched for long contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched for contexts longer than the pretraining's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All by one factor.
    Linear {
        /// Divisor of every frequency.
        factor: f64,
    },
    /// Llama 3: low frequencies by a factor, high ones not, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are left alone.
        high_freq_factor: f64,
        /// Context length of the pretraining in tokens.
        original_context: usize,
    },
    /// A divisor for each frequency, `head_dim / 2` in all, as GGUF files of Llama 3 carry them.
    Factors(Vec<f32>),
}

impl Description {
    /// The shape of a cache for `batch` sequences.
    ///
    /// # Errors
    /// A batch of 0.
    pub fn cache_shape(&self, batch: usize) -> Result<CacheShape> {
        Ok(CacheShape::new(
            self.layers,
            batch,
            self.q_heads,
            self.kv_heads,
            self.head_dim,
        )?)
    }

    /// Checks what a config read from `path` claims, before tensors are sized by it.
    pub(crate) fn check(self, path: &Path) -> Result<Self> {
        // Far above any model, far below where products of two would overflow.
        const LIMIT: usize = 1 << 28;
        let counts = [
            ("layers", self.layers, 1 << 12),
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
        self.cache_shape(1)
            .map_err(|error| Error::file(path, error))?;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let mut numbers = vec![
            ("RMS epsilon", f64::from(self.rms_eps)),
            ("RoPE base", self.rope.base),
        ];
        match &self.rope.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => numbers.push(("RoPE factor", *factor)),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                ..
            } => {
                numbers.extend([
                    ("RoPE factor", *factor),
                    ("RoPE low_freq_factor", *low_freq_factor),
                    (
                        "RoPE high_freq_factor minus low_freq_factor",
                        high_freq_factor - low_freq_factor,
                    ),
                ]);
            }
            RopeScaling::Factors(factors) => {
                let pairs = self.head_dim / 2;
                if factors.len() != pairs {
                    let reason = format!(
                        "{} RoPE factors, expected {pairs}, one a pair",
                        factors.len()
                    );
                    return Err(Error::file(path, reason));
                }
                numbers.extend(
                    factors
                        .iter()
                        .map(|&factor| ("RoPE factor", f64::from(factor))),
                );
            }
        }
        match numbers.into_iter().find(|&(_, value)| !positive(value)) {
            Some((name, value)) => Err(Error::file(
                path,
                format!("{name} is {value}, expected a number above 0"),
            )),
            None => Ok(self),
        }
    }
}
