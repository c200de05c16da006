//! Strategies that store every token by the same formula, whatever is attended to.

use crate::rounding::{Rows, narrowed};
use smartkv_core::contract::Inputs;
use smartkv_core::{Cache, CacheShape, KvHook as _, MeasuredHook as _, Strategy};
use std::ops::Range;
use std::sync::Arc;

/// Farthest that outputs of order 1 may lie from a reference in f64: scores of some tens in f32
/// are exact to a few millionths, and so are probabilities.
pub(crate) const TOLERANCE: f64 = 2e-5;

/// How far a wrong formula must be from the output at least, for the right one to mean something.
pub(crate) const WRONG: f64 = 1e-3;

/// Tokens of the prompt; as many decoded tokens follow as [`TOKENS`] says.
pub(crate) const PROMPT: usize = 150;
/// All tokens.
pub(crate) const TOKENS: usize = 190;

pub(crate) fn shape(head_dim: usize) -> CacheShape {
    CacheShape::new(2, 1, 4, 2, head_dim).expect("a shape")
}

/// What a formula makes of the rows of one head.
#[derive(Clone, Copy)]
pub(crate) struct Formula<'a> {
    /// Tokens that are packed when so many have been seen.
    pub(crate) packed: &'a dyn Fn(usize) -> Range<usize>,
    /// An orthonormal matrix that keys and values are multiplied by before they are stored, and
    /// by whose transpose when they are read.
    pub(crate) rotation: Option<&'a Rows>,
    /// Packed keys, all of them at once.
    pub(crate) keys: &'a dyn Fn(&Rows) -> Rows,
    /// Packed values.
    pub(crate) values: &'a dyn Fn(&Rows) -> Rows,
}

/// Softmax attention of one query.
pub(crate) fn attention(query: &[f64], keys: &Rows, values: &Rows) -> (Vec<f64>, Vec<f64>) {
    let scores = keys.iter().map(|key| dot(query, key));
    let weights: Vec<f64> = scores.map(f64::exp).collect();
    let total: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    let mut out = vec![0.0; query.len()];
    for (share, value) in shares.iter().zip(values) {
        out.iter_mut().zip(value).for_each(|(o, v)| *o += share * v);
    }
    (out, shares)
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn wide(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&x| x.into()).collect()
}

/// A query of the last layer, scaled.
pub(crate) fn query(inputs: &Inputs, token: usize, head: usize) -> Vec<f64> {
    let shape = &inputs.shape;
    let q = wide(inputs.query(shape.layers - 1, token, head));
    q.iter().map(|q| q * f64::from(shape.scale)).collect()
}

fn times(matrix: &Rows, row: &[f64]) -> Vec<f64> {
    matrix.iter().map(|line| dot(line, row)).collect()
}

fn transposed(matrix: &Rows) -> Rows {
    let column = |j: usize| matrix.iter().map(|line| line[j]).collect();
    (0..matrix.len()).map(column).collect()
}

/// Outputs of the last layer for the decoded tokens.
pub(crate) fn decoded(strategy: impl Strategy + 'static, inputs: &Inputs) -> (Cache, Vec<f32>) {
    run(Arc::new(strategy), inputs)
}

/// [`decoded`] for a strategy from a registry.
pub(crate) fn run(strategy: Arc<dyn Strategy>, inputs: &Inputs) -> (Cache, Vec<f32>) {
    let mut cache = Cache::builder(inputs.shape, strategy)
        .build()
        .expect("a cache");
    inputs.step(&mut cache, 0, PROMPT, false);
    let tokens = PROMPT..inputs.tokens;
    let out = tokens.flat_map(|token| inputs.step(&mut cache, token, 1, false));
    let out = out.collect();
    (cache, out)
}

impl Formula<'_> {
    /// The same outputs by the formula.
    pub(crate) fn decoded(&self, inputs: &Inputs) -> Vec<f64> {
        let CacheShape {
            layers,
            q_heads,
            kv_heads,
            ..
        } = inputs.shape;
        let heads = 0..kv_heads;
        let of = |pick: fn(&Inputs, usize, usize, usize) -> &[f32]| -> Vec<Rows> {
            let row = |token, head| {
                let row = wide(pick(inputs, layers - 1, token, head));
                // The newest tokens wait in f16, and from there they are packed.
                narrowed(&self.rotation.map_or(row.clone(), |by| times(by, &row)))
            };
            let rows = |head| (0..inputs.tokens).map(|token| row(token, head)).collect();
            heads.clone().map(rows).collect()
        };
        let (keys, values) = (of(Inputs::key), of(Inputs::value));
        let back = self.rotation.map(transposed);
        let back = |rows: Rows| -> Rows {
            match &back {
                Some(back) => rows.iter().map(|row| times(back, row)).collect(),
                None => rows,
            }
        };
        // What is packed once stays as it is: later tokens make groups of their own.
        let all = (self.packed)(inputs.tokens);
        let pack = |rows: &Rows, pack: &dyn Fn(&Rows) -> Rows| -> [Rows; 2] {
            let mut packed = rows.clone();
            packed[all.clone()].clone_from_slice(&pack(&rows[all.clone()].to_vec()));
            [rows.clone(), packed].map(back)
        };
        let pack_all =
            |heads: &[Rows], by| -> Vec<_> { heads.iter().map(|rows| pack(rows, by)).collect() };
        let (keys, values) = (pack_all(&keys, self.keys), pack_all(&values, self.values));
        let stored = |[waiting, packed]: &[Rows; 2], seen: usize| -> Rows {
            let left = (self.packed)(seen);
            assert!(left.start == all.start && left.end <= all.end);
            let rows = |token| {
                if left.contains(&token) {
                    packed
                } else {
                    waiting
                }
            };
            let row = |token| rows(token)[token].clone();
            (0..=seen).map(row).collect()
        };
        let mut out = Vec::new();
        for token in PROMPT..inputs.tokens {
            for head in heads.clone() {
                let keys = stored(&keys[head], token);
                let values = stored(&values[head], token);
                let group = q_heads / kv_heads;
                for q_head in head * group..(head + 1) * group {
                    out.extend(attention(&query(inputs, token, q_head), &keys, &values).0);
                }
            }
        }
        out
    }

    /// Farthest that `out` lies from the formula.
    pub(crate) fn off(&self, inputs: &Inputs, out: &[f32]) -> f64 {
        farthest(out, &self.decoded(inputs))
    }
}

/// Largest difference of two equally long outputs.
pub(crate) fn farthest(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let off = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs());
    off.fold(0.0, f64::max)
}

/// Bits that a packed element takes, scales and zero points included.
pub(crate) fn bits(cache: &Cache) -> f64 {
    let memory = cache.memory();
    let census = cache.census();
    let rows: usize = census[..census.len() - 1].iter().sum();
    let elements = 2 * rows * cache.shape().head_dim;
    8.0 * (memory.payload_bytes + memory.metadata_bytes) as f64 / elements as f64
}

/// All tokens but the first `sinks` and the newest `window`.
pub(crate) fn between(sinks: usize, window: usize) -> impl Fn(usize) -> Range<usize> {
    move |seen| sinks..seen.saturating_sub(window).max(sinks)
}
