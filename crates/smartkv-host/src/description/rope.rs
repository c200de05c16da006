//! Rotary position embedding, and how it is stretched.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

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
    /// Beyond the original context, the base grows with the length reached ("dynamic NTK").
    ///
    /// The length is that of the prompt, or after it of the sequence so far, and frequencies are
    /// those of the step: keys cached before keep the rotation they got, as in transformers.
    Dynamic {
        /// How fast it grows.
        factor: f64,
        /// Context length up to which nothing is stretched.
        original_context: usize,
    },
    /// `YaRN` (arXiv 2309.00071): low frequencies by a factor, high ones not, a ramp between.
    Yarn {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Factor on rotated queries and keys.
        magnitude: f64,
        /// Pairs that turn more often than this within the original context are left alone.
        beta_fast: f64,
        /// Pairs that turn less often are divided.
        beta_slow: f64,
        /// Context length of the pretraining in tokens.
        original_context: usize,
        /// Whether the ends of the ramp are whole pairs.
        truncate: bool,
    },
    /// `LongRoPE` (arXiv 2402.13753), also called `su`: a divisor for each frequency, others when
    /// the length reached is beyond the original context. Lengths are those of
    /// [`RopeScaling::Dynamic`].
    Long {
        /// Divisors up to the original context, `head_dim / 2` of them.
        short: Vec<f64>,
        /// Divisors beyond it.
        long: Vec<f64>,
        /// Factor on rotated queries and keys, at any length.
        magnitude: f64,
        /// Context length of the pretraining in tokens.
        original_context: usize,
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

impl RopeScaling {
    /// The factor on rotated queries and keys that `YaRN` takes unless told.
    pub(crate) fn yarn_magnitude(factor: f64) -> f64 {
        if factor > 1.0 {
            0.1 * factor.ln() + 1.0
        } else {
            1.0
        }
    }

    /// The factor that `LongRoPE` takes unless told, for a context `factor` times the original.
    #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^52")]
    pub(crate) fn long_magnitude(factor: f64, original_context: usize) -> f64 {
        if factor > 1.0 {
            (1.0 + factor.ln() / (original_context as f64).ln()).sqrt()
        } else {
            1.0
        }
    }
}

impl Rope {
    /// Factor on rotated queries and keys.
    pub(crate) fn magnitude(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { magnitude, .. } | RopeScaling::Long { magnitude, .. } => magnitude,
            _ => 1.0,
        }
    }

    /// Numbers that a rotation of `head_dim` channels can be made of.
    pub(super) fn check(&self, path: &Path, head_dim: usize) -> Result<()> {
        let mut numbers = vec![("RoPE base", self.base)];
        let mut contexts = Vec::new();
        match &self.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => numbers.push(("RoPE factor", *factor)),
            RopeScaling::Dynamic {
                factor,
                original_context,
            } => {
                numbers.push(("RoPE factor", *factor));
                contexts.push(*original_context);
            }
            RopeScaling::Yarn {
                factor,
                magnitude,
                beta_fast,
                beta_slow,
                original_context,
                truncate: _,
            } => {
                numbers.extend([
                    ("RoPE factor", *factor),
                    ("RoPE attention_factor", *magnitude),
                    ("RoPE beta_fast", *beta_fast),
                    ("RoPE beta_slow", *beta_slow),
                    ("logarithm of the RoPE base", self.base.ln()),
                ]);
                contexts.push(*original_context);
            }
            RopeScaling::Long {
                short,
                long,
                magnitude,
                original_context,
            } => {
                numbers.push(("RoPE attention_factor", *magnitude));
                contexts.push(*original_context);
                for factors in [short, long] {
                    check_count(path, factors.len(), head_dim)?;
                    numbers.extend(factors.iter().map(|&factor| ("RoPE factor", factor)));
                }
            }
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                numbers.extend([
                    ("RoPE factor", *factor),
                    ("RoPE low_freq_factor", *low_freq_factor),
                    (
                        "RoPE high_freq_factor minus low_freq_factor",
                        high_freq_factor - low_freq_factor,
                    ),
                ]);
                contexts.push(*original_context);
            }
            RopeScaling::Factors(factors) => {
                check_count(path, factors.len(), head_dim)?;
                let factors = factors.iter().map(|&factor| f64::from(factor));
                numbers.extend(factors.map(|factor| ("RoPE factor", factor)));
            }
        }
        if contexts.contains(&0) {
            let reason = "the original context of RoPE scaling is 0, expected at least 1";
            return Err(Error::file(path, reason));
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        match numbers.into_iter().find(|&(_, value)| !positive(value)) {
            Some((name, value)) => Err(Error::file(
                path,
                format!("{name} is {value}, expected a number above 0"),
            )),
            None => Ok(()),
        }
    }
}

fn check_count(path: &Path, count: usize, head_dim: usize) -> Result<()> {
    let pairs = head_dim / 2;
    if count == pairs {
        return Ok(());
    }
    let reason = format!("{count} RoPE factors, expected {pairs}, one a pair");
    Err(Error::file(path, reason))
}
