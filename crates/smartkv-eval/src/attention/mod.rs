//! What a model attends to, and what rounding one token does to it.
//!
//! The windows of a text run through an uncompressed cache. An observer beside it computes the
//! attention of every query from the queries and keys that pass, so that no kernel has to know.

mod lone;
mod observer;
mod rank;
mod totals;

pub use lone::{LoneRounding, LoneTokens};
pub use rank::{ranks, spearman};
pub use totals::{HeadAttention, HeatMap};

use crate::error::{EvalError, Result};
use crate::lockstep::{LockstepOptions, check_vocabulary};
use crate::progress::Progress;
use crate::stats::{Bootstrap, float};
use crate::stepper::check_context;
use crate::windows::Windows;
use lone::Lone;
use observer::{Layout, Observer};
use serde::{Deserialize, Serialize};
use smartkv_core::{CacheShape, Format, KvHook};
use smartkv_host::{LogitsFor, Model};

/// What is asked of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileOptions {
    /// The windows of the text. Statistics are of the scored queries, heat maps of all.
    pub windows: Windows,
    /// Tokens put in front of every window.
    pub prefix: Vec<u32>,
    /// Tokens of a forward.
    pub chunk: usize,
    /// First tokens that are counted as sinks.
    pub sinks: usize,
    /// Newest tokens that are counted as recent, the query's own among them.
    pub recent: usize,
    /// Rows and columns of a heat map, at most.
    pub blocks: usize,
    /// Heads that get a heat map of their own, as (layer, query head).
    pub maps: Vec<(usize, usize)>,
    /// Formats for which one token at a time is rounded.
    pub lone: Vec<Format>,
    /// Scored queries of a window, evenly spread, that lone rounding looks at.
    pub lone_queries: usize,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// Attention over the windows of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttentionProfile {
    /// Tokens of a window that are run: prefix, prompt and scored ones.
    pub window_tokens: usize,
    /// Those before the first scored query.
    pub prompt_tokens: usize,
    /// Scored queries, all windows together.
    pub queries: usize,
    /// Every layer and query head, means over windows.
    pub heads: Vec<HeadAttention>,
    /// Attention by distance.
    pub distances: Distances,
    /// Attention of query blocks to key blocks, mean over windows: one map a layer, the mean of its
    /// heads, and those asked for.
    pub maps: Vec<HeatMap>,
    /// What each token of each window received.
    pub windows: Vec<WindowAttention>,
    /// What rounding one token alone does, format by format.
    pub lone: Vec<LoneTokens>,
}

/// Shares of attention by how far back a key is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// First distance of each bin: 0 is the query's own token, then powers of two.
    pub from: Vec<usize>,
    /// Of each layer, the mean share over heads and scored queries, bin by bin; they sum to 1.
    pub layers: Vec<Vec<f64>>,
}

/// What the tokens of one window received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowAttention {
    /// First token of the window in the text.
    pub start: usize,
    /// The tokens, prefix included.
    pub tokens: Vec<u32>,
    /// Mean attention of the scored queries that could see the token, mean over the heads of the
    /// layer: `[layers][tokens]`.
    pub received: Vec<Vec<f32>>,
}

/// Runs the windows of `text` through `hook`, an uncompressed cache, and observes attention.
///
/// # Errors
/// A text too short for a window, a window beyond the model's context, options out of range, and
/// whatever model and cache refuse.
pub fn attention_profile(
    model: &Model,
    text: &[u32],
    options: &ProfileOptions,
    hook: &mut dyn KvHook,
    progress: &dyn Progress,
) -> Result<AttentionProfile> {
    let shape = *hook.shape();
    options.check(&shape)?;
    let cut = options.windows.cut(text.len())?;
    let tokens = options.prefix.len() + cut.tokens_per_window - 1;
    check_context(model, "a window", tokens)?;
    let lockstep = LockstepOptions {
        prefix: options.prefix.clone(),
        ..LockstepOptions::default()
    };
    check_vocabulary(model, text, &lockstep)?;
    let prompt = options.prefix.len() + options.windows.prefill;
    progress.begin(tokens * cut.starts.len());
    let layout = Layout {
        tokens,
        first: prompt,
        block: tokens.div_ceil(options.blocks),
        sinks: options.sinks,
        recent: options.recent,
    };
    let mut observer = Observer::new(hook, layout, !options.lone.is_empty());
    let mut lone = Lone::new(&options.lone, &shape);
    let mut windows = Vec::with_capacity(cut.starts.len());
    for (index, &start) in cut.starts.iter().enumerate() {
        progress.message(&format!("window {} of {}", index + 1, cut.starts.len()));
        let own = &text[start..start + cut.tokens_per_window - 1];
        let ids = [options.prefix.as_slice(), own].concat();
        observer.begin();
        let mut left = ids.len();
        for part in ids.chunks(options.chunk) {
            left -= part.len();
            model.forward_part(&[part], &mut observer, LogitsFor::None, left)?;
            progress.advance(part.len());
        }
        let received = observer.end();
        lone.window(&observer.passed(options.lone_queries));
        windows.push(WindowAttention {
            start,
            tokens: ids,
            received,
        });
    }
    let (heads, distances, maps) = observer.finish(&options.maps);
    Ok(AttentionProfile {
        window_tokens: tokens,
        prompt_tokens: prompt,
        queries: options.windows.score * windows.len(),
        heads,
        distances,
        maps,
        windows,
        lone: lone.finish(&options.bootstrap)?,
    })
}

impl ProfileOptions {
    fn check(&self, shape: &CacheShape) -> Result<()> {
        let least = [
            ("blocks", self.blocks),
            ("chunk", self.chunk),
            ("lone_queries", self.lone_queries),
        ];
        if let Some((name, value)) = least.into_iter().find(|(_, value)| *value == 0) {
            return Err(EvalError::parameter(name, value, "at least 1"));
        }
        for &(layer, head) in &self.maps {
            if layer >= shape.layers {
                let expected = format!("0 to {}", shape.layers - 1);
                return Err(EvalError::parameter("layers", layer, expected));
            }
            if head >= shape.q_heads {
                let expected = format!("0 to {}", shape.q_heads - 1);
                return Err(EvalError::parameter("heads", head, expected));
            }
        }
        for format in &self.lone {
            format
                .check(shape.head_dim)
                .map_err(smartkv_host::Error::from)?;
            if format.block_rows() > 1 {
                let expected = "a format whose rows are stored one by one";
                return Err(EvalError::parameter("lone", format, expected));
            }
        }
        Ok(self.bootstrap.check()?)
    }
}

/// The mean of equally many numbers, column by column.
fn column_means(rows: &[Vec<f64>]) -> Vec<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    let mean = |column| rows.iter().map(|row: &Vec<f64>| row[column]).sum::<f64>();
    (0..columns)
        .map(|column| mean(column) / float(rows.len()))
        .collect()
}
