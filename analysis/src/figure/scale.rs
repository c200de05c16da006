//! From values to positions.

use super::data::{Axis, AxisScale, finite};
use super::error::FigureError;

/// Share of an axis that stays free at each end, so that no point stands on the frame.
const PADDING: f64 = 0.05;
/// A linear axis of positive values starts at zero when its least value is below this share of
/// the largest.
const NEAR_ZERO: f64 = 0.35;

/// An axis between two positions on the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    kind: AxisScale,
    /// Values at the ends.
    pub(crate) domain: (f64, f64),
    /// Positions of the ends, in points; they may run downwards.
    range: (f64, f64),
}

impl Scale {
    /// An axis exactly between two values.
    pub(crate) fn exact(kind: AxisScale, domain: (f64, f64), range: (f64, f64)) -> Self {
        Self {
            kind,
            domain,
            range,
        }
    }

    /// The same axis at another place.
    pub(crate) fn at(self, range: (f64, f64)) -> Self {
        Self { range, ..self }
    }

    pub(crate) fn position(&self, value: f64) -> f64 {
        let (low, high) = (self.along(self.domain.0), self.along(self.domain.1));
        self.range.0 + (self.along(value) - low) / (high - low) * (self.range.1 - self.range.0)
    }

    /// As `position`, for the end of an interval that may leave the axis.
    pub(crate) fn clamped(&self, value: f64) -> f64 {
        if self.kind != AxisScale::Linear && value <= 0.0 {
            return self.range.0;
        }
        self.position(value.clamp(self.domain.0, self.domain.1))
    }

    fn along(&self, value: f64) -> f64 {
        match self.kind {
            AxisScale::Linear => value,
            AxisScale::Log | AxisScale::Log2 => value.ln(),
        }
    }
}

/// Refuses values that the axis cannot show.
pub(crate) fn check(axis: &Axis, value: f64, place: &str) -> Result<(), FigureError> {
    finite(value, place)?;
    if axis.scale != AxisScale::Linear && value <= 0.0 {
        return Err(FigureError::NotPositive {
            place: place.to_owned(),
            value,
        });
    }
    Ok(())
}

/// The values that an axis reaches, for data that `check` has let through.
///
/// Ends of intervals that a logarithmic axis cannot show do not widen it.
pub(crate) fn domain(
    axis: &Axis,
    values: impl Iterator<Item = f64>,
) -> Result<(f64, f64), FigureError> {
    let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
    for wanted in [axis.from, axis.to].into_iter().flatten() {
        check(
            axis,
            wanted,
            &format!("an end of the axis `{}`", axis.label),
        )?;
    }
    let wanted = axis.from.into_iter().chain(axis.to);
    for value in values.chain(wanted) {
        if axis.scale == AxisScale::Linear || value > 0.0 {
            ends = (ends.0.min(value), ends.1.max(value));
        }
    }
    let (low, high) = ends;
    if axis.scale == AxisScale::Linear {
        return Ok(linear_domain(low, high));
    }
    // All equal: a factor of two to both sides.
    let factor = if high / low > 1.0 + 1e-9 {
        (high / low).powf(PADDING)
    } else {
        2.0
    };
    Ok((
        (low / factor).max(f64::MIN_POSITIVE),
        (high * factor).min(f64::MAX),
    ))
}

fn linear_domain(low: f64, high: f64) -> (f64, f64) {
    let largest = low.abs().max(high.abs());
    if high - low <= largest * 1e-9 {
        // All equal: half of the value to both sides, or one around zero.
        let around = if largest > 0.0 { largest / 2.0 } else { 1.0 };
        return (low - around, high + around);
    }
    let from_zero = low > 0.0 && low < NEAR_ZERO * high;
    let start = if from_zero { 0.0 } else { low };
    let padding = (high - start) * PADDING;
    (
        if from_zero { 0.0 } else { start - padding },
        high + padding,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every value lies strictly between the ends of its axis, whatever the data.
        #[test]
        fn no_point_stands_on_the_frame(
            values in proptest::collection::vec(1e-12_f64..1e12, 1..20),
            log in any::<bool>(),
        ) {
            let axis = if log { Axis::log("v") } else { Axis::linear("v") };
            let ends = domain(&axis, values.iter().copied()).unwrap();
            let scale = Scale::exact(axis.scale, ends, (10.0, 110.0));
            for value in values {
                let place = scale.position(value);
                prop_assert!(place > 10.0 && place < 110.0, "{value} at {place}");
            }
        }
    }

    #[test]
    fn equal_values_get_a_range() {
        for value in [0.0, 5.0, -3.0, 1e-300, 1e300] {
            let (low, high) = domain(&Axis::linear("v"), [value, value].into_iter()).unwrap();
            assert!(low < value && value < high, "{value}: {low} to {high}");
        }
    }
}
