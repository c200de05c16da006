//! A run ahead of the others, for caches that must be told the attention of tokens to come.

use crate::error::Result;
use crate::progress::Progress;
use smartkv_core::{KvHook, Trace, TraceRecorder};
use smartkv_host::{LogitsFor, Model};
use std::sync::Arc;

/// One window of text, as it passes through every cache.
#[derive(Clone, Copy)]
pub(crate) struct WindowTokens<'a> {
    pub(crate) prompt: &'a [u32],
    /// Tokens of a forward of the prompt.
    pub(crate) prefill_chunk: usize,
    /// Teacher-forced tokens.
    pub(crate) scored: &'a [u32],
    /// Tokens of a forward of those.
    pub(crate) tokens_per_forward: usize,
}

/// Runs the window through `reference` and traces the attention that its scored tokens give. Empties
/// the cache before.
pub(crate) fn trace(
    model: &Model,
    reference: &mut dyn KvHook,
    window: WindowTokens<'_>,
    progress: &dyn Progress,
) -> Result<Arc<Trace>> {
    let WindowTokens {
        prompt,
        prefill_chunk,
        scored,
        tokens_per_forward,
    } = window;
    let mut recorder = TraceRecorder::new(reference, prompt.len(), scored.len())
        .map_err(smartkv_host::Error::from)?;
    let mut left = prompt.len();
    let prompt = prompt.chunks(prefill_chunk).map(|part| {
        left -= part.len();
        (part, left)
    });
    let scored = scored.chunks(tokens_per_forward).map(|part| (part, 0));
    for (part, left) in prompt.chain(scored) {
        model.forward_part(&[part], &mut recorder, LogitsFor::None, left)?;
        progress.advance(part.len());
    }
    Ok(recorder.finish())
}
