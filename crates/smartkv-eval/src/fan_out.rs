//! One hook for several caches, so that one forward pass serves all of them.

use rayon::prelude::*;
use smartkv_core::{AttnStep, CacheShape, Error, KvHook, MeasuredHook, Memory, Result, Trace};
use std::sync::Arc;

/// Sequence `i` of every batch is kept by cache `i`: the weights are read once for all caches.
///
/// A cache that refuses a step is left out from then on and its reason kept; the others go on.
pub struct FanOut<'a> {
    shape: CacheShape,
    caches: Vec<Member<'a>>,
}

struct Member<'a> {
    cache: &'a mut dyn MeasuredHook,
    failure: Option<Error>,
}

impl<'a> FanOut<'a> {
    /// Joins caches for one sequence each.
    ///
    /// # Errors
    /// No cache, or one whose shape differs from the first's.
    pub fn new(caches: Vec<&'a mut dyn MeasuredHook>) -> Result<Self> {
        let first = caches.first().map(|cache| *cache.shape());
        let one = first.ok_or_else(|| Error::Shape("no cache to fan out to".to_string()))?;
        if let Some(other) = caches.iter().find(|c| *c.shape() != one || one.batch != 1) {
            let other = other.shape();
            return Err(Error::Shape(format!(
                "caches of one sequence and one shape are expected, got {other:?} beside {one:?}"
            )));
        }
        let batch = caches.len();
        let member = |cache| Member {
            cache,
            failure: None,
        };
        Ok(Self {
            shape: CacheShape { batch, ..one },
            caches: caches.into_iter().map(member).collect(),
        })
    }

    /// The first cache, by itself.
    pub(crate) fn first(&mut self) -> &mut dyn KvHook {
        &mut *self.caches[0].cache
    }

    /// What each cache holds; `None` of one that failed.
    #[must_use]
    pub fn memory(&self) -> Vec<Option<Memory>> {
        let memory = |member: &Member<'_>| match member.failure {
            None => Some(member.cache.memory()),
            Some(_) => None,
        };
        self.caches.iter().map(memory).collect()
    }

    /// Why each cache failed, of those that did.
    #[must_use]
    pub fn into_failures(self) -> Vec<Option<Error>> {
        self.caches.into_iter().map(|m| m.failure).collect()
    }
}

impl Member<'_> {
    /// Runs `work` unless the cache failed before.
    fn run(&mut self, work: impl FnOnce(&mut dyn MeasuredHook) -> Result<()>) {
        if self.failure.is_none() {
            self.failure = work(self.cache).err();
        }
    }
}

impl KvHook for FanOut<'_> {
    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn seen(&self, sequence: usize) -> usize {
        // All see the same tokens; a cache that failed has stopped counting.
        let sound = self.caches.iter().find(|member| member.failure.is_none());
        sound.map_or_else(
            || self.caches[sequence].cache.seen(0),
            |member| member.cache.seen(0),
        )
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        step.check(&self.shape, out)?;
        let queries = step.tokens * self.shape.q_heads * self.shape.head_dim;
        let keys = step.tokens * self.shape.kv_heads * self.shape.head_dim;
        self.caches
            .par_iter_mut()
            .zip(out.par_chunks_mut(queries.max(1)))
            .enumerate()
            .for_each(|(index, (member, out))| {
                let own = AttnStep {
                    lens: &step.lens[index..=index],
                    q: &step.q[index * queries..][..queries],
                    k: &step.k[index * keys..][..keys],
                    v: &step.v[index * keys..][..keys],
                    ..step
                };
                member.run(|cache| cache.attend(own, out));
                if member.failure.is_some() {
                    out.fill(0.0);
                }
            });
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.caches
            .par_iter_mut()
            .for_each(|member| member.run(|cache| cache.end_step(more_prompt)));
        Ok(())
    }

    fn needs_trace(&self) -> bool {
        self.caches.iter().any(|member| member.cache.needs_trace())
    }

    fn foresee(&mut self, trace: &Arc<Trace>) -> Result<()> {
        for member in &mut self.caches {
            member.run(|cache| cache.foresee(trace));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.caches.iter_mut().for_each(|m| m.cache.reset());
    }
}
