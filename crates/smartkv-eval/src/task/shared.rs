//! One prefill for several caches.

use super::run::Side;
use smartkv_core::{AttnStep, CacheShape, KvHook, Result};

/// Hands every step of one sequence to several caches and the model the first one's output.
///
/// With exact prefill every cache attends to the same full-precision prompt and would give the
/// same output, so that the model's own work is done once for all of them. Not for anything else:
/// the others' outputs are thrown away.
pub(super) struct SharedPrefill<'a> {
    first: &'a mut Side,
    others: &'a mut [Side],
    unused: Vec<f32>,
}

impl<'a> SharedPrefill<'a> {
    /// `None` of no caches.
    pub(super) fn new(sides: &'a mut [Side]) -> Option<Self> {
        let (first, others) = sides.split_first_mut()?;
        Some(Self {
            first,
            others,
            unused: Vec::new(),
        })
    }
}

impl KvHook for SharedPrefill<'_> {
    fn shape(&self) -> &CacheShape {
        self.first.cache.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.first.cache.seen(sequence)
    }

    fn reserve(&mut self, tokens: &[usize]) {
        self.first.cache.reserve(tokens);
        for side in &mut *self.others {
            side.cache.reserve(tokens);
        }
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        self.unused.resize(out.len(), 0.0);
        for side in &mut *self.others {
            side.cache.attend(step, &mut self.unused)?;
        }
        self.first.cache.attend(step, out)
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        for side in &mut *self.others {
            side.cache.end_step(more_prompt)?;
        }
        self.first.cache.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.first.cache.reset();
        for side in &mut *self.others {
            side.cache.reset();
        }
    }
}
