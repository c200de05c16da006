//! Rotary position embedding, as far as a cache must know it: to take it back.

use crate::error::{Error, Result};

/// The rotation that a host applies to keys and queries before it hands them over.
///
/// Only methods that store keys before the rotation need it
/// ([`Simulation::before_rope`](crate::simulation::Simulation::before_rope)).
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

    /// Rotates a row to its position.
    ///
    /// # Panics
    /// When the row has not [`head_dim`](Self::head_dim) channels.
    pub fn rotate(&self, row: &mut [f32], position: usize) {
        self.turn(row, position, 1.0);
    }

    /// Takes the rotation back.
    ///
    /// # Panics
    /// When the row has not [`head_dim`](Self::head_dim) channels.
    pub fn unrotate(&self, row: &mut [f32], position: usize) {
        self.turn(row, position, -1.0);
    }

    fn turn(&self, row: &mut [f32], position: usize, sign: f64) {
        assert_eq!(row.len(), self.head_dim(), "channels of a row");
        let half = self.frequencies.len();
        for (pair, frequency) in self.frequencies.iter().enumerate() {
            // In f64: at position 8000 an f32 angle is off by up to 5e-4.
            #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
            let (sin, cos) = (sign * position as f64 * frequency).sin_cos();
            let (a, b) = if self.interleaved {
                (2 * pair, 2 * pair + 1)
            } else {
                (pair, pair + half)
            };
            let (x, y) = (f64::from(row[a]), f64::from(row[b]));
            #[expect(clippy::cast_possible_truncation, reason = "rows are f32")]
            {
                row[a] = (x * cos - y * sin) as f32;
                row[b] = (x * sin + y * cos) as f32;
            }
        }
    }
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
