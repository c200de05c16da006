//! Rotary position embedding, as far as a cache must know it: to take it back.

use crate::error::{Error, Result};
use crate::shape::CacheShape;
use std::ops::Range;
use std::sync::Arc;

/// The rotation that a host applies to keys and queries before it hands them over.
///
/// Only methods that store keys before the rotation
/// ([`Simulation::before_rope`](crate::simulation::Simulation::before_rope)) or look at queries
/// before it ([`Layout::queries`](crate::layout::Layout::queries)) need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    frequencies: Vec<f64>,
    interleaved: bool,
}

impl Rope {
    /// A rotation by one angle for each pair of channels, in radians per token, scaling included.
    ///
    /// Pairs are neighbours `(2i, 2i+1)` when `interleaved`, or halves `(i, i + head_dim/2)`.
    #[must_use]
    pub fn new(frequencies: Vec<f64>, interleaved: bool) -> Self {
        Self {
            frequencies,
            interleaved,
        }
    }

    /// Radians per token of each pair.
    #[must_use]
    pub fn frequencies(&self) -> &[f64] {
        &self.frequencies
    }

    /// Whether pairs are neighbours.
    #[must_use]
    pub fn interleaved(&self) -> bool {
        self.interleaved
    }

    /// Channels of a row.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Checks that rows of `head_dim` channels can be rotated.
    ///
    /// # Errors
    /// Another number of channels, or a frequency that is not finite.
    pub fn check(&self, head_dim: usize) -> Result<()> {
        let refuse = |value: String, expected: &str| Err(Error::parameter("rope", value, expected));
        if self.head_dim() != head_dim {
            let value = format!("{} frequencies", self.frequencies.len());
            return refuse(
                value,
                &format!("expected {} for head_dim {head_dim}", head_dim / 2),
            );
        }
        match self.frequencies.iter().find(|f| !f.is_finite()) {
            Some(frequency) => refuse(frequency.to_string(), "expected finite frequencies"),
            None => Ok(()),
        }
    }

    /// Rotates rows of one position to it.
    ///
    /// # Panics
    /// When the rows are not whole ones of [`head_dim`](Self::head_dim) channels.
    pub fn rotate(&self, rows: &mut [f32], position: usize) {
        self.turn(rows, |frequency| turned(frequency, position));
    }

    /// Takes the rotation of rows of one position back.
    ///
    /// # Panics
    /// As [`rotate`](Self::rotate).
    pub fn unrotate(&self, rows: &mut [f32], position: usize) {
        self.turn(rows, |frequency| {
            let (sin, cos) = turned(frequency, position);
            (-sin, cos)
        });
    }

    /// Multiplies rows by the transposed mean of the rotations to `positions`: what they are to a
    /// query before its rotation, on average over where it may come.
    ///
    /// # Panics
    /// As [`rotate`](Self::rotate).
    pub fn unrotate_mean(&self, rows: &mut [f32], positions: Range<usize>) {
        #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
        let count = positions.len().max(1) as f64;
        self.turn(rows, |frequency| {
            let angles = positions.clone().map(|at| turned(frequency, at));
            let (sin, cos) = angles.fold((0.0, 0.0), |sum, (sin, cos)| (sum.0 + sin, sum.1 + cos));
            (-sin / count, cos / count)
        });
    }

    /// Multiplies every pair of channels by the matrix `[[cos, -sin], [sin, cos]]` of its
    /// frequency; `angle` gives `(sin, cos)`.
    fn turn(&self, rows: &mut [f32], angle: impl Fn(f64) -> (f64, f64)) {
        let half = self.frequencies.len();
        assert!(
            rows.is_empty() || (half > 0 && rows.len().is_multiple_of(2 * half)),
            "{} channels in rows of {}",
            rows.len(),
            2 * half
        );
        for (pair, &frequency) in self.frequencies.iter().enumerate() {
            let (sin, cos) = angle(frequency);
            let (a, b) = if self.interleaved {
                (2 * pair, 2 * pair + 1)
            } else {
                (pair, pair + half)
            };
            for row in rows.chunks_exact_mut(2 * half) {
                let (x, y) = (f64::from(row[a]), f64::from(row[b]));
                #[expect(clippy::cast_possible_truncation, reason = "rows are f32")]
                {
                    row[a] = (x * cos - y * sin) as f32;
                    row[b] = (x * sin + y * cos) as f32;
                }
            }
        }
    }
}

/// The rotations of a host's layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Ropes(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// One for all layers.
    Same(Arc<Rope>),
    /// One a layer.
    Each(Vec<Arc<Rope>>),
    /// None, and why.
    None(&'static str),
}

impl Ropes {
    /// A rotation for each layer, in order.
    #[must_use]
    pub fn each(ropes: Vec<Arc<Rope>>) -> Self {
        Self(Kind::Each(ropes))
    }

    /// No rotation that a cache could take back; `reason` is what an error says, such as "the
    /// model's positions are learned".
    #[must_use]
    pub fn none(reason: &'static str) -> Self {
        Self(Kind::None(reason))
    }

    /// The rotation of `layer`, if there is one.
    #[must_use]
    pub fn layer(&self, layer: usize) -> Option<&Rope> {
        match &self.0 {
            Kind::Same(rope) => Some(rope),
            Kind::Each(ropes) => ropes.get(layer).map(AsRef::as_ref),
            Kind::None(_) => None,
        }
    }

    /// Checks that every layer has a rotation for its rows. `needed` begins the error where none is
    /// known: who needs them.
    ///
    /// # Errors
    /// A layer without a rotation, or with one that does not fit.
    pub fn check(&self, shape: &CacheShape, needed: &str) -> Result<()> {
        if let Kind::None(reason) = self.0 {
            return Err(Error::parameter(
                "rope",
                "none",
                format!("{needed}: {reason}"),
            ));
        }
        for layer in 0..shape.layers {
            let Some(rope) = self.layer(layer) else {
                let expected =
                    format!("{needed}: expected one for each of {} layers", shape.layers);
                return Err(Error::parameter(
                    "rope",
                    format!("{layer} rotations"),
                    expected,
                ));
            };
            rope.check(shape.head_dim)?;
        }
        Ok(())
    }
}

impl Default for Ropes {
    fn default() -> Self {
        Self::none("expected the model's, given to the cache's builder")
    }
}

impl From<&Rope> for Ropes {
    fn from(rope: &Rope) -> Self {
        Self(Kind::Same(Arc::new(rope.clone())))
    }
}

impl From<&Ropes> for Ropes {
    fn from(ropes: &Ropes) -> Self {
        ropes.clone()
    }
}

/// Sine and cosine of an angle that grows by `frequency` a position.
fn turned(frequency: f64, position: usize) -> (f64, f64) {
    // In f64: at position 8000 an f32 angle is off by up to 5e-4.
    #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
    let angle = position as f64 * frequency;
    angle.sin_cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_can_be_turned_back() {
        for interleaved in [false, true] {
            let rope = Rope::new(vec![1.0, 0.1, 0.01, 1e-4], interleaved);
            let row: Vec<f32> = (1..=8u8).map(f32::from).collect();
            let mut turned = row.clone();
            rope.rotate(&mut turned, 12_345);
            assert!(row.iter().zip(&turned).any(|(a, b)| (a - b).abs() > 0.5));
            rope.unrotate(&mut turned, 12_345);
            for (a, b) in row.iter().zip(&turned) {
                assert!((a - b).abs() < 1e-5, "{row:?} {turned:?}");
            }
        }
    }

    #[test]
    fn a_key_against_the_mean_rotation_is_the_mean_over_rotated_queries() {
        for interleaved in [false, true] {
            let rope = Rope::new(vec![1.0, 0.1, 0.01, 1e-4], interleaved);
            let query: Vec<f32> = (1..=8u8).map(f32::from).collect();
            let key: Vec<f32> = query.iter().map(|x| (x * 1.7).cos()).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let future = |at| {
                let mut query = query.clone();
                rope.rotate(&mut query, at);
                dot(&query, &key)
            };
            let mean = (40..90).map(future).sum::<f32>() / 50.0;
            let mut rows = [key.clone(), key.clone()].concat();
            rope.unrotate_mean(&mut rows, 40..90);
            for row in rows.chunks_exact(8) {
                assert!((dot(&query, row) - mean).abs() < 1e-4, "{mean}");
            }
        }
    }

    #[test]
    fn pairs_are_neighbours_or_halves() {
        let quarter = std::f64::consts::FRAC_PI_2;
        for (interleaved, expected) in [
            (false, [-3.0, 2.0, 1.0, 4.0]),
            (true, [-2.0, 1.0, 3.0, 4.0]),
        ] {
            let mut row = [1.0, 2.0, 3.0, 4.0];
            Rope::new(vec![quarter, 0.0], interleaved).rotate(&mut row, 1);
            for (a, b) in row.iter().zip(expected) {
                assert!((a - b).abs() < 1e-6, "{row:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Rope::new(vec![1.0; 32], true).check(64).is_ok());
        let error = Rope::new(vec![1.0; 32], true).check(128).unwrap_err();
        assert!(
            error.to_string().contains("expected 64 for head_dim 128"),
            "{error}"
        );
        assert!(Rope::new(vec![f64::NAN; 4], true).check(8).is_err());
    }
}
