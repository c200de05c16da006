//! Attention of sampled queries, so that calibration can see what an error does to the output.

/// What attention makes of dot products before the softmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scoring {
    /// Factor.
    pub scale: f32,
    /// See [`CacheShape::softcap`](crate::CacheShape::softcap).
    pub softcap: Option<f32>,
    /// See [`AttnStep::window`](crate::AttnStep::window).
    pub window: Option<usize>,
}

impl Scoring {
    fn score(&self, dot: f32) -> f32 {
        let score = self.scale * dot;
        self.softcap.map_or(score, |cap| cap * (score / cap).tanh())
    }
}

/// Softmax weights of queries `[positions, head_dim]` over the keys that each can see, those up to
/// its own position: one after another. Those behind its window weigh 0.
///
/// # Panics
/// When a query's position is beyond the keys.
#[must_use]
pub fn attention_weights(
    q: &[f32],
    positions: &[usize],
    keys: &[f32],
    head_dim: usize,
    scoring: Scoring,
) -> Vec<f32> {
    let mut weights = Vec::with_capacity(positions.iter().map(|p| p + 1).sum());
    for (q, &position) in q.chunks_exact(head_dim).zip(positions) {
        let start = weights.len();
        let visible = keys[..(position + 1) * head_dim].chunks_exact(head_dim);
        weights.extend(visible.map(|key| scoring.score(dot(q, key))));
        let row = &mut weights[start..];
        let hidden = scoring
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        row[..hidden].fill(f32::NEG_INFINITY);
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|w| *w = (*w - max).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|w| *w /= sum);
    }
    weights
}

/// The values `[tokens, head_dim]` mixed by [`attention_weights`]: `[positions, head_dim]`.
///
/// # Panics
/// When weights or values are too few.
#[must_use]
pub fn mix(weights: &[f32], positions: &[usize], values: &[f32], head_dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; positions.len() * head_dim];
    let mut rest = weights;
    for (out, &position) in out.chunks_exact_mut(head_dim).zip(positions) {
        let (row, others) = rest.split_at(position + 1);
        rest = others;
        for (weight, value) in row.iter().zip(values.chunks_exact(head_dim)) {
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight * value;
            }
        }
    }
    out
}

/// Eight sums at a time, which the compiler turns into vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Inputs, dense_attention};
    use crate::shape::CacheShape;

    #[test]
    fn agrees_with_dense_attention() {
        let shape = CacheShape::new(1, 1, 1, 1, 16).unwrap();
        let inputs = Inputs::new(shape, 12, 4);
        let dense = dense_attention(&inputs);
        let positions = [0, 3, 11];
        let q: Vec<f32> = positions
            .iter()
            .flat_map(|&p| inputs.query(0, p, 0).to_vec())
            .collect();
        let (keys, values) = inputs.head(0, 0);
        let plain = Scoring {
            scale: shape.scale,
            softcap: None,
            window: None,
        };
        let weights = attention_weights(&q, &positions, &keys, 16, plain);
        let out = mix(&weights, &positions, &values, 16);
        for (row, position) in out.chunks_exact(16).zip(positions) {
            for (a, b) in row.iter().zip(&dense[position * 16..]) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}
