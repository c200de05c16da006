//! Rotary position embedding: sines and cosines for the rows of a step, and the rotation of rows.

use crate::description::{self, RopeScaling};
use smartkv_core::{Rope, Ropes};
use smartkv_kernels::Elementwise;
use std::f64::consts::TAU;
use std::sync::{Arc, RwLock};

/// Positions the table grows by at least.
const GROWTH: usize = 1024;

/// Sines and cosines of one rotation by position, grown as sequences get longer.
///
/// Angles are computed in f64: at position 8000 an f32 angle is off by up to 5e-4.
#[derive(Debug)]
pub struct RopeTable {
    rope: Arc<Rope>,
    rows: RwLock<Arc<Vec<f32>>>,
}

impl RopeTable {
    fn of(rope: Rope) -> Self {
        Self {
            rope: Arc::new(rope),
            rows: RwLock::default(),
        }
    }

    /// An empty table for heads of `head_dim` channels, an even number, in a sequence that never
    /// exceeds its original context.
    #[must_use]
    pub fn new(rope: &description::Rope, head_dim: usize) -> Self {
        Self::of(rotation(rope, head_dim, 0))
    }

    /// The rotation that the table holds the angles of.
    #[must_use]
    pub fn rope(&self) -> &Rope {
        &self.rope
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
                push_row(&self.rope, position, &mut grown);
            }
            *rows = Arc::new(grown);
        }
        rows.clone()
    }

    /// Rotates `rows`, laid out `[positions.len(), heads, head_dim]`, each to its position.
    pub fn rotate(&self, rows: &mut [f32], heads: usize, positions: &[usize]) {
        let table = self.upto(positions.iter().max().map_or(0, |last| last + 1));
        let width = self.rope.head_dim();
        for (row, &position) in rows.chunks_exact_mut(heads * width).zip(positions) {
            let copy = row.to_vec();
            let angles = &table[position * width..][..width];
            turn(&copy, angles, self.rope.interleaved(), row);
        }
    }
}

/// Cosines of a position, then its sines.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "f32 table"
)]
fn push_row(rope: &Rope, position: usize, rows: &mut Vec<f32>) {
    let frequencies = rope.frequencies().iter();
    let angles = frequencies.map(|frequency| position as f64 * frequency);
    rows.extend(angles.clone().map(|angle| angle.cos() as f32));
    rows.extend(angles.map(|angle| angle.sin() as f32));
}

fn turn(row: &[f32], angles: &[f32], interleaved: bool, out: &mut [f32]) {
    let (cos, sin) = angles.split_at(angles.len() / 2);
    Elementwise::best().rotate(row, cos, sin, interleaved, out);
}

/// One of a decoder's rotations, whose frequencies may depend on how long a sequence has become.
#[derive(Debug)]
pub(crate) enum Rotation {
    /// They do not.
    Fixed(RopeTable),
    /// They are others beyond a length.
    Switched {
        short: RopeTable,
        long: RopeTable,
        beyond: usize,
    },
    /// Every length has its own.
    ByLength {
        rope: description::Rope,
        head_dim: usize,
    },
}

impl Rotation {
    /// The rotation of heads of `head_dim` channels in contexts of up to `context` tokens.
    pub(crate) fn new(rope: &description::Rope, head_dim: usize, context: usize) -> Self {
        let table = |length| RopeTable::of(rotation(rope, head_dim, length));
        match rope.scaling {
            RopeScaling::Long {
                original_context, ..
            } if context > original_context => Self::Switched {
                short: table(0),
                long: table(context),
                beyond: original_context,
            },
            RopeScaling::Dynamic {
                original_context, ..
            } if context > original_context => Self::ByLength {
                rope: rope.clone(),
                head_dim,
            },
            _ => Self::Fixed(table(0)),
        }
    }

    fn fixed(&self) -> Option<&RopeTable> {
        match self {
            Self::Fixed(table) => Some(table),
            _ => None,
        }
    }

    /// The angles of the rows of a step, by the position of each and the length that its sequence
    /// reaches.
    pub(crate) fn angles(&self, positions: &[usize], lengths: &[usize]) -> Angles {
        let end = positions.iter().max().map_or(0, |last| last + 1);
        match self {
            Self::Fixed(table) => Angles::gather(table, positions.iter().copied(), end),
            Self::Switched {
                short,
                long,
                beyond,
            } => {
                // Tables are looked up by row: few steps cross the border.
                let (short, long) = (
                    Angles::gather(short, positions.iter().copied(), end),
                    Angles::gather(long, positions.iter().copied(), end),
                );
                let width = short.width;
                let rows = lengths.iter().enumerate().flat_map(|(row, length)| {
                    let from = if length > beyond { &long } else { &short };
                    from.rows[row * width..][..width].iter().copied()
                });
                Angles {
                    rows: rows.collect(),
                    ..short
                }
            }
            Self::ByLength { rope, head_dim } => {
                let mut rows = Vec::with_capacity(positions.len() * head_dim);
                let mut current: Option<(usize, Rope)> = None;
                for (&position, &length) in positions.iter().zip(lengths) {
                    let known = current.take().filter(|(of, _)| *of == length);
                    let known =
                        known.unwrap_or_else(|| (length, rotation(rope, *head_dim, length)));
                    push_row(&known.1, position, &mut rows);
                    current = Some(known);
                }
                Angles {
                    rows,
                    width: *head_dim,
                    interleaved: rope.interleaved,
                }
            }
        }
    }
}

/// Sines and cosines for the rows of a step.
#[derive(Debug)]
pub(crate) struct Angles {
    rows: Vec<f32>,
    width: usize,
    interleaved: bool,
}

impl Angles {
    fn gather(table: &RopeTable, positions: impl Iterator<Item = usize>, end: usize) -> Self {
        let (all, width) = (table.upto(end), table.rope.head_dim());
        Self {
            rows: positions
                .flat_map(|position| &all[position * width..][..width])
                .copied()
                .collect(),
            width,
            interleaved: table.rope.interleaved(),
        }
    }

    /// Rotates all heads of row `index` of the step.
    pub(crate) fn rotate(&self, row: &[f32], index: usize, out: &mut [f32]) {
        let angles = &self.rows[index * self.width..][..self.width];
        turn(row, angles, self.interleaved, out);
    }
}

/// The rotations of all layers as a cache can take them back; `layers` says which is whose.
pub(crate) fn ropes(rotations: &[Rotation], layers: &[Option<usize>]) -> Ropes {
    if layers.iter().all(Option::is_none) {
        return Ropes::none("this model's positions are learned, its keys are never rotated");
    }
    let of_layer = |layer: &Option<usize>| {
        let table = rotations.get((*layer)?)?.fixed()?;
        Some(table.rope.clone())
    };
    match layers.iter().map(of_layer).collect() {
        Some(ropes) => Ropes::each(ropes),
        None => Ropes::none(
            "this model rotates keys by frequencies that depend on the length reached, or not in \
             all layers",
        ),
    }
}

/// The rotation that a description means for heads of `head_dim` channels, in a sequence that
/// reaches `length` tokens.
fn rotation(rope: &description::Rope, head_dim: usize, length: usize) -> Rope {
    #[expect(
        clippy::cast_precision_loss,
        reason = "head_dim is at most a few hundred, contexts are far below 2^52"
    )]
    let frequencies = {
        let base = match rope.scaling {
            RopeScaling::Dynamic {
                factor,
                original_context,
            } => {
                let stretched = length.max(original_context) as f64 / original_context as f64;
                let dim = head_dim as f64;
                rope.base * (factor * stretched - (factor - 1.0)).powf(dim / (dim - 2.0))
            }
            _ => rope.base,
        };
        let frequency = |pair: usize| base.powf(-2.0 * pair as f64 / head_dim as f64);
        let ramp = Ramp::of(rope, head_dim);
        let scaled =
            |pair: usize| scale(frequency(pair), pair, &rope.scaling, ramp.as_ref(), length);
        (0..head_dim / 2).map(scaled).collect()
    };
    Rope::new(frequencies, rope.interleaved)
}

/// The pairs between which `YaRN` goes from keeping frequencies to dividing them.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    low: f64,
    high: f64,
}

impl Ramp {
    #[expect(
        clippy::cast_precision_loss,
        reason = "head_dim is at most a few hundred, contexts are far below 2^52"
    )]
    fn of(rope: &description::Rope, head_dim: usize) -> Option<Self> {
        let RopeScaling::Yarn {
            beta_fast,
            beta_slow,
            original_context,
            truncate,
            ..
        } = rope.scaling
        else {
            return None;
        };
        // The pair that turns so often within the original context, as a fraction.
        let pair = |turns: f64| {
            let wavelength = original_context as f64 / (turns * TAU);
            head_dim as f64 * wavelength.ln() / (2.0 * rope.base.ln())
        };
        let (mut low, mut high) = (pair(beta_fast), pair(beta_slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(head_dim as f64 - 1.0));
        let high = if low == high { high + 0.001 } else { high };
        Some(Self { low, high })
    }
}

/// Stretches one frequency (radians per token) as `scaling` says.
#[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^52")]
fn scale(
    frequency: f64,
    pair: usize,
    scaling: &RopeScaling,
    ramp: Option<&Ramp>,
    length: usize,
) -> f64 {
    // A missing factor is 1: descriptions were checked to have all.
    let divided = |by: Option<f64>| frequency / by.unwrap_or(1.0);
    match scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Factors(factors) => divided(factors.get(pair).map(|&f| f64::from(f))),
        RopeScaling::Long {
            short,
            long,
            original_context,
            ..
        } => {
            let factors = if length > *original_context {
                long
            } else {
                short
            };
            divided(factors.get(pair).copied())
        }
        RopeScaling::Yarn { factor, .. } => {
            let kept = ramp.map_or(1.0, |ramp| {
                1.0 - ((pair as f64 - ramp.low) / (ramp.high - ramp.low)).clamp(0.0, 1.0)
            });
            frequency * (kept + (1.0 - kept) / factor)
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
mod tests;
