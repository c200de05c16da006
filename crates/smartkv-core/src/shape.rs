//! The shape of a cache: what the host must say before any token is seen.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Largest head dimension the engine accepts.
pub const MAX_HEAD_DIM: usize = 512;

/// Dimensions of a KV cache.
///
/// A *lane* is one (sequence, kv head); lanes are numbered `sequence * kv_heads + kv_head`
/// and have lengths of their own, so that batches and per-head eviction may be ragged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CacheShape {
    /// Decoder layers.
    pub layers: usize,
    /// Sequences held at once.
    pub batch: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Channels of one head; a multiple of 8.
    pub head_dim: usize,
    /// Factor on `q·k` before the softmax, usually `1/√head_dim`.
    pub scale: f32,
    /// Bound of the scaled scores, if any: a score `s` becomes `softcap · tanh(s / softcap)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softcap: Option<f32>,
    /// Whether steps may have a window ([`AttnStep::window`](crate::AttnStep::window)). Rows then
    /// keep their positions, 4 bytes each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub windows: bool,
}

impl CacheShape {
    /// A checked shape with the usual scale `1/√head_dim`.
    ///
    /// # Errors
    /// A zero dimension, `q_heads` not a multiple of `kv_heads`, or `head_dim` not a multiple
    /// of 8 or above [`MAX_HEAD_DIM`].
    pub fn new(
        layers: usize,
        batch: usize,
        q_heads: usize,
        kv_heads: usize,
        head_dim: usize,
    ) -> Result<Self> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "head_dim is at most MAX_HEAD_DIM"
        )]
        let scale = 1.0 / (head_dim as f32).sqrt();
        let shape = Self {
            layers,
            batch,
            q_heads,
            kv_heads,
            head_dim,
            scale,
            softcap: None,
            windows: false,
        };
        shape.check()?;
        Ok(shape)
    }

    /// Checks the invariants listed at [`CacheShape::new`], and that scores have a sound scale and
    /// bound.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the broken invariant.
    pub fn check(&self) -> Result<()> {
        if [
            self.layers,
            self.batch,
            self.q_heads,
            self.kv_heads,
            self.head_dim,
        ]
        .contains(&0)
        {
            return Err(Error::Shape(format!("{self:?} has a zero dimension")));
        }
        if !self.q_heads.is_multiple_of(self.kv_heads) {
            return Err(Error::Shape(format!(
                "{} query heads cannot share {} kv heads: not a multiple",
                self.q_heads, self.kv_heads
            )));
        }
        if !self.head_dim.is_multiple_of(8) || self.head_dim > MAX_HEAD_DIM {
            return Err(Error::Shape(format!(
                "head_dim {}: expected a multiple of 8 up to {MAX_HEAD_DIM}",
                self.head_dim
            )));
        }
        for (what, value) in [("scale", Some(self.scale)), ("softcap", self.softcap)] {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value <= 0.0) {
                return Err(Error::Shape(format!(
                    "{what} {value}: expected a number above 0"
                )));
            }
        }
        Ok(())
    }

    /// Lanes of one layer: `batch * kv_heads`.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.batch * self.kv_heads
    }

    /// Query heads that share one kv head.
    #[must_use]
    pub fn group(&self) -> usize {
        self.q_heads / self.kv_heads
    }

    /// Bytes of one token of one lane of one layer in an f16 cache: K and V, nothing else.
    #[must_use]
    pub fn f16_row_bytes(&self) -> usize {
        2 * 2 * self.head_dim
    }
}
