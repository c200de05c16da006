//! What is known of the queries of a lane before their rotation by position.

use crate::rope::Rope;

/// Mean and covariance of the queries of one lane, scaled, before `RoPE`.
///
/// Every query head has a mean of its own. Covariances are around these means and pooled over the
/// heads: a matrix for each would cost as many bytes as a short cache.
#[derive(Debug, Clone)]
pub struct QueryStatistics {
    head_dim: usize,
    /// Queries of each head.
    count: u64,
    /// `[group, head_dim]`.
    means: Vec<f32>,
    /// Products of deviations summed over queries and heads: the lower triangle, row after row.
    products: Vec<f32>,
}

impl QueryStatistics {
    /// Nothing known yet of `group` query heads.
    pub(crate) fn new(group: usize, head_dim: usize) -> Self {
        Self {
            head_dim,
            count: 0,
            means: vec![0.0; group * head_dim],
            products: vec![0.0; triangle(head_dim)],
        }
    }

    /// Adds the queries of one token, `[group, head_dim]`, scaled and rotated to `position`.
    pub(crate) fn observe(&mut self, rope: &Rope, position: usize, q: &[f32]) {
        let mut q = q.to_vec();
        rope.unrotate(&mut q, position);
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let before = self.count as f32;
        self.count += 1;
        // Welford's update: sums of squares would cancel where a mean is large.
        let (share, weight) = (1.0 / (before + 1.0), before / (before + 1.0));
        for (q, mean) in q.iter_mut().zip(&mut self.means) {
            *q -= *mean;
            *mean += *q * share;
        }
        for q in q.chunks_exact(self.head_dim) {
            for (channel, deviation) in q.iter().enumerate() {
                let row = &mut self.products[triangle(channel)..triangle(channel + 1)];
                let deviation = deviation * weight;
                row.iter_mut()
                    .zip(q)
                    .for_each(|(sum, q)| *sum += deviation * q);
            }
        }
    }

    /// Mean of query head `head` of the lane.
    ///
    /// # Panics
    /// When there is no such head.
    #[must_use]
    pub fn mean(&self, head: usize) -> &[f32] {
        &self.means[head * self.head_dim..][..self.head_dim]
    }

    /// Variance of the score of each key, `[n, head_dim]`, over the queries: `kᵀ Σ k`.
    #[must_use]
    pub fn variances(&self, keys: &[f32]) -> Vec<f32> {
        let heads = (self.means.len() / self.head_dim) as u64;
        #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
        let queries = (self.count * heads).max(1) as f32;
        let mut below = vec![0.0; self.head_dim];
        let variance = |key: &[f32]| {
            // Column sums under the diagonal, half of it included: twice their product with the
            // key is the whole form. Rows are contiguous, so that this is done in vectors.
            below.fill(0.0);
            for (channel, &k) in key.iter().enumerate() {
                let row = &self.products[triangle(channel)..triangle(channel + 1)];
                below.iter_mut().zip(row).for_each(|(sum, p)| *sum += k * p);
                below[channel] -= 0.5 * k * row[channel];
            }
            let form: f32 = below.iter().zip(key).map(|(sum, k)| sum * k).sum();
            2.0 * form / queries
        };
        keys.chunks_exact(self.head_dim).map(variance).collect()
    }

    /// Forgets all queries.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.means.fill(0.0);
        self.products.fill(0.0);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        Self::bytes_of(self.means.len() / self.head_dim, self.head_dim)
    }

    /// Bytes of the statistics of a lane with `group` query heads.
    pub(crate) fn bytes_of(group: usize, head_dim: usize) -> usize {
        size_of::<f32>() * (group * head_dim + triangle(head_dim)) + size_of::<u64>()
    }
}

/// Entries of the lower triangle of a symmetric matrix; also where its next row begins.
fn triangle(channels: usize) -> usize {
    channels * (channels + 1) / 2
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_all_queries_at_once() {
        let (group, head_dim, tokens) = (3, 6, 50);
        let rope = Rope::new(vec![0.7, 0.1, 0.01], false);
        let query = |token: usize, head: usize, channel: usize| {
            let wave = ((token * 7 + head * 3 + channel * 11) % 23) as f32 / 11.0 - 1.0;
            wave + if channel == 2 {
                40.0 + head as f32
            } else {
                0.0
            }
        };
        let mut statistics = QueryStatistics::new(group, head_dim);
        for token in 0..tokens {
            let channels = |head| (0..head_dim).map(move |channel| query(token, head, channel));
            let mut q: Vec<f32> = (0..group).flat_map(channels).collect();
            rope.rotate(&mut q, token);
            statistics.observe(&rope, token, &q);
        }
        let mean = |head: usize, channel: usize| {
            let all = (0..tokens).map(|token| f64::from(query(token, head, channel)));
            all.sum::<f64>() / tokens as f64
        };
        for head in 0..group {
            for (channel, held) in statistics.mean(head).iter().enumerate() {
                assert!((f64::from(*held) - mean(head, channel)).abs() < 1e-4);
            }
        }
        let keys: Vec<f32> = (0..2 * head_dim).map(|j| (j as f32 * 1.3).sin()).collect();
        for (key, held) in keys.chunks_exact(head_dim).zip(statistics.variances(&keys)) {
            let mut sum = 0.0;
            for head in 0..group {
                for token in 0..tokens {
                    let off = |(channel, k): (usize, &f32)| {
                        let deviation =
                            f64::from(query(token, head, channel)) - mean(head, channel);
                        f64::from(*k) * deviation
                    };
                    sum += key.iter().enumerate().map(off).sum::<f64>().powi(2);
                }
            }
            let expected = sum / (group * tokens) as f64;
            let off = (f64::from(held) - expected).abs();
            assert!(off < 1e-3 * expected, "{held} {expected}");
        }
    }

    #[test]
    fn bytes_are_those_of_the_buffers() {
        let statistics = QueryStatistics::new(3, 64);
        let numbers = statistics.means.len() + statistics.products.len();
        assert_eq!(statistics.bytes(), 4 * numbers + 8);
    }
}
