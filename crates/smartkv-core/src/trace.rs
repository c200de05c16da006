//! Attention that tokens will receive: what only a run that knows the tokens to come can tell.
//!
//! A [`TraceRecorder`] stands between a host and an uncompressed cache while the tokens of a window
//! are teacher-forced, and sums the attention that each (layer, kv head, token) receives from the
//! queries after the prompt. A second run over the same tokens can then be told
//! ([`KvHook::foresee`]).

use crate::calibration::{Scoring, attention_weights};
use crate::error::{Error, Result};
use crate::hook::{AttnStep, KvHook};
use crate::shape::CacheShape;
use rayon::prelude::*;
use std::sync::Arc;

/// Most numbers that a trace holds (256 MiB). Where one sum for each query would be more, there is
/// one for every few of them.
const MOST_NUMBERS: usize = 1 << 26;

/// Attention to every token of a window from the queries at or after each position behind its
/// prompt, summed.
#[derive(Debug, Clone)]
pub struct Trace {
    shape: CacheShape,
    /// Position of the first query that is traced.
    start: usize,
    /// Queries that are traced.
    queries: usize,
    /// Queries between two sums.
    step: usize,
    /// Of each lane, `layer * kv_heads + kv_head`: attention averaged over its query heads and
    /// summed over the queries from `start + block * step` on, `[blocks, start + queries]`.
    lanes: Vec<Vec<f32>>,
}

impl Trace {
    /// Mean attention that tokens at `positions` receive in one lane from a query at `seen` or
    /// after; 0 where no such query is traced. Queries of the prompt are not.
    ///
    /// With several queries to a sum, those before the next sum are left out.
    ///
    /// # Panics
    /// When there is no such layer, head or position.
    #[must_use]
    pub fn future(&self, layer: usize, kv_head: usize, seen: usize, positions: &[u32]) -> Vec<f32> {
        let block = seen.saturating_sub(self.start).div_ceil(self.step);
        let Some(queries) = self
            .queries
            .checked_sub(block * self.step)
            .filter(|n| *n > 0)
        else {
            return vec![0.0; positions.len()];
        };
        let tokens = self.start + self.queries;
        let lane = &self.lanes[layer * self.shape.kv_heads + kv_head];
        let sums = &lane[block * tokens..(block + 1) * tokens];
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let share = 1.0 / queries as f32;
        let mean = |&position: &u32| sums[position as usize] * share;
        positions.iter().map(mean).collect()
    }

    /// Refuses a cache that this is not a trace for.
    pub(crate) fn check(&self, shape: &CacheShape) -> Result<()> {
        if self.shape == *shape {
            return Ok(());
        }
        Err(Error::Shape(format!(
            "a trace of {:?} for a cache of {shape:?}",
            self.shape
        )))
    }
}

/// A hook that traces the attention of the tokens it hands on to another.
pub struct TraceRecorder<'a> {
    hook: &'a mut dyn KvHook,
    /// Keys after `RoPE` of each lane, `[tokens, head_dim]`.
    keys: Vec<Vec<f32>>,
    /// While recording, each block has its own queries only.
    trace: Trace,
}

impl<'a> TraceRecorder<'a> {
    /// Empties `hook`, an uncompressed cache for one sequence, and traces the `queries` tokens
    /// that follow a prompt of `prompt` tokens.
    ///
    /// # Errors
    /// A hook for more than one sequence.
    pub fn new(hook: &'a mut dyn KvHook, prompt: usize, queries: usize) -> Result<Self> {
        let shape = *hook.shape();
        if shape.batch != 1 {
            let expected = "attention is traced for one sequence: expected a batch of 1";
            return Err(Error::parameter("batch", shape.batch, expected));
        }
        hook.reset();
        let (lanes, tokens) = (shape.layers * shape.kv_heads, prompt + queries);
        let step = (lanes * tokens * queries).div_ceil(MOST_NUMBERS).max(1);
        let numbers = queries.div_ceil(step) * tokens;
        Ok(Self {
            hook,
            keys: vec![Vec::with_capacity(tokens * shape.head_dim); lanes],
            trace: Trace {
                shape,
                start: prompt,
                queries,
                step,
                lanes: vec![vec![0.0; numbers]; lanes],
            },
        })
    }

    /// What was traced.
    #[must_use]
    pub fn finish(self) -> Arc<Trace> {
        let mut trace = self.trace;
        let tokens = trace.start + trace.queries;
        trace.lanes.par_iter_mut().for_each(|lane| {
            // From the last to the first: each block adds those that come after it.
            for at in (0..lane.len().saturating_sub(tokens)).rev() {
                lane[at] += lane[at + tokens];
            }
        });
        Arc::new(trace)
    }
}

impl KvHook for TraceRecorder<'_> {
    fn shape(&self) -> &CacheShape {
        self.hook.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.hook.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        let (layer, seen) = (step.layer, self.hook.seen(0));
        self.hook.attend(step, out)?;
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            scale,
            softcap,
            ..
        } = self.trace.shape;
        let scoring = Scoring {
            scale,
            softcap,
            window: step.window,
        };
        let (start, queries, every) = (self.trace.start, self.trace.queries, self.trace.step);
        let (tokens, group) = (start + queries, q_heads / kv_heads);
        // Tokens of this step whose attention is traced, and their positions.
        let end = tokens.saturating_sub(seen).min(step.lens[0]);
        let traced = start.saturating_sub(seen).min(end)..end;
        let positions: Vec<usize> = traced.clone().map(|token| seen + token).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few heads")]
        let share = 1.0 / group as f32;
        let mine = layer * kv_heads..(layer + 1) * kv_heads;
        let keys = self.keys[mine.clone()].par_iter_mut();
        let lanes = keys.zip(&mut self.trace.lanes[mine]).enumerate();
        lanes.for_each(|(kv_head, (keys, sums))| {
            for row in step.k.chunks_exact(kv_heads * head_dim).take(step.lens[0]) {
                keys.extend_from_slice(&row[kv_head * head_dim..][..head_dim]);
            }
            for q_head in kv_head * group..(kv_head + 1) * group {
                let row = |token: usize| {
                    let at = (token * q_heads + q_head) * head_dim;
                    step.q[at..at + head_dim].iter().copied()
                };
                let q: Vec<f32> = traced.clone().flat_map(row).collect();
                let weights = attention_weights(&q, &positions, keys, head_dim, scoring);
                let mut weights = weights.as_slice();
                for &position in &positions {
                    let own;
                    (own, weights) = weights.split_at(position + 1);
                    let block = (position - start) / every;
                    let sums = &mut sums[block * tokens..(block + 1) * tokens];
                    for (sum, weight) in sums.iter_mut().zip(own) {
                        *sum += share * weight;
                    }
                }
            }
        });
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.hook.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.hook.reset();
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "few tokens"
)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::contract::Inputs;
    use crate::strategy::Strategy;
    use crate::{Format, Layout, Tier};

    /// The uncompressed cache: those that are registered live elsewhere.
    #[crate::config]
    struct Plain;

    #[crate::strategy("plain-for-traces", family = "test")]
    impl Strategy for Plain {
        fn layout(&self, _: &CacheShape) -> Result<Layout> {
            Ok(Layout::constant(Tier::same(Format::F16)))
        }
    }

    fn record(inputs: &Inputs, prompt: usize, queries: usize, chunks: &[usize]) -> Arc<Trace> {
        let mut cache = Cache::builder(inputs.shape, Arc::new(Plain {}))
            .build()
            .unwrap();
        let mut recorder = TraceRecorder::new(&mut cache, prompt, queries).unwrap();
        inputs.run(&mut recorder, chunks);
        recorder.finish()
    }

    /// Mean attention from queries at `seen` up to `end`, straight from the definition.
    fn naive(inputs: &Inputs, layer: usize, kv_head: usize, seen: usize, end: usize) -> Vec<f32> {
        let shape = inputs.shape;
        let (group, dim) = (shape.group(), shape.head_dim);
        let (keys, _) = inputs.head(layer, kv_head);
        let mut sums = vec![0.0f64; end];
        for position in seen..end {
            for head in kv_head * group..(kv_head + 1) * group {
                let q = inputs.query(layer, position, head);
                let score = |key: &[f32]| {
                    let products = key
                        .iter()
                        .zip(q)
                        .map(|(k, q)| f64::from(*k) * f64::from(*q));
                    (f64::from(shape.scale) * products.sum::<f64>()).exp()
                };
                let visible = keys.chunks_exact(dim).take(position + 1);
                let scores: Vec<f64> = visible.map(score).collect();
                let all: f64 = scores.iter().sum();
                for (sum, score) in sums.iter_mut().zip(scores) {
                    *sum += score / all / group as f64;
                }
            }
        }
        let mean = |sum: f64| (sum / (end - seen) as f64) as f32;
        sums.into_iter().map(mean).collect()
    }

    #[test]
    fn sums_are_those_of_the_definition_from_every_moment_on() {
        let shape = CacheShape::new(2, 1, 4, 2, 16).unwrap();
        let inputs = Inputs::new(shape, 34, 5);
        let positions: Vec<u32> = (0..34).collect();
        let mut steps = vec![13, 7];
        steps.extend([1; 14]);
        for chunks in [steps, vec![20, 5, 5, 4], vec![34]] {
            let trace = record(&inputs, 20, 14, &chunks);
            for seen in [0, 20, 21, 29, 33] {
                for (layer, kv_head) in [(0, 1), (1, 0)] {
                    // Queries of the prompt do not count.
                    let expected = naive(&inputs, layer, kv_head, seen.max(20), 34);
                    let future = trace.future(layer, kv_head, seen, &positions);
                    for (a, b) in future.iter().zip(&expected) {
                        assert!((a - b).abs() < 1e-5, "{a} {b}");
                    }
                }
            }
            assert_eq!(trace.future(0, 0, 34, &positions), vec![0.0; 34]);
        }
    }

    #[test]
    fn coarse_sums_leave_out_the_queries_before_the_next() {
        let shape = CacheShape::new(1, 1, 2, 1, 16).unwrap();
        let inputs = Inputs::new(shape, 19, 6);
        let mut cache = Cache::builder(shape, Arc::new(Plain {})).build().unwrap();
        let mut recorder = TraceRecorder::new(&mut cache, 9, 10).unwrap();
        recorder.trace.step = 4;
        recorder.trace.lanes = vec![vec![0.0; 3 * 19]];
        inputs.run(&mut recorder, &[9, 10]);
        let trace = recorder.finish();
        for (seen, from) in [(9, 9), (10, 13), (13, 13), (16, 17)] {
            let expected = naive(&inputs, 0, 0, from, 19);
            let future = trace.future(0, 0, seen, &[0, 4, 8]);
            for (a, b) in future.iter().zip([expected[0], expected[4], expected[8]]) {
                assert!((a - b).abs() < 1e-5, "{seen}: {a} {b}");
            }
        }
        assert_eq!(trace.future(0, 0, 18, &[0]), [0.0]);
    }

    #[test]
    fn a_batch_is_refused() {
        let shape = CacheShape::new(1, 2, 2, 1, 16).unwrap();
        let mut cache = Cache::builder(shape, Arc::new(Plain {})).build().unwrap();
        let error = TraceRecorder::new(&mut cache, 1, 1).err().unwrap();
        assert!(error.to_string().contains("batch = 2"), "{error}");
    }
}
