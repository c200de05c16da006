//! What a lockstep run is asked for and what it gives.

use crate::error::{EvalError, Result};
use crate::fidelity::{Fidelity, TokenRecord, WindowFidelity, reference_nll};
use crate::perplexity::Perplexity;
use crate::protocol::Protocol;
use crate::speed::Timing;
use crate::stats::Bootstrap;
use crate::windows::{Cut, Windows};
use serde::{Deserialize, Serialize};

/// What to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LockstepOptions {
    /// How tokens pass through the caches.
    pub protocol: Protocol,
    /// The windows of the text.
    pub windows: Windows,
    /// Where windows are drawn at random within their shares of the text, the seed of that; at
    /// equal distances if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seed: Option<u64>,
    /// Tokens put in front of every window, not scored: a BOS for models that need one.
    pub prefix: Vec<u32>,
    /// Tokens per forward while prefilling.
    pub prefill_chunk: usize,
    /// Keep a record of every scored token.
    pub keep_tokens: bool,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

impl LockstepOptions {
    /// Where the windows of a text of `tokens` tokens are.
    ///
    /// # Errors
    /// See [`Windows::cut`].
    pub fn cut(&self, tokens: usize) -> Result<Cut> {
        let cut = self.windows.cut(tokens)?;
        Ok(match self.window_seed {
            Some(seed) => cut.drawn(tokens, seed),
            None => cut,
        })
    }
}

impl Default for LockstepOptions {
    fn default() -> Self {
        Self {
            protocol: Protocol::Decode,
            windows: Windows::default(),
            window_seed: None,
            prefix: Vec::new(),
            prefill_chunk: 256,
            keep_tokens: true,
            bootstrap: Bootstrap::default(),
        }
    }
}

/// One window of the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// Index among the windows.
    pub window: usize,
    /// First token of the window in the text's token stream.
    pub start: usize,
    /// Mean NLL under the reference.
    pub reference_mean_nll_nats: f64,
    /// The candidate on the same tokens; absent without one.
    pub candidate: Option<WindowFidelity>,
    /// Every scored token; empty unless kept.
    pub tokens: Vec<TokenRecord>,
}

/// What was measured. Equal inputs give equal results, to the bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LockstepResult {
    /// What was asked for.
    pub options: LockstepOptions,
    /// Windows measured: fewer than asked for when the text is short.
    pub windows_measured: usize,
    /// Tokens of the text.
    pub text_tokens: usize,
    /// Perplexity under the reference.
    pub reference: Perplexity,
    /// The candidate against the reference; absent without one.
    pub candidate: Option<Fidelity>,
    /// Window by window.
    pub windows: Vec<WindowRecord>,
}

/// Times of a lockstep run. The caches take turns, so neither keeps the processor's caches warm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LockstepTiming {
    /// The reference cache.
    pub reference: Timing,
    /// The candidate cache; absent without one.
    pub candidate: Option<Timing>,
}

/// Sums up the scored tokens of all windows.
pub(super) fn summarise(
    text_tokens: usize,
    options: &LockstepOptions,
    cut: &Cut,
    windows: Vec<Vec<TokenRecord>>,
    compared: bool,
) -> Result<LockstepResult> {
    let means: Vec<f64> = windows
        .iter()
        .filter_map(|window| reference_nll(window))
        .collect();
    let reference = Perplexity::of(&means, options.windows.score)
        .ok_or_else(|| EvalError::Statistics("perplexity of no windows".into()))?;
    let candidate = if compared {
        Some(Fidelity::of(&windows, &options.bootstrap)?)
    } else {
        None
    };
    let records = windows.into_iter().zip(&cut.starts).zip(means).enumerate();
    Ok(LockstepResult {
        options: options.clone(),
        windows_measured: cut.starts.len(),
        text_tokens,
        reference,
        candidate,
        windows: records
            .map(
                |(window, ((tokens, &start), reference_mean_nll_nats))| WindowRecord {
                    window,
                    start,
                    reference_mean_nll_nats,
                    candidate: WindowFidelity::of(&tokens),
                    tokens: if options.keep_tokens {
                        tokens
                    } else {
                        Vec::new()
                    },
                },
            )
            .collect(),
    })
}
