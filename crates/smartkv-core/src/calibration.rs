//! Samples of a running model, and what learns from them.
//!
//! A [`Sampler`] stands between a host and its cache and keeps what passes: whole windows of text,
//! because attention cannot be judged without all the keys a query sees, and a few queries of
//! each. What it holds grows with the tokens it was given and with nothing else.

mod attention;

pub use attention::{Scoring, attention_weights, mix};

use crate::error::{Error, Result};
use crate::hook::{AttnStep, KvHook};
use crate::rope::Ropes;
use crate::shape::CacheShape;
use crate::trace::Trace;
use half::f16;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;

/// How a strategy learns its parameters.
pub trait Calibration: Debug + Send + Sync {
    /// The fields of the strategy's configuration that the samples decide, as an object.
    ///
    /// # Errors
    /// Samples that cannot decide.
    fn calibrate(&self, samples: &Samples) -> Result<Value>;
}

/// Queries, keys and values of some windows of text, in every layer.
#[derive(Debug, Clone)]
pub struct Samples {
    /// Shape of the cache they passed into, with a batch of 1.
    pub shape: CacheShape,
    /// Seed of everything random in what is made of them.
    pub seed: u64,
    ropes: Ropes,
    /// Newest tokens that a query sees, by layer.
    limits: Vec<Option<usize>>,
    windows: Vec<Window>,
}

/// One window of text.
#[derive(Debug, Clone)]
struct Window {
    tokens: usize,
    /// Positions whose queries are kept, rising.
    positions: Vec<usize>,
    layers: Vec<Rows>,
}

/// Rows of one layer, `[token, head, head_dim]`; of the queries the sampled tokens only.
#[derive(Debug, Clone, Default)]
struct Rows {
    q: Vec<f16>,
    k: Vec<f16>,
    v: Vec<f16>,
}

impl Samples {
    /// Number of windows.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// Tokens of a window.
    ///
    /// # Panics
    /// Here and below when there is no such window, layer or head.
    #[must_use]
    pub fn tokens(&self, window: usize) -> usize {
        self.windows[window].tokens
    }

    /// Positions of the tokens of a window whose queries were kept, rising.
    #[must_use]
    pub fn positions(&self, window: usize) -> &[usize] {
        &self.windows[window].positions
    }

    /// Keys after `RoPE` of one kv head in one window: `[tokens, head_dim]`.
    #[must_use]
    pub fn keys(&self, window: usize, layer: usize, kv_head: usize) -> Vec<f32> {
        let rows = &self.windows[window].layers[layer].k;
        self.head(rows, self.shape.kv_heads, kv_head)
    }

    /// The same without their rotation.
    ///
    /// # Errors
    /// Samples of a host whose rotation is not known.
    pub fn keys_before_rope(
        &self,
        window: usize,
        layer: usize,
        kv_head: usize,
    ) -> Result<Vec<f32>> {
        self.ropes
            .check(&self.shape, "keys are wanted before their rotary embedding")?;
        let rope = self.ropes.layer(layer);
        let mut keys = self.keys(window, layer, kv_head);
        let rows = keys.chunks_exact_mut(self.shape.head_dim);
        for (rope, (position, row)) in rope.into_iter().cycle().zip(rows.enumerate()) {
            rope.unrotate(row, position);
        }
        Ok(keys)
    }

    /// What a layer's attention makes of dot products of queries and keys.
    #[must_use]
    pub fn scoring(&self, layer: usize) -> Scoring {
        Scoring {
            scale: self.shape.scale,
            softcap: self.shape.softcap,
            window: self.limits[layer],
        }
    }

    /// Values of one kv head in one window: `[tokens, head_dim]`.
    #[must_use]
    pub fn values(&self, window: usize, layer: usize, kv_head: usize) -> Vec<f32> {
        let rows = &self.windows[window].layers[layer].v;
        self.head(rows, self.shape.kv_heads, kv_head)
    }

    /// Queries after `RoPE`, not scaled, of one query head: `[positions, head_dim]`.
    #[must_use]
    pub fn queries(&self, window: usize, layer: usize, q_head: usize) -> Vec<f32> {
        let rows = &self.windows[window].layers[layer].q;
        self.head(rows, self.shape.q_heads, q_head)
    }

    fn head(&self, rows: &[f16], heads: usize, head: usize) -> Vec<f32> {
        let head_dim = self.shape.head_dim;
        let channels = head * head_dim..(head + 1) * head_dim;
        rows.chunks_exact(heads * head_dim)
            .flat_map(|row| row[channels.clone()].iter().map(|x| x.to_f32()))
            .collect()
    }
}

/// A hook that keeps what it hands on to another.
pub struct Sampler<'a> {
    hook: &'a mut dyn KvHook,
    /// Queries kept of each window.
    queries: usize,
    samples: Samples,
}

impl<'a> Sampler<'a> {
    /// Keeps what `hook`, a cache for one sequence, is given; `queries` of each window.
    ///
    /// # Errors
    /// A hook for more than one sequence.
    pub fn new(
        hook: &'a mut dyn KvHook,
        ropes: impl Into<Ropes>,
        queries: usize,
        seed: u64,
    ) -> Result<Self> {
        let shape = *hook.shape();
        if shape.batch != 1 {
            let expected = "samples are taken from one sequence: expected a batch of 1";
            return Err(Error::parameter("batch", shape.batch, expected));
        }
        let samples = Samples {
            shape,
            seed,
            ropes: ropes.into(),
            limits: vec![None; shape.layers],
            windows: Vec::new(),
        };
        Ok(Self {
            hook,
            queries,
            samples,
        })
    }

    /// Empties the cache: the next `tokens` tokens are a window.
    pub fn begin(&mut self, tokens: usize) {
        self.hook.reset();
        let mut random = self.samples.seed ^ ((self.samples.windows.len() as u64) << 32);
        // The first of a shuffle are a sample without repeats.
        let mut positions: Vec<usize> = (0..tokens).collect();
        let kept = self.queries.min(tokens);
        for index in 0..kept {
            let rest = (tokens - index) as u64;
            // Below `rest`, which came from a length.
            let other = usize::try_from(splitmix(&mut random) % rest).unwrap_or(0);
            positions.swap(index, index + other);
        }
        positions.truncate(kept);
        positions.sort_unstable();
        self.samples.windows.push(Window {
            tokens: 0,
            positions,
            layers: vec![Rows::default(); self.samples.shape.layers],
        });
    }

    /// What was kept.
    #[must_use]
    pub fn finish(self) -> Samples {
        self.samples
    }
}

/// Where `windows` windows of `length` tokens start in a text of `tokens`: one in each equal part of
/// it, drawn by lot. `None` when they do not fit.
#[must_use]
pub fn draw_windows(tokens: usize, windows: usize, length: usize, seed: u64) -> Option<Vec<usize>> {
    let part = tokens.checked_div(windows)?;
    let slack = part.checked_sub(length)?;
    let mut random = seed;
    let start = |window: usize| {
        // At most `slack`, which is a length.
        let offset = splitmix(&mut random) % (slack as u64 + 1);
        window * part + usize::try_from(offset).unwrap_or(0)
    };
    Some((0..windows).map(start).collect())
}

/// The next number of the generator of Steele, Lea and Flood.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl KvHook for Sampler<'_> {
    fn shape(&self) -> &CacheShape {
        self.hook.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.hook.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        let (layer, tokens, start) = (step.layer, step.lens[0], self.hook.seen(0));
        self.hook.attend(step, out)?;
        let Some(window) = self.samples.windows.last_mut() else {
            return Ok(());
        };
        self.samples.limits[layer] = step.window;
        let rows = &mut window.layers[layer];
        let shape = &self.samples.shape;
        let half = |x: &f32| f16::from_f32(*x);
        let row = shape.kv_heads * shape.head_dim;
        rows.k.extend(step.k[..tokens * row].iter().map(half));
        rows.v.extend(step.v[..tokens * row].iter().map(half));
        let row = shape.q_heads * shape.head_dim;
        for position in &window.positions {
            if let Some(token) = position.checked_sub(start).filter(|t| *t < tokens) {
                rows.q.extend(step.q[token * row..][..row].iter().map(half));
            }
        }
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.hook.end_step(more_prompt)?;
        if let Some(window) = self.samples.windows.last_mut() {
            window.tokens = self.hook.seen(0);
        }
        Ok(())
    }

    fn needs_trace(&self) -> bool {
        self.hook.needs_trace()
    }

    fn foresee(&mut self, trace: &Arc<Trace>) -> Result<()> {
        self.hook.foresee(trace)
    }

    fn reset(&mut self) {
        self.hook.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::contract::Inputs;
    use crate::strategy::Strategy;
    use crate::{Format, Layout, Rope, Tier};

    /// The uncompressed cache: those that are registered live elsewhere.
    #[crate::config]
    struct Plain;

    #[crate::strategy("plain-for-samples", family = "test")]
    impl Strategy for Plain {
        fn layout(&self, _: &CacheShape) -> Result<Layout> {
            Ok(Layout::constant(Tier::same(Format::F16)))
        }
    }

    fn sample(inputs: &Inputs, chunks: &[usize], seed: u64) -> Samples {
        let mut cache = Cache::builder(inputs.shape, Arc::new(Plain {}))
            .build()
            .unwrap();
        let rope = Rope::new(vec![0.1; inputs.shape.head_dim / 2], false);
        let mut sampler = Sampler::new(&mut cache, &rope, 5, seed).unwrap();
        for _ in 0..2 {
            sampler.begin(chunks.iter().sum());
            inputs.run(&mut sampler, chunks);
        }
        sampler.finish()
    }

    #[test]
    fn what_passes_is_kept_however_it_is_cut() {
        let shape = CacheShape::new(2, 1, 4, 2, 16).unwrap();
        let inputs = Inputs::new(shape, 20, 3);
        let whole = sample(&inputs, &[20], 9);
        let parts = sample(&inputs, &[7, 1, 12], 9);
        assert_eq!((whole.windows(), whole.tokens(1)), (2, 20));
        assert_eq!(whole.positions(0).len(), 5);
        assert!(whole.positions(0).is_sorted_by(|a, b| a < b));
        assert_ne!(whole.positions(0), whole.positions(1));
        for layer in 0..2 {
            for head in 0..2 {
                assert_eq!(whole.keys(1, layer, head), parts.keys(1, layer, head));
                assert_eq!(whole.values(0, layer, head), parts.values(0, layer, head));
                assert_eq!(whole.keys(0, layer, head).len(), 20 * 16);
            }
            assert_eq!(whole.queries(1, layer, 3), parts.queries(1, layer, 3));
        }
        let position = whole.positions(0)[2];
        let query = inputs.query(1, position, 3);
        for (kept, given) in whole.queries(0, 1, 3)[2 * 16..].iter().zip(query) {
            assert!((kept - given).abs() < 2e-3);
        }
        assert_ne!(sample(&inputs, &[20], 10).positions(0), whole.positions(0));
    }

    #[test]
    fn the_rotation_is_taken_back() {
        let shape = CacheShape::new(1, 1, 2, 1, 16).unwrap();
        let samples = sample(&Inputs::new(shape, 8, 1), &[8], 0);
        let (after, mut before) = (
            samples.keys(0, 0, 0),
            samples.keys_before_rope(0, 0, 0).unwrap(),
        );
        assert_eq!(after[..16], before[..16], "position 0");
        let rope = Rope::new(vec![0.1; 8], false);
        for (position, row) in before.chunks_exact_mut(16).enumerate() {
            rope.rotate(row, position);
        }
        for (a, b) in after.iter().zip(&before) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    #[test]
    fn windows_lie_in_the_text_and_do_not_overlap() {
        for seed in 0..20 {
            let starts = draw_windows(103, 4, 20, seed).unwrap();
            let ends = starts.iter().map(|start| start + 20);
            let next = starts.iter().skip(1).copied().chain([103]);
            assert!(ends.zip(next).all(|(end, next)| end <= next), "{starts:?}");
        }
        assert_ne!(draw_windows(103, 4, 20, 0), draw_windows(103, 4, 20, 1));
        assert_eq!(draw_windows(80, 4, 20, 3), Some(vec![0, 20, 40, 60]));
        assert_eq!(draw_windows(79, 4, 20, 3), None);
        assert_eq!(draw_windows(79, 0, 20, 3), None);
    }

    #[test]
    fn what_cannot_be_sampled_is_refused() {
        let shape = CacheShape::new(1, 2, 2, 1, 16).unwrap();
        let mut cache = Cache::builder(shape, Arc::new(Plain {})).build().unwrap();
        let error = Sampler::new(&mut cache, Ropes::default(), 5, 0)
            .err()
            .unwrap();
        assert!(error.to_string().contains("batch = 2"), "{error}");
    }
}
