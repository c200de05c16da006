//! The frame a lane's rows are stored in: centred, scaled by channel, rotated.
//!
//! Attention is the same in every frame. A vector taken from all keys of a lane changes all scores
//! of a query alike, which the softmax does not see; one taken from all values comes back with the
//! output, since probabilities sum to one. A factor on a channel of the keys is undone in the
//! queries, one on the values in the output. A rotation keeps dot products. Rounding errors do
//! depend on the frame: that is what it is for.

use super::rotate;
use crate::layout::{Balance, Layout, Rotation};
use half::f16;
use half::slice::HalfFloatSliceExt as _;

/// What is known of a lane's queries before its frame is fixed, by channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Gauge {
    squares: Vec<f32>,
    largest: Vec<f32>,
}

impl Gauge {
    /// Adds scaled queries `[n, head_dim]`.
    pub(super) fn observe(&mut self, q: &[f32], head_dim: usize) {
        self.squares.resize(head_dim, 0.0);
        self.largest.resize(head_dim, 0.0);
        for row in q.chunks_exact(head_dim) {
            let sums = self.squares.iter_mut().zip(&mut self.largest);
            for (&q, (sum, largest)) in row.iter().zip(sums) {
                *sum += q * q;
                *largest = largest.max(q.abs());
            }
        }
    }
}

/// Vectors of one lane, fixed when its first rows leave the window. Empty vectors do nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    rotation: Rotation,
    key_mean: Vec<f16>,
    key_factor: Vec<f16>,
    value_mean: Vec<f16>,
    value_factor: Vec<f16>,
}

impl Frame {
    /// The frame of a lane of which nothing is known yet: rotated only.
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            rotation: layout.rotate,
            ..Self::default()
        }
    }

    /// The frame for keys and values `[n, head_dim]` as the host gave them, and for the queries
    /// seen so far.
    pub(super) fn fit(layout: &Layout, head_dim: usize, k: &[f32], v: &[f32], q: &Gauge) -> Self {
        let mut frame = Self::new(layout);
        if layout.center {
            frame.key_mean = mean(k, head_dim);
            frame.value_mean = mean(v, head_dim);
        }
        let centred = |x: &[f32], mean: &[f16]| {
            let mut x = x.to_vec();
            shift(&mut x, head_dim, mean, -1.0);
            x
        };
        match layout.balance {
            Balance::None => {}
            Balance::Energy => {
                // With noise spread evenly over the channels of a rotated row, these factors
                // minimise the expected error of the scores (Cauchy-Schwarz).
                let keys = squares(&centred(k, &frame.key_mean), head_dim);
                let ratio = |(q, k): (&f32, f32)| (q / k).sqrt().sqrt();
                frame.key_factor = factors(q.squares.iter().zip(keys).map(ratio));
            }
            Balance::QueryMax => {
                let keys = largest(&centred(k, &frame.key_mean), head_dim);
                let ratio = |(q, k): (&f32, f32)| (q / k).sqrt();
                frame.key_factor = factors(q.largest.iter().zip(keys).map(ratio));
            }
            Balance::ValueMax => {
                let values = largest(&centred(v, &frame.value_mean), head_dim);
                frame.value_factor = factors(values.into_iter().map(|v| 1.0 / v.sqrt()));
            }
        }
        frame
    }

    /// Takes keys into the frame.
    pub(super) fn keys(&self, k: &mut [f32], head_dim: usize) {
        shift(k, head_dim, &self.key_mean, -1.0);
        scale(k, head_dim, &self.key_factor);
        rotate::rotate(self.rotation, k, head_dim);
    }

    /// Takes values into the frame.
    pub(super) fn values(&self, v: &mut [f32], head_dim: usize) {
        shift(v, head_dim, &self.value_mean, -1.0);
        scale(v, head_dim, &self.value_factor);
        rotate::rotate(self.rotation, v, head_dim);
    }

    /// What each score of scaled queries, not yet in the frame, has less than without it.
    pub(super) fn offsets(&self, q: &[f32], head_dim: usize, out: &mut Vec<f32>) {
        out.clear();
        if self.key_mean.is_empty() {
            return;
        }
        let mean = widened(&self.key_mean);
        let rows = q.chunks_exact(head_dim);
        out.extend(rows.map(|q| q.iter().zip(&mean).map(|(q, mean)| q * mean).sum::<f32>()));
    }

    /// Takes queries into the frame of the keys.
    pub(super) fn queries(&self, q: &mut [f32], head_dim: usize) {
        unscale(q, head_dim, &self.key_factor);
        rotate::rotate(self.rotation, q, head_dim);
    }

    /// Takes keys out of the frame.
    pub(super) fn keys_back(&self, k: &mut [f32], head_dim: usize) {
        rotate::back(self.rotation, k, head_dim);
        unscale(k, head_dim, &self.key_factor);
        shift(k, head_dim, &self.key_mean, 1.0);
    }

    /// Takes values, or outputs, out of the frame.
    pub(super) fn values_back(&self, v: &mut [f32], head_dim: usize) {
        rotate::back(self.rotation, v, head_dim);
        unscale(v, head_dim, &self.value_factor);
        shift(v, head_dim, &self.value_mean, 1.0);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let vectors = [
            &self.key_mean,
            &self.key_factor,
            &self.value_mean,
            &self.value_factor,
        ];
        vectors.iter().map(|v| size_of::<f16>() * v.len()).sum()
    }

    /// Bytes of the frame of any lane under `layout`.
    pub(super) fn bytes_of(layout: &Layout, head_dim: usize) -> usize {
        let means = if layout.center { 2 } else { 0 };
        let factors = usize::from(layout.balance != Balance::None);
        (means + factors) * head_dim * size_of::<f16>()
    }

    /// Sum over the queries seen before of their squared length in the frame.
    pub(super) fn query_energy(&self, q: &Gauge) -> f64 {
        let factors = self.key_factor.iter().map(|f| f.to_f32());
        let factors = factors.chain(std::iter::repeat(1.0));
        let channels = q.squares.iter().zip(factors);
        channels
            .map(|(sum, factor)| f64::from(sum / (factor * factor)))
            .sum()
    }
}

/// Whether rows of this layout are stored in a frame that must be fitted.
pub(super) fn is_fitted(layout: &Layout) -> bool {
    layout.center || layout.balance != Balance::None
}

fn mean(x: &[f32], head_dim: usize) -> Vec<f16> {
    let mut sums = vec![0.0f64; head_dim];
    for row in x.chunks_exact(head_dim) {
        row.iter()
            .zip(&mut sums)
            .for_each(|(v, sum)| *sum += f64::from(*v));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let rows = (x.len() / head_dim).max(1) as f64;
    sums.into_iter()
        .map(|sum| f16::from_f64(sum / rows))
        .collect()
}

fn squares(x: &[f32], head_dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0; head_dim];
    for row in x.chunks_exact(head_dim) {
        row.iter().zip(&mut sums).for_each(|(v, sum)| *sum += v * v);
    }
    sums
}

fn largest(x: &[f32], head_dim: usize) -> Vec<f32> {
    let mut most = vec![0.0f32; head_dim];
    for row in x.chunks_exact(head_dim) {
        row.iter()
            .zip(&mut most)
            .for_each(|(v, most)| *most = most.max(v.abs()));
    }
    most
}

/// Factors around 1, so that no channel leaves the range of f16: their proportions are what
/// matters.
fn factors(raw: impl Iterator<Item = f32>) -> Vec<f16> {
    const WIDEST: f32 = 64.0;
    let raw: Vec<f32> = raw.collect();
    let sound = |f: f32| f.is_finite() && f > 0.0;
    let logs: Vec<f32> = raw
        .iter()
        .copied()
        .filter(|&f| sound(f))
        .map(f32::ln)
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a count of channels")]
    let centre = (logs.iter().sum::<f32>() / logs.len().max(1) as f32).exp();
    let near = |f: f32| {
        if sound(f) {
            (f / centre).clamp(1.0 / WIDEST, WIDEST)
        } else {
            1.0
        }
    };
    raw.into_iter().map(|f| f16::from_f32(near(f))).collect()
}

fn widened(x: &[f16]) -> Vec<f32> {
    x.to_f32_vec()
}

fn shift(x: &mut [f32], head_dim: usize, by: &[f16], sign: f32) {
    if by.is_empty() {
        return;
    }
    let by = widened(by);
    for row in x.chunks_exact_mut(head_dim) {
        row.iter_mut().zip(&by).for_each(|(v, by)| *v += sign * by);
    }
}

fn scale(x: &mut [f32], head_dim: usize, by: &[f16]) {
    if by.is_empty() {
        return;
    }
    let by = widened(by);
    for row in x.chunks_exact_mut(head_dim) {
        row.iter_mut().zip(&by).for_each(|(v, by)| *v *= by);
    }
}

fn unscale(x: &mut [f32], head_dim: usize, by: &[f16]) {
    if by.is_empty() {
        return;
    }
    let by: Vec<f32> = by.iter().map(|f| 1.0 / f.to_f32()).collect();
    for row in x.chunks_exact_mut(head_dim) {
        row.iter_mut().zip(&by).for_each(|(v, by)| *v *= by);
    }
}
