//! Rotary position embedding: tables of sines and cosines, and the rotation of rows.

use crate::description::{self, RopeScaling};
use smartkv_core::Rope;
use smartkv_kernels::Elementwise;
use std::f64::consts::TAU;
use std::sync::{Arc, RwLock};

/// Positions the table grows by at least.
const GROWTH: usize = 1024;

/// Sines and cosines by position, grown as sequences get longer.
///
/// Angles are computed in f64: at position 8000 an f32 angle is off by up to 5e-4.
#[derive(Debug)]
pub struct RopeTable {
    rope: Rope,
    rows: RwLock<Arc<Vec<f32>>>,
}

impl RopeTable {
    /// An empty table for heads of `head_dim` channels, an even number.
    #[must_use]
    pub fn new(rope: &description::Rope, head_dim: usize) -> Self {
        Self {
            rope: rotation(rope, head_dim),
            rows: RwLock::default(),
        }
    }

    /// The rotation that the table holds the angles of.
    #[must_use]
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// The angles of positions below `positions` at least.
    pub(crate) fn angles(&self, positions: usize) -> Angles {
        Angles {
            rows: self.upto(positions),
            pairs: self.rope.frequencies().len(),
            interleaved: self.rope.interleaved(),
        }
    }

    /// The table for positions below `positions` at least; row `p` holds `head_dim / 2` cosines,
    /// then as many sines.
    fn upto(&self, positions: usize) -> Arc<Vec<f32>> {
        let width = self.rope.head_dim();
        // A table is replaced whole, so a poisoned lock still guards a sound one.
        let current = self
            .rows
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        if current.len() >= positions * width {
            return current;
        }
        let mut rows = self
            .rows
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let have = rows.len() / width;
        if have < positions {
            let mut grown = Vec::with_capacity(positions.next_multiple_of(GROWTH) * width);
            grown.extend_from_slice(&rows);
            for position in have..positions.next_multiple_of(GROWTH) {
                self.push_row(position, &mut grown);
            }
            *rows = Arc::new(grown);
        }
        rows.clone()
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "f32 table"
    )]
    fn push_row(&self, position: usize, rows: &mut Vec<f32>) {
        let angles = self
            .rope
            .frequencies()
            .iter()
            .map(|frequency| position as f64 * frequency);
        rows.extend(angles.clone().map(|angle| angle.cos() as f32));
        rows.extend(angles.map(|angle| angle.sin() as f32));
    }

    /// Rotates `rows`, laid out `[positions.len(), heads, head_dim]`, each to its position.
    pub fn rotate(&self, rows: &mut [f32], heads: usize, positions: &[usize]) {
        let angles = self.angles(positions.iter().max().map_or(0, |last| last + 1));
        let width = heads * 2 * angles.pairs;
        for (row, &position) in rows.chunks_exact_mut(width).zip(positions) {
            let copy = row.to_vec();
            angles.rotate(&copy, position, row);
        }
    }
}

/// Sines and cosines of all positions that a step needs.
#[derive(Debug)]
pub(crate) struct Angles {
    rows: Arc<Vec<f32>>,
    pairs: usize,
    interleaved: bool,
}

impl Angles {
    /// Rotates all heads of a row to its position.
    pub(crate) fn rotate(&self, row: &[f32], position: usize, out: &mut [f32]) {
        let angles = &self.rows[position * 2 * self.pairs..][..2 * self.pairs];
        let (cos, sin) = angles.split_at(self.pairs);
        Elementwise::best().rotate(row, cos, sin, self.interleaved, out);
    }
}

/// The rotation that a description means, for heads of `head_dim` channels.
fn rotation(rope: &description::Rope, head_dim: usize) -> Rope {
    #[expect(
        clippy::cast_precision_loss,
        reason = "head_dim is at most a few hundred"
    )]
    let frequency = |pair: usize| {
        let frequency = rope.base.powf(-2.0 * pair as f64 / head_dim as f64);
        scale(frequency, pair, &rope.scaling)
    };
    let frequencies = (0..head_dim / 2).map(frequency).collect();
    Rope::new(frequencies, rope.interleaved)
}

/// Stretches one frequency (radians per token) as `scaling` says.
#[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^52")]
fn scale(frequency: f64, pair: usize, scaling: &RopeScaling) -> f64 {
    match scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Factors(factors) => {
            frequency / factors.get(pair).map_or(1.0, |&factor| f64::from(factor))
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => {
            let turns = *original_context as f64 * frequency / TAU;
            let ramp = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
            let kept = ramp.clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(interleaved: bool, scaling: RopeScaling) -> RopeTable {
        RopeTable::new(
            &description::Rope {
                base: 10_000.0,
                interleaved,
                scaling,
            },
            8,
        )
    }

    #[test]
    fn both_pairings_turn_the_same_pairs() {
        let halves: Vec<f32> = (1..=8u8).map(f32::from).collect();
        let order = [0, 4, 1, 5, 2, 6, 3, 7];
        let mut neighbours: Vec<f32> = order.iter().map(|&i| halves[i]).collect();
        let mut halves = halves;
        table(false, RopeScaling::None).rotate(&mut halves, 1, &[37]);
        table(true, RopeScaling::None).rotate(&mut neighbours, 1, &[37]);
        for (place, &channel) in order.iter().enumerate() {
            assert_eq!(neighbours[place], halves[channel]);
        }
        assert!((halves[0] - (37f32.cos() - 5.0 * 37f32.sin())).abs() < 1e-5);
    }

    #[test]
    fn the_rotation_of_a_cache_is_that_of_the_table() {
        for interleaved in [false, true] {
            let table = table(interleaved, RopeScaling::Linear { factor: 2.0 });
            let mut row = [1.0, 2.0, -1.0, 0.5, 0.3, -2.0, 1.0, 1.0];
            let mut same = row;
            table.rotate(&mut row, 1, &[777]);
            table.rope().rotate(&mut same, 777);
            for (a, b) in row.iter().zip(same) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn dot_products_depend_on_the_distance_only() {
        let rope = table(false, RopeScaling::Linear { factor: 2.0 });
        let dot = |p: usize, q: usize| {
            let (mut a, mut b) = ([1.0, 2.0, -1.0, 0.5, 0.3, -2.0, 1.0, 1.0], [0.5; 8]);
            rope.rotate(&mut a, 1, &[p]);
            rope.rotate(&mut b, 1, &[q]);
            a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()
        };
        assert!((dot(5, 2) - dot(5003, 5000)).abs() < 1e-4);
        assert!(
            (dot(5, 2) - dot(5, 3)).abs() > 1e-3,
            "positions must matter"
        );
    }

    #[test]
    fn position_zero_is_the_identity_and_growth_keeps_rows() {
        let rope = table(true, RopeScaling::None);
        let mut row = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        rope.rotate(&mut row, 1, &[0]);
        assert_eq!(row, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let before = rope.upto(10).to_vec();
        let after = rope.upto(3000);
        assert_eq!(before, after[..before.len()]);
        assert_eq!(after.len(), 3072 * 8);
    }

    #[test]
    fn llama3_keeps_fast_pairs_and_divides_slow_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        };
        assert_eq!(scale(1.0, 0, &scaling), 1.0);
        assert_eq!(scale(1e-5, 3, &scaling), 1e-5 / 8.0);
        let between = TAU * 2.5 / 8192.0;
        assert!((scale(between, 2, &scaling) / between - (0.5 + 0.5 / 8.0)).abs() < 1e-12);
        assert_eq!(scale(1.0, 1, &RopeScaling::Factors(vec![1.0, 4.0])), 0.25);
    }
}
