//! The sums that one head's attention is read from.

use super::observer::Layout;
use crate::stats::float;
use serde::{Deserialize, Serialize};

/// The attention of one query head: means over scored queries, and over windows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadAttention {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head, from 0.
    pub head: usize,
    /// Mean entropy of a query's attention, in nats.
    pub entropy_nats: f64,
    /// Mean of that entropy over the largest there could be, `ln n` for `n` visible tokens: 0 is one
    /// token, 1 is all alike. Of queries that see more than one.
    pub entropy_share: f64,
    /// Mean attention that a token of the prompt receives from a scored query.
    pub key_mean: f64,
    /// Variance of that over the tokens of the prompt.
    pub key_variance: f64,
    /// Share of attention on the sinks.
    pub sinks: f64,
    /// Share on the recent tokens, sinks apart.
    pub recent: f64,
    /// Share on all between.
    pub middle: f64,
}

/// Attention of blocks of queries to blocks of keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head; `None` is the mean of all.
    pub head: Option<usize>,
    /// Tokens of a block; the last may have fewer.
    pub block_tokens: usize,
    /// Row by row, a row being a block of queries: the share of their attention on each block of
    /// keys up to their own, so that every row sums to 1.
    pub rows: Vec<Vec<f32>>,
}

/// Sums over the queries of one head.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    layout: Layout,
    queries: usize,
    entropy: f64,
    /// Of queries that see more than one token, how many they are and their shares.
    several: usize,
    share: f64,
    sinks: f64,
    recent: f64,
    middle: f64,
    /// By bin.
    pub(super) distances: Vec<f64>,
    /// By key, of this window's scored queries.
    received: Vec<f64>,
    /// Mean and variance of what keys of the prompt received, summed over windows.
    key_mean: f64,
    key_variance: f64,
    windows: usize,
    /// `[blocks, blocks]`, and queries of each row.
    map: Vec<f64>,
    rows: Vec<usize>,
}

impl Totals {
    pub(super) fn new(layout: Layout) -> Self {
        let blocks = layout.blocks();
        Self {
            layout,
            queries: 0,
            entropy: 0.0,
            several: 0,
            share: 0.0,
            sinks: 0.0,
            recent: 0.0,
            middle: 0.0,
            distances: vec![0.0; distance_bin(layout.tokens.max(1) - 1) + 1],
            received: vec![0.0; layout.tokens],
            key_mean: 0.0,
            key_variance: 0.0,
            windows: 0,
            map: vec![0.0; blocks * blocks],
            rows: vec![0; blocks],
        }
    }

    /// Adds the attention of the query at `position` to the tokens up to itself.
    pub(super) fn add(&mut self, position: usize, weights: &[f32]) {
        let Layout { block, first, .. } = self.layout;
        let (row, blocks) = (position / block, self.rows.len());
        self.rows[row] += 1;
        let map = &mut self.map[row * blocks..(row + 1) * blocks];
        for (cell, keys) in map.iter_mut().zip(weights.chunks(block)) {
            *cell += keys.iter().map(|w| f64::from(*w)).sum::<f64>();
        }
        if position < first {
            return;
        }
        self.queries += 1;
        let mut entropy = 0.0;
        for (received, &weight) in self.received.iter_mut().zip(weights) {
            let weight = f64::from(weight);
            *received += weight;
            if weight > 0.0 {
                entropy -= weight * weight.ln();
            }
        }
        self.entropy += entropy;
        if weights.len() > 1 {
            self.several += 1;
            self.share += entropy / float(weights.len()).ln();
        }
        let sum = |part: &[f32]| part.iter().map(|w| f64::from(*w)).sum::<f64>();
        let sinks = self.layout.sinks.min(weights.len());
        let recent = weights.len().saturating_sub(self.layout.recent).max(sinks);
        self.sinks += sum(&weights[..sinks]);
        self.middle += sum(&weights[sinks..recent]);
        self.recent += sum(&weights[recent..]);
        let mut end = weights.len();
        for (bin, total) in self.distances.iter_mut().enumerate() {
            let next = weights.len().saturating_sub(distance_from(bin + 1));
            *total += sum(&weights[next..end]);
            end = next;
        }
    }

    /// Ends a window: what each token received from the scored queries that could see it, on
    /// average.
    pub(super) fn end_window(&mut self) -> Vec<f64> {
        let Layout { tokens, first, .. } = self.layout;
        let observers = |key: usize| float(tokens - key.max(first)).max(1.0);
        let received: Vec<f64> = self
            .received
            .iter()
            .enumerate()
            .map(|(key, sum)| sum / observers(key))
            .collect();
        let prompt = &received[..first];
        let keys = float(prompt.len().max(1));
        let mean = prompt.iter().sum::<f64>() / keys;
        self.key_mean += mean;
        self.key_variance += prompt.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / keys;
        self.windows += 1;
        self.received.fill(0.0);
        received
    }

    /// The means.
    pub(super) fn summary(&self, layer: usize, head: usize) -> HeadAttention {
        let (queries, windows) = (float(self.queries.max(1)), float(self.windows.max(1)));
        HeadAttention {
            layer,
            head,
            entropy_nats: self.entropy / queries,
            entropy_share: self.share / float(self.several.max(1)),
            key_mean: self.key_mean / windows,
            key_variance: self.key_variance / windows,
            sinks: self.sinks / queries,
            recent: self.recent / queries,
            middle: self.middle / queries,
        }
    }

    /// Mean share by distance.
    pub(super) fn by_distance(&self) -> Vec<f64> {
        let queries = float(self.queries.max(1));
        self.distances.iter().map(|sum| sum / queries).collect()
    }

    /// Mean share of the map's cells, `[blocks, blocks]`.
    pub(super) fn cells(&self) -> Vec<f64> {
        let blocks = self.rows.len();
        let rows = self.map.chunks_exact(blocks.max(1)).zip(&self.rows);
        rows.flat_map(|(row, &queries)| row.iter().map(move |sum| sum / float(queries.max(1))))
            .collect()
    }
}

/// The map of these cells, what no query can see left out.
pub(super) fn heat_map(
    layer: usize,
    head: Option<usize>,
    block_tokens: usize,
    cells: &[f64],
) -> HeatMap {
    let blocks = cells.len().isqrt();
    #[expect(clippy::cast_possible_truncation, reason = "drawn as a colour")]
    let row = |(index, row): (usize, &[f64])| row[..=index].iter().map(|c| *c as f32).collect();
    HeatMap {
        layer,
        head,
        block_tokens,
        rows: cells
            .chunks_exact(blocks.max(1))
            .enumerate()
            .map(row)
            .collect(),
    }
}

/// The first distance of a bin: 0, 1, 2, 4, 8, ….
pub(super) fn distance_from(bin: usize) -> usize {
    if bin == 0 { 0 } else { 1 << (bin - 1) }
}

/// The bin of a distance.
fn distance_bin(distance: usize) -> usize {
    distance.checked_ilog2().map_or(0, |log| log as usize + 1)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        tokens: 16,
        first: 8,
        block: 4,
        sinks: 2,
        recent: 3,
    };

    #[test]
    fn uniform_attention_has_the_entropy_of_its_tokens() {
        let mut totals = Totals::new(LAYOUT);
        totals.add(9, &[0.1; 10]);
        let head = totals.summary(3, 1);
        assert!((head.entropy_nats - 10f64.ln()).abs() < 1e-6);
        assert!((head.entropy_share - 1.0).abs() < 1e-6);
        assert!((head.sinks - 0.2).abs() < 1e-6 && (head.recent - 0.3).abs() < 1e-6);
        assert!((head.middle - 0.5).abs() < 1e-6);
        assert_eq!((head.layer, head.head), (3, 1));
    }

    #[test]
    fn attention_to_one_token_has_no_entropy() {
        let mut totals = Totals::new(LAYOUT);
        let mut weights = [0.0; 12];
        weights[5] = 1.0;
        totals.add(11, &weights);
        let received = totals.end_window();
        let head = totals.summary(0, 0);
        assert_eq!((head.entropy_nats, head.entropy_share), (0.0, 0.0));
        assert_eq!((head.sinks, head.middle, head.recent), (0.0, 1.0, 0.0));
        // One of eight scored queries was added.
        assert_eq!(received[5], 1.0 / 8.0);
        assert_eq!(head.key_mean, 1.0 / 64.0);
        let variance = (7.0 * (1f64 / 64.0).powi(2) + (7f64 / 64.0).powi(2)) / 8.0;
        assert!((head.key_variance - variance).abs() < 1e-15);
        // Six tokens back: the bin of 4 to 7.
        assert_eq!(totals.by_distance(), [0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn queries_of_the_prompt_are_on_the_map_only() {
        let mut totals = Totals::new(LAYOUT);
        totals.add(5, &[0.0, 0.5, 0.0, 0.0, 0.25, 0.25]);
        let map = heat_map(0, None, 4, &totals.cells());
        assert_eq!(map.rows[1], [0.5, 0.5]);
        assert_eq!(map.rows.len(), 4);
        assert_eq!(totals.summary(0, 0).entropy_nats, 0.0);
        assert_eq!(totals.queries, 0);
    }

    #[test]
    fn bins_of_distance_follow_one_another() {
        for distance in 0..200 {
            let bin = distance_bin(distance);
            assert!(distance_from(bin) <= distance && distance < distance_from(bin + 1));
        }
    }
}
