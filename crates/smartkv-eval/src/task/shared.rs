//! One prefill for several caches.

use super::run::Side;
use smartkv_core::{AttnStep, CacheShape, KvHook, Result};

/// Hands every step of one sequence to several caches and the model the first one's output, so
/// that the model's own work is done once for all of them.
///
/// With exact prefill every cache attends to the same full-precision prompt. A cache whose output
/// still differs in a bit (one that holds its rows rotated rounds them elsewhere) or that fails
/// gets nothing more: it needs a prefill of its own.
pub(super) struct SharedPrefill<'a> {
    first: &'a mut Side,
    others: &'a mut [Side],
    /// Which of the others need a prefill of their own.
    apart: &'a mut [bool],
    output: Vec<f32>,
}

impl<'a> SharedPrefill<'a> {
    /// All of `sides` but those that are known to be `apart`; `None` of no caches.
    pub(super) fn new(sides: &'a mut [Side], apart: &'a mut [bool]) -> Option<Self> {
        let (first, others) = sides.split_first_mut()?;
        Some(Self {
            first,
            others,
            apart: apart.get_mut(1..)?,
            output: Vec::new(),
        })
    }

    /// The others that are along, and whether they fall apart now.
    fn along(&mut self) -> impl Iterator<Item = (&mut Side, &mut bool)> {
        let all = self.others.iter_mut().zip(&mut *self.apart);
        all.filter(|(_, apart)| !**apart)
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
        for (side, _) in self.along() {
            side.cache.reserve(tokens);
        }
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        self.first.cache.attend(step, out)?;
        let mut output = std::mem::take(&mut self.output);
        output.resize(out.len(), 0.0);
        for (side, apart) in self.along() {
            let done = side.cache.attend(step, &mut output);
            let same = || {
                output
                    .iter()
                    .zip(&*out)
                    .all(|(a, b)| a.to_bits() == b.to_bits())
            };
            *apart = done.is_err() || !same();
        }
        self.output = output;
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        for (side, apart) in self.along() {
            *apart = side.cache.end_step(more_prompt).is_err();
        }
        self.first.cache.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.first.cache.reset();
        for (side, _) in self.along() {
            side.cache.reset();
        }
    }
}
