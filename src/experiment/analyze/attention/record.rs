//! The record of an analysis of attention.

use super::super::super::record::Environment;
use super::super::passage::TextRecord;
use super::precision::PrecisionRecord;
use super::sensitivity::Sensitivity;
use serde::Serialize;
use smartkv_core::CacheShape;
use smartkv_eval::attention::{Distances, HeadAttention, HeatMap};

/// Version of the record. A field that changes its meaning or goes raises the number.
pub(super) const SCHEMA: &str = "smartkv.attention/1";

/// What `smartkv analyze attention --json` prints. See `docs/analyze.md`.
#[derive(Debug, Serialize)]
pub struct AttentionRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the user called the model.
    pub model: String,
    /// Its layers and heads.
    pub shape: ShapeRecord,
    /// What was read.
    pub text: TextRecord,
    /// Tokens of a window that were run.
    pub window_tokens: usize,
    /// Those before the first scored query.
    pub prompt_tokens: usize,
    /// Scored queries, all windows together: what the statistics are of.
    pub queries: usize,
    /// First tokens that count as sinks.
    pub sinks: usize,
    /// Newest tokens that count as recent.
    pub recent: usize,
    /// Every layer and query head.
    pub heads: Vec<HeadAttention>,
    /// Shares of attention by distance, layer by layer.
    pub distances: Distances,
    /// Heat maps of blocks, mean over windows: one a layer, then those asked for.
    pub maps: Vec<HeatMap>,
    /// Of each window, the tokens of the prompt that received most.
    pub top: Vec<Vec<TopToken>>,
    /// The first window token by token.
    pub tokens: Option<TokenMap>,
    /// Whether rounding hurts more where attention is; `null` if left out.
    pub sensitivity: Option<Sensitivity>,
    /// The bits that a strategy gives to the tokens of the first window; `null` unless asked for.
    pub precision: Option<PrecisionRecord>,
    /// Seed of everything random.
    pub seed: u64,
    /// What it was run with.
    pub environment: Environment,
}

/// Layers and heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShapeRecord {
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub q_heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
}

impl From<&CacheShape> for ShapeRecord {
    fn from(shape: &CacheShape) -> Self {
        Self {
            layers: shape.layers,
            q_heads: shape.q_heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
        }
    }
}

/// A token that received much.
#[derive(Debug, Clone, Serialize)]
pub struct TopToken {
    /// First token of its window in the text.
    pub window: usize,
    /// Its place in the window, the prefix counted.
    pub position: usize,
    /// Its text.
    pub text: String,
    /// Mean attention of a scored query, mean over layers and heads.
    pub attention: f64,
    /// Whether it is one of the sinks.
    pub sink: bool,
}

/// A token of a window.
#[derive(Debug, Clone, Serialize)]
pub struct TokenText {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: String,
}

/// What the tokens of one window received.
#[derive(Debug, Serialize)]
pub struct TokenMap {
    /// First token of the window in the text.
    pub start: usize,
    /// The tokens, prefix included.
    pub tokens: Vec<TokenText>,
    /// Mean attention of the scored queries that could see the token, mean over heads:
    /// `[layers][tokens]`.
    pub received: Vec<Vec<f32>>,
}
