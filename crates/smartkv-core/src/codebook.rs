//! Non-uniform levels for codes of 2, 3 or 4 bits.

use crate::error::{Error, Result};
use crate::format::Bits;
use serde::{Deserialize, Serialize};

/// Levels of the codes of a non-uniform format, rising, as integers of -128 to 127 in units of
/// the group's scale: the first `2^bits` count. The scale maps the largest magnitude onto the
/// outermost level, so the levels matter only in proportion.
///
/// Levels of 8 bits are finer than what 4-bit codes can tell apart, and let kernels multiply them
/// as integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Codebook([i8; 16]);

impl Codebook {
    /// A codebook from its levels, scaled so that the outermost is ±127.
    ///
    /// # Errors
    /// Any number of levels but 4, 8 or 16, values that are not finite or do not rise, levels
    /// that round to the same integer, or no level on either side of zero.
    pub fn new(levels: &[f32]) -> Result<Self> {
        let refuse = |reason| Err(Error::parameter("codebook", format!("{levels:?}"), reason));
        if !matches!(levels.len(), 4 | 8 | 16) {
            return refuse("expected 4, 8 or 16 levels");
        }
        let largest = levels.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        if !largest.is_finite() || largest <= 0.0 || levels.iter().any(|v| v.is_nan()) {
            return refuse("expected finite levels, not all zero");
        }
        let mut book = [i8::MAX; 16];
        for (entry, level) in book.iter_mut().zip(levels) {
            #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
            let rounded = (level / largest * 127.0).round() as i8;
            *entry = rounded;
        }
        if !book[..levels.len()].is_sorted_by(|a, b| a < b) {
            return refuse("expected rising levels, at least 1/127 of the largest apart");
        }
        if book[0] >= 0 || book[levels.len() - 1] <= 0 {
            return refuse("expected levels on both sides of zero");
        }
        Ok(Self(book))
    }

    /// All levels: those of codes beyond the width are not used.
    #[must_use]
    pub fn levels(&self) -> &[i8; 16] {
        &self.0
    }

    /// The levels of codes of this width, rising.
    #[must_use]
    pub fn of(&self, bits: Bits) -> &[i8] {
        &self.0[..=(bits.max_code() as usize).min(15)]
    }

    /// The code of the level nearest to `value`; of two as near, the lower.
    #[must_use]
    pub fn nearest(&self, bits: Bits, value: f32) -> u8 {
        let above = self
            .of(bits)
            .windows(2)
            .take_while(|pair| value > 0.5 * (f32::from(pair[0]) + f32::from(pair[1])));
        u8::try_from(above.count()).unwrap_or(u8::MAX)
    }

    /// Distance of the outermost levels.
    pub(crate) fn span(&self, bits: Bits) -> f32 {
        let levels = self.of(bits);
        f32::from(levels[levels.len() - 1]) - f32::from(levels[0])
    }

    /// See [`crate::Format::loss`].
    pub(crate) fn loss(&self, bits: Bits) -> f32 {
        // A value between two levels is off by up to half their distance: a third of its square
        // on average.
        let cubes: f32 = self
            .of(bits)
            .windows(2)
            .map(|pair| (f32::from(pair[1]) - f32::from(pair[0])).powi(3))
            .sum();
        cubes / 12.0 / self.span(bits).powi(3)
    }

    pub(crate) fn check(&self, bits: Bits) -> Result<()> {
        let levels = self.of(bits);
        let refuse = |reason| {
            let levels = format!("{levels:?}");
            Err(Error::parameter("codebook", levels, reason))
        };
        if !levels.is_sorted_by(|a, b| a < b) {
            return refuse("expected one rising level a code");
        }
        // Levels that were read from a file did not come from `new`.
        if levels[0] >= 0 || levels[levels.len() - 1] <= 0 {
            return refuse("expected levels on both sides of zero");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_scaled_and_rounded() {
        let book = Codebook::new(&[-1.5, -0.4, 0.4, 1.5]).unwrap();
        assert_eq!(book.of(Bits::B2), [-127, -34, 34, 127]);
        let nearest = |v| book.nearest(Bits::B2, v);
        assert_eq!(
            [-500.0, -81.0, -80.0, 0.0, 0.1, 500.0].map(nearest),
            [0, 0, 1, 1, 2, 3]
        );
    }

    #[test]
    fn a_uniform_codebook_loses_what_a_uniform_grid_loses() {
        let levels: Vec<f32> = (0..16u8).map(|i| f32::from(i) - 7.5).collect();
        let format = crate::Format::symmetric(Bits::B4, 0);
        let book = format.with_codebook(Codebook::new(&levels).unwrap());
        assert!((book.loss() / format.loss() - 1.0).abs() < 0.01);
    }

    #[test]
    fn impossible_levels_are_refused() {
        for levels in [
            &[1.0, 2.0][..],
            &[-1.0, 0.0, 0.0, 1.0],
            &[0.1, 0.2, 0.3, 0.4],
            &[-1.0, f32::NAN, 0.5, 1.0],
            &[0.0; 4],
        ] {
            assert!(Codebook::new(levels).is_err(), "{levels:?}");
        }
        let four = Codebook::new(&[-1.0, -0.5, 0.5, 1.0]).unwrap();
        let format = crate::Format::symmetric(Bits::B4, 0).with_codebook(four);
        assert!(format.check(64).is_err(), "four levels for sixteen codes");
        let one_sided = Codebook([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let format = crate::Format::symmetric(Bits::B4, 0).with_codebook(one_sided);
        assert!(format.check(64).is_err(), "no level below zero");
    }
}
