//! Synthetic queries, keys and values with the features that compression must survive.

use crate::error::Result;
use crate::hook::{AttnStep, KvHook};
use crate::shape::CacheShape;

/// Queries, keys and values of one sequence for every layer, `[token][head][head_dim]`.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Shape of the cache, with a batch of 1.
    pub shape: CacheShape,
    /// Tokens.
    pub tokens: usize,
    q: Vec<Vec<f32>>,
    k: Vec<Vec<f32>>,
    v: Vec<Vec<f32>>,
}

/// A small linear congruential generator: this module must not depend on a random crate.
struct Lcg(u64);

impl Lcg {
    /// Roughly normal, mean 0, deviation 1.
    fn normal(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            #[expect(clippy::cast_precision_loss, reason = "24 bits")]
            let uniform = (self.0 >> 40) as f32 / (1u64 << 24) as f32;
            sum += uniform - 0.5;
        }
        sum * 1.732
    }
}

impl Inputs {
    /// Seeded inputs for `tokens` tokens: channel 3 of the keys is an outlier with an offset,
    /// and the first token draws attention like a sink.
    #[must_use]
    pub fn new(shape: CacheShape, tokens: usize, seed: u64) -> Self {
        let mut random = Lcg(seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3));
        let mut draw = |heads: usize, factor: f32| -> Vec<Vec<f32>> {
            let len = tokens * heads * shape.head_dim;
            (0..shape.layers)
                .map(|_| (0..len).map(|_| factor * random.normal()).collect())
                .collect()
        };
        let mut q = draw(shape.q_heads, 1.0);
        let mut k = draw(shape.kv_heads, 1.0);
        let v = draw(shape.kv_heads, 1.0);
        for layer in 0..shape.layers {
            for row in q[layer].chunks_exact_mut(shape.head_dim) {
                row[1] = row[1].abs() + 1.0;
            }
            for (index, row) in k[layer].chunks_exact_mut(shape.head_dim).enumerate() {
                row[3] += 6.0;
                if index < shape.kv_heads {
                    row[1] = 4.0;
                }
            }
        }
        Self {
            shape,
            tokens,
            q,
            k,
            v,
        }
    }

    /// Replaces one number of `layer` in the last token.
    pub fn poison(&mut self, layer: usize, key: bool, value: f32) {
        let data = if key { &mut self.k } else { &mut self.v };
        if let Some(last) = data[layer].last_mut() {
            *last = value;
        }
    }

    fn rows(&self, data: &[f32], heads: usize, start: usize, len: usize) -> Vec<f32> {
        let row = heads * self.shape.head_dim;
        data[start * row..(start + len) * row].to_vec()
    }

    /// Runs tokens `start .. start + len` as one step; returns the last layer's output.
    ///
    /// # Errors
    /// Whatever the hook refuses.
    pub fn try_step(
        &self,
        hook: &mut dyn KvHook,
        start: usize,
        len: usize,
        more_prompt: bool,
    ) -> Result<Vec<f32>> {
        let shape = self.shape;
        let mut out = vec![f32::NAN; len * shape.q_heads * shape.head_dim];
        for layer in 0..shape.layers {
            let q = self.rows(&self.q[layer], shape.q_heads, start, len);
            let k = self.rows(&self.k[layer], shape.kv_heads, start, len);
            let v = self.rows(&self.v[layer], shape.kv_heads, start, len);
            let step = AttnStep {
                layer,
                tokens: len,
                lens: &[len],
                q: &q,
                k: &k,
                v: &v,
                window: None,
            };
            hook.attend(step, &mut out)?;
        }
        hook.end_step(more_prompt)?;
        Ok(out)
    }

    /// Attends one token in one layer without ending the step.
    #[cfg(test)]
    pub(crate) fn attend_only(
        &self,
        hook: &mut dyn KvHook,
        layer: usize,
        token: usize,
        out: &mut [f32],
    ) {
        out.copy_from_slice(&self.attend_rows(hook, layer, token, 1));
    }

    /// Attends tokens `start .. start + len` in one layer without ending the step.
    #[cfg(test)]
    pub(crate) fn attend_rows(
        &self,
        hook: &mut dyn KvHook,
        layer: usize,
        start: usize,
        len: usize,
    ) -> Vec<f32> {
        let shape = self.shape;
        let q = self.rows(&self.q[layer], shape.q_heads, start, len);
        let k = self.rows(&self.k[layer], shape.kv_heads, start, len);
        let v = self.rows(&self.v[layer], shape.kv_heads, start, len);
        let step = AttnStep {
            layer,
            tokens: len,
            lens: &[len],
            q: &q,
            k: &k,
            v: &v,
            window: None,
        };
        let mut out = vec![f32::NAN; q.len()];
        hook.attend(step, &mut out).expect("step");
        out
    }

    /// One head's query, before the scale.
    #[must_use]
    pub fn query(&self, layer: usize, token: usize, head: usize) -> &[f32] {
        self.of_head(&self.q[layer], self.shape.q_heads, token, head)
    }

    /// One kv head's key.
    #[must_use]
    pub fn key(&self, layer: usize, token: usize, head: usize) -> &[f32] {
        self.of_head(&self.k[layer], self.shape.kv_heads, token, head)
    }

    /// One kv head's value.
    #[must_use]
    pub fn value(&self, layer: usize, token: usize, head: usize) -> &[f32] {
        self.of_head(&self.v[layer], self.shape.kv_heads, token, head)
    }

    fn of_head<'a>(&self, data: &'a [f32], heads: usize, token: usize, head: usize) -> &'a [f32] {
        let head_dim = self.shape.head_dim;
        &data[(token * heads + head) * head_dim..][..head_dim]
    }

    /// One kv head's keys and values.
    #[cfg(test)]
    pub(crate) fn head(&self, layer: usize, kv_head: usize) -> (Vec<f32>, Vec<f32>) {
        let head_dim = self.shape.head_dim;
        let pick = |data: &[f32]| -> Vec<f32> {
            let rows = data.chunks_exact(self.shape.kv_heads * head_dim);
            rows.flat_map(|row| row[kv_head * head_dim..][..head_dim].to_vec())
                .collect()
        };
        (pick(&self.k[layer]), pick(&self.v[layer]))
    }

    /// [`try_step`](Self::try_step) for inputs that must be accepted.
    ///
    /// # Panics
    /// When the hook refuses the step.
    pub fn step(&self, hook: &mut dyn KvHook, start: usize, len: usize, more: bool) -> Vec<f32> {
        self.try_step(hook, start, len, more).expect("step")
    }

    /// Runs all steps; returns the last layer's outputs of all tokens.
    ///
    /// # Panics
    /// When the hook refuses a step.
    pub fn run(&self, hook: &mut dyn KvHook, chunks: &[usize]) -> Vec<f32> {
        let mut start = 0;
        let mut out = Vec::new();
        for &chunk in chunks {
            out.extend(self.step(hook, start, chunk, false));
            start += chunk;
        }
        out
    }
}

/// Runs one ragged step of several sequences, continuing each where its output ends; appends the
/// last layer's outputs.
pub(super) fn ragged(
    all: &[Inputs],
    hook: &mut dyn KvHook,
    lens: &[usize],
    outputs: &mut [Vec<f32>],
) {
    let shape = all[0].shape;
    let tokens = lens.iter().copied().max().unwrap_or(0);
    let gather = |pick: &dyn Fn(&Inputs) -> &[f32], heads: usize| -> Vec<f32> {
        let row = heads * shape.head_dim;
        let mut data = Vec::new();
        for (sequence, inputs) in all.iter().enumerate() {
            let start = hook_position(outputs, sequence, shape);
            data.extend(inputs.rows(pick(inputs), heads, start, lens[sequence]));
            // Padding is poison: reading it would show.
            data.resize((sequence + 1) * tokens * row, f32::NAN);
        }
        data
    };
    let mut out = vec![f32::NAN; all.len() * tokens * shape.q_heads * shape.head_dim];
    for layer in 0..shape.layers {
        let q = gather(&|i| &i.q[layer], shape.q_heads);
        let k = gather(&|i| &i.k[layer], shape.kv_heads);
        let v = gather(&|i| &i.v[layer], shape.kv_heads);
        let step = AttnStep {
            layer,
            tokens,
            lens,
            q: &q,
            k: &k,
            v: &v,
            window: None,
        };
        hook.attend(step, &mut out).expect("step");
    }
    hook.end_step(false).expect("step");
    let row = shape.q_heads * shape.head_dim;
    for (sequence, output) in outputs.iter_mut().enumerate() {
        output.extend(&out[sequence * tokens * row..][..lens[sequence] * row]);
    }
}

fn hook_position(outputs: &[Vec<f32>], sequence: usize, shape: CacheShape) -> usize {
    outputs[sequence].len() / (shape.q_heads * shape.head_dim)
}

/// Causal softmax attention in f64: the last layer's output for every token.
#[must_use]
pub fn dense_attention(inputs: &Inputs) -> Vec<f32> {
    let CacheShape {
        layers,
        q_heads,
        kv_heads,
        head_dim,
        scale,
        ..
    } = inputs.shape;
    let (q, k, v) = (
        &inputs.q[layers - 1],
        &inputs.k[layers - 1],
        &inputs.v[layers - 1],
    );
    let mut out = Vec::with_capacity(q.len());
    for token in 0..inputs.tokens {
        for head in 0..q_heads {
            let query = &q[(token * q_heads + head) * head_dim..][..head_dim];
            let kv = head * kv_heads / q_heads;
            let row = |data: &'_ [f32], t: usize, j: usize| {
                f64::from(data[(t * kv_heads + kv) * head_dim + j])
            };
            let scores: Vec<f64> = (0..=token)
                .map(|t| {
                    let dot: f64 = (0..head_dim)
                        .map(|j| f64::from(query[j]) * row(k, t, j))
                        .sum();
                    dot * f64::from(scale)
                })
                .collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
            let sum: f64 = weights.iter().sum();
            #[expect(clippy::cast_possible_truncation, reason = "f64 to f32")]
            out.extend((0..head_dim).map(|j| {
                (weights
                    .iter()
                    .enumerate()
                    .map(|(t, w)| w * row(v, t, j))
                    .sum::<f64>()
                    / sum) as f32
            }));
        }
    }
    out
}
