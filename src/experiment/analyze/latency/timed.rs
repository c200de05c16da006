//! A hook that times what is behind it.

use smartkv_core::{AttnStep, Cache, CacheShape, KvHook, Result};
use std::time::{Duration, Instant};

/// Times the calls that go on to a cache: two looks at a clock a layer.
pub(super) struct TimedHook<'a> {
    cache: &'a mut Cache,
    attend: Duration,
    end: Duration,
}

impl<'a> TimedHook<'a> {
    pub(super) fn new(cache: &'a mut Cache) -> Self {
        Self {
            cache,
            attend: Duration::ZERO,
            end: Duration::ZERO,
        }
    }

    /// Time in attention, tracking included, and at the ends of steps, where plans are made and
    /// rows move.
    pub(super) fn times(&self) -> (Duration, Duration) {
        (self.attend, self.end)
    }
}

impl KvHook for TimedHook<'_> {
    fn shape(&self) -> &CacheShape {
        self.cache.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.cache.seen(sequence)
    }

    fn reserve(&mut self, tokens: &[usize]) {
        self.cache.reserve(tokens);
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        let start = Instant::now();
        let done = self.cache.attend(step, out);
        self.attend += start.elapsed();
        done
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        let start = Instant::now();
        let done = self.cache.end_step(more_prompt);
        self.end += start.elapsed();
        done
    }

    fn reset(&mut self) {
        self.cache.reset();
    }
}
