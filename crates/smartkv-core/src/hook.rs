//! What the host calls in each layer instead of "append to the cache, softmax(QKᵀ)V".

use crate::error::{Error, Result};
use crate::shape::CacheShape;
use crate::trace::Trace;
use std::sync::Arc;

/// The queries, keys and values of one layer in one forward step.
///
/// All slices are row-major `[batch, tokens, heads, head_dim]` in f32. Sequences may be ragged:
/// sequence `b` has `lens[b] <= tokens` valid tokens, the rest is padding that is never read.
#[derive(Debug, Clone, Copy)]
pub struct AttnStep<'a> {
    /// Layer index, from 0. Layers are attended in order.
    pub layer: usize,
    /// Padded tokens of each sequence in this step.
    pub tokens: usize,
    /// Valid tokens of each sequence; `batch` entries.
    pub lens: &'a [usize],
    /// Queries after `RoPE`, not yet scaled: `[batch, tokens, q_heads, head_dim]`.
    pub q: &'a [f32],
    /// Keys after `RoPE`: `[batch, tokens, kv_heads, head_dim]`.
    pub k: &'a [f32],
    /// Values: `[batch, tokens, kv_heads, head_dim]`.
    pub v: &'a [f32],
    /// Newest tokens that a query sees in this layer, its own among them; every one if `None`.
    /// Only for a shape with [`windows`](CacheShape::windows).
    pub window: Option<usize>,
}

impl AttnStep<'_> {
    /// Checks every slice against `shape` and `out`.
    ///
    /// # Errors
    /// [`Error::Step`] naming the first mismatch.
    pub fn check(&self, shape: &CacheShape, out: &[f32]) -> Result<()> {
        let rows = shape.batch * self.tokens * shape.head_dim;
        let expect = [
            ("q", self.q.len(), rows * shape.q_heads),
            ("k", self.k.len(), rows * shape.kv_heads),
            ("v", self.v.len(), rows * shape.kv_heads),
            ("out", out.len(), rows * shape.q_heads),
            ("lens", self.lens.len(), shape.batch),
        ];
        for (name, got, want) in expect {
            if got != want {
                return Err(Error::Step(format!(
                    "{name} has {got} elements, expected {want}"
                )));
            }
        }
        if self.layer >= shape.layers {
            return Err(Error::Step(format!(
                "layer {} of {}",
                self.layer, shape.layers
            )));
        }
        if let Some(&len) = self.lens.iter().find(|&&len| len > self.tokens) {
            return Err(Error::Step(format!(
                "length {len} above the {} tokens given",
                self.tokens
            )));
        }
        match self.window {
            Some(0) => Err(Error::Step(
                "a window of 0 tokens, expected at least the query's own".into(),
            )),
            Some(window) if !shape.windows => Err(Error::Step(format!(
                "a window of {window} tokens, but the cache was built for a shape without windows"
            ))),
            _ => Ok(()),
        }
    }
}

/// What is behind attention: the owner of all cached keys and values.
///
/// Per step the host calls [`attend`](KvHook::attend) once for every layer in order, then
/// [`end_step`](KvHook::end_step) once.
pub trait KvHook: Send {
    /// The shape the hook was built for.
    fn shape(&self) -> &CacheShape;

    /// Tokens sequence `sequence` has seen so far: the position of its next token.
    fn seen(&self, sequence: usize) -> usize;

    /// Says that prompts of so many tokens come next, one count a sequence, in any number of steps:
    /// whoever holds them all can make room once. Nothing depends on it but memory.
    fn reserve(&mut self, _tokens: &[usize]) {}

    /// Appends the step's keys and values, attends causally to everything held that is within the
    /// step's window, and writes `softmax(scale · q Kᵀ) V`, scores bounded as the shape says, to
    /// `out`, laid out like `q`.
    ///
    /// # Errors
    /// Slices that do not match the shape; keys, values or queries that are not finite.
    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()>;

    /// Ends the step. `more_prompt` says that further chunks of the same prompt follow: with
    /// exact prefill nothing is compressed before the last of them.
    ///
    /// # Errors
    /// A plan that breaks its rules.
    fn end_step(&mut self, more_prompt: bool) -> Result<()>;

    /// Whether it must be told the attention of tokens to come ([`Trace`]) before the first of
    /// them.
    fn needs_trace(&self) -> bool {
        false
    }

    /// Says what attention the tokens that come next will receive; of no interest unless
    /// [`needs_trace`](KvHook::needs_trace). Holds until [`reset`](KvHook::reset).
    ///
    /// # Errors
    /// A trace of another model.
    fn foresee(&mut self, trace: &Arc<Trace>) -> Result<()> {
        let _ = trace;
        Ok(())
    }

    /// Forgets every token and any trace; capacity and configuration stay.
    fn reset(&mut self);
}

/// A hook that can say what it holds.
pub trait MeasuredHook: KvHook {
    /// Bytes of the live buffers, now.
    fn memory(&self) -> crate::memory::Memory;

    /// A deep copy: what one of the two does later, the other does not see. Costs what is held.
    fn fork(&self) -> Box<dyn MeasuredHook>;
}
