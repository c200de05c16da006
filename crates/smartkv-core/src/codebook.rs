//! Non-uniform levels for codes of 2, 3 or 4 bits.

use crate::error::{Error, Result};
use crate::format::Bits;
use serde::{Deserialize, Serialize};

/// Levels of the codes of a non-uniform format, rising, as integers of -128 to 127 in units of
/// the group's scale: the first `2^bits` count. The scale maps the largest magnitude onto the
/// outermost level, so the levels matter only in proportion.
///
/// A codebook for a known distribution says how far its outermost level reaches instead, in root
/// mean squares of the group ([`gaussian`](Self::gaussian)); values beyond it clip.
///
/// Levels of 8 bits are finer than what 4-bit codes can tell apart, and let kernels multiply them
/// as integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Codebook {
    levels: [i8; 16],
    /// Magnitude of level 127 in thousandths of the root mean square; 0 is the largest magnitude.
    #[serde(default, skip_serializing_if = "is_zero")]
    reach: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(reach: &u16) -> bool {
    *reach == 0
}

/// Expected range of 64 standard normal values, the channels of a small head. The ranges of rows
/// in f16 and on even grids are measured: for these levels only the root mean square is known.
const GAUSSIAN_RANGE: f32 = 4.74;

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
        Ok(Self {
            levels: book,
            reach: 0,
        })
    }

    /// The levels with the least squared error for normally distributed values (Lloyd and Max),
    /// scaled by the root mean square of a group: what `TurboQuant` stores of randomly rotated
    /// rows (arXiv 2504.19874).
    ///
    /// # Errors
    /// Any width but 2, 3 and 4 bits.
    pub fn gaussian(bits: Bits) -> Result<Self> {
        // The positive half of the symmetric solutions (Max, 1960, table I).
        let half: &[f32] = match bits {
            Bits::B2 => &[0.4528, 1.5104],
            Bits::B3 => &[0.2451, 0.7560, 1.3439, 2.1519],
            Bits::B4 => &[
                0.1284, 0.3880, 0.6568, 0.9423, 1.2562, 1.6181, 2.0690, 2.7326,
            ],
            _ => {
                let expected = "expected 2, 3 or 4 bits with a codebook";
                return Err(Error::parameter("bits", bits.count(), expected));
            }
        };
        let levels: Vec<f32> = half
            .iter()
            .rev()
            .map(|v| -v)
            .chain(half.iter().copied())
            .collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few thousand"
        )]
        let reach = (half[half.len() - 1] * 1000.0).round() as u16;
        Ok(Self {
            reach,
            ..Self::new(&levels)?
        })
    }

    /// Magnitude of level 127 in root mean squares of a group; `None` when a group's largest
    /// magnitude decides.
    #[must_use]
    pub fn reach(&self) -> Option<f32> {
        (self.reach > 0).then(|| f32::from(self.reach) / 1000.0)
    }

    /// All levels: those of codes beyond the width are not used.
    #[must_use]
    pub fn levels(&self) -> &[i8; 16] {
        &self.levels
    }

    /// The levels of codes of this width, rising.
    #[must_use]
    pub fn of(&self, bits: Bits) -> &[i8] {
        &self.levels[..=(bits.max_code() as usize).min(15)]
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

    /// Range of a group in levels: the distance of the outermost; where a group's root mean square
    /// decides, [`GAUSSIAN_RANGE`] of those, so that a range means the same in every width.
    pub(crate) fn span(&self, bits: Bits) -> f32 {
        if let Some(reach) = self.reach() {
            return GAUSSIAN_RANGE * 127.0 / reach;
        }
        let levels = self.of(bits);
        f32::from(levels[levels.len() - 1]) - f32::from(levels[0])
    }

    /// See [`crate::Format::loss`].
    pub(crate) fn loss(&self, bits: Bits) -> f32 {
        if let Some(reach) = self.reach() {
            return self.gaussian_loss(bits, reach);
        }
        // A value between two levels is off by up to half their distance: a third of its square
        // on average.
        let cubes: f32 = self
            .of(bits)
            .windows(2)
            .map(|pair| (f32::from(pair[1]) - f32::from(pair[0])).powi(3))
            .sum();
        cubes / 12.0 / self.span(bits).powi(3)
    }

    /// Mean squared error of a standard normal value, per squared range of a group of them.
    fn gaussian_loss(&self, bits: Bits, reach: f32) -> f32 {
        const STEPS: u16 = 512;
        let unit = reach / 127.0;
        let (mut error, mut mass) = (0.0, 0.0);
        for step in 0..=STEPS {
            let x = f32::from(step) / f32::from(STEPS) * 10.0 - 5.0;
            let density = (-0.5 * x * x).exp();
            let level = self.levels[usize::from(self.nearest(bits, x / unit))];
            error += density * (x - unit * f32::from(level)).powi(2);
            mass += density;
        }
        error / mass / GAUSSIAN_RANGE.powi(2)
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
    fn gaussian_levels_lose_what_the_tables_say() {
        // Mean squared error of the optimal quantiser of a unit Gaussian (Max, 1960, table I).
        for (bits, expected) in [
            (Bits::B2, 0.1175),
            (Bits::B3, 0.03454),
            (Bits::B4, 0.009_497),
        ] {
            let book = Codebook::gaussian(bits).unwrap();
            let loss = book.loss(bits) * GAUSSIAN_RANGE.powi(2);
            assert!((loss / expected - 1.0).abs() < 0.02, "{bits:?}: {loss}");
        }
        assert!(Codebook::gaussian(Bits::B8).is_err());
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
        let one_sided = Codebook {
            levels: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            reach: 0,
        };
        let format = crate::Format::symmetric(Bits::B4, 0).with_codebook(one_sided);
        assert!(format.check(64).is_err(), "no level below zero");
    }
}
