//! Plain attention over an uncompressed f32 cache: what every other cache is compared with.

use rayon::prelude::*;
use smartkv_core::{AttnStep, CacheShape, Error, KvHook, Result};

/// Keys and values in f32, attention as the textbook has it.
#[derive(Debug, Clone)]
pub struct PlainCache {
    shape: CacheShape,
    /// By layer, then lane: `[tokens, head_dim]`.
    keys: Vec<Vec<Vec<f32>>>,
    values: Vec<Vec<Vec<f32>>>,
    seen: Vec<usize>,
    /// Lengths of the step under way, and the layer it expects next.
    lens: Vec<usize>,
    next_layer: usize,
}

impl PlainCache {
    /// An empty cache.
    #[must_use]
    pub fn new(shape: CacheShape) -> Self {
        let empty = vec![vec![Vec::new(); shape.lanes()]; shape.layers];
        Self {
            shape,
            keys: empty.clone(),
            values: empty,
            seen: vec![0; shape.batch],
            lens: vec![0; shape.batch],
            next_layer: 0,
        }
    }

    /// Bytes of all keys and values held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let lanes = self.keys.iter().chain(&self.values).flatten();
        lanes.map(|lane| size_of_val(lane.as_slice())).sum()
    }

    fn check(&self, step: &AttnStep<'_>, out: &[f32]) -> Result<()> {
        step.check(&self.shape, out)?;
        let misplaced =
            step.layer != self.next_layer || (step.layer > 0 && step.lens != self.lens.as_slice());
        if misplaced {
            return Err(Error::Step(format!(
                "layer {} with lengths {:?}, expected layer {} of the step with lengths {:?}",
                step.layer, step.lens, self.next_layer, self.lens
            )));
        }
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            ..
        } = self.shape;
        for (what, rows, heads) in [
            ("query", step.q, q_heads),
            ("key", step.k, kv_heads),
            ("value", step.v, kv_heads),
        ] {
            let width = heads * head_dim;
            for (sequence, &len) in step.lens.iter().enumerate() {
                let valid = &rows[sequence * step.tokens * width..][..len * width];
                if let Some(at) = valid.iter().position(|value| !value.is_finite()) {
                    return Err(Error::NotFinite {
                        layer: step.layer,
                        what,
                        position: self.seen[sequence] + at / width,
                        value: valid[at],
                    });
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, step: &AttnStep<'_>) {
        let CacheShape {
            kv_heads, head_dim, ..
        } = self.shape;
        let caches = [(step.k, &mut self.keys), (step.v, &mut self.values)];
        for (rows, lanes) in caches.map(|(rows, cache)| (rows, &mut cache[step.layer])) {
            for (lane, held) in lanes.iter_mut().enumerate() {
                let (sequence, head) = (lane / kv_heads, lane % kv_heads);
                for token in 0..step.lens[sequence] {
                    let row = (sequence * step.tokens + token) * kv_heads + head;
                    held.extend_from_slice(&rows[row * head_dim..][..head_dim]);
                }
            }
        }
    }
}

impl KvHook for PlainCache {
    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn seen(&self, sequence: usize) -> usize {
        self.seen[sequence]
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        self.check(&step, out)?;
        if step.layer == 0 {
            self.lens.copy_from_slice(step.lens);
        }
        self.append(&step);
        self.next_layer += 1;

        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            scale,
            softcap,
            ..
        } = self.shape;
        let group = self.shape.group();
        let (keys, values) = (&self.keys[step.layer], &self.values[step.layer]);
        let rows = step
            .q
            .par_chunks_exact(head_dim)
            .zip(out.par_chunks_exact_mut(head_dim));
        rows.enumerate().for_each(|(row, (q, out))| {
            let (head, token) = (row % q_heads, row / q_heads);
            let (sequence, token) = (token / step.tokens, token % step.tokens);
            if token >= step.lens[sequence] {
                return;
            }
            let lane = sequence * kv_heads + head / group;
            let end = self.seen[sequence] + token + 1;
            let start = step.window.map_or(0, |window| end.saturating_sub(window));
            let visible = start * head_dim..end * head_dim;
            let score = |dot: f32| {
                let score = scale * dot;
                softcap.map_or(score, |cap| cap * (score / cap).tanh())
            };
            attend_one(
                q,
                &keys[lane][visible.clone()],
                &values[lane][visible],
                score,
                out,
            );
        });
        Ok(())
    }

    fn end_step(&mut self, _more_prompt: bool) -> Result<()> {
        if self.next_layer != self.shape.layers {
            return Err(Error::Step(format!(
                "ended after {} of {} layers",
                self.next_layer, self.shape.layers
            )));
        }
        self.next_layer = 0;
        for (seen, len) in self.seen.iter_mut().zip(&self.lens) {
            *seen += len;
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self::new(self.shape);
    }
}

/// One query over `keys` and `values` (`[tokens, head_dim]`), all visible; `score` scales dot
/// products.
fn attend_one(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    score: impl Fn(f32) -> f32,
    out: &mut [f32],
) {
    let width = q.len();
    let dot = |key: &[f32]| q.iter().zip(key).map(|(q, k)| q * k).sum::<f32>();
    let mut scores: Vec<f32> = keys
        .chunks_exact(width)
        .map(|key| score(dot(key)))
        .collect();
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0f64;
    for score in &mut scores {
        *score = (*score - max).exp();
        sum += f64::from(*score);
    }
    out.fill(0.0);
    for (weight, value) in scores.iter().zip(values.chunks_exact(width)) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight * value;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
    let share = (1.0 / sum) as f32;
    for out in out {
        *out *= share;
    }
}
