//! From values to positions.

use super::data::{Axis, AxisScale, Estimate, finite};
use super::error::FigureError;

/// Share of an axis that stays free at each end, so that no point stands on the frame.
const PADDING: f64 = 0.05;
/// A linear axis of positive values starts at zero when its least value is below this share of
/// the largest.
const NEAR_ZERO: f64 = 0.35;
/// The least value of a logarithmic axis: no metric is smaller without being zero.
const LEAST: f64 = 1e-100;
/// How far beyond its values a logarithmic axis goes for their intervals, as a factor.
const INTERVAL: f64 = 10.0;
/// Values closer than this share of them are drawn as equal: numbers that tell them apart would
/// not fit beside an axis.
pub(crate) const SAME: f64 = 1e-6;

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

    /// Whether a value lies on the axis.
    pub(crate) fn shows(&self, value: f64) -> bool {
        (self.domain.0..=self.domain.1).contains(&value)
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
    if axis.scale == AxisScale::Linear {
        return Ok(());
    }
    let place = place.to_owned();
    if value <= 0.0 {
        Err(FigureError::NotPositive { place, value })
    } else if value < LEAST {
        let (value, expected) = (format!("{value:e}"), format!("at least {LEAST:e}"));
        Err(FigureError::OutOfRange {
            place,
            value,
            expected,
        })
    } else {
        Ok(())
    }
}

/// The values that an axis reaches, for values that `check` has let through.
pub(crate) fn domain(
    axis: &Axis,
    values: impl Iterator<Item = f64>,
) -> Result<(f64, f64), FigureError> {
    domain_of(axis, values.map(Estimate::exact))
}

/// As `domain`, with room for intervals. On a logarithmic axis an interval that comes close to
/// zero would take all the room: it widens the axis by `INTERVAL` at most.
pub(crate) fn domain_of(
    axis: &Axis,
    estimates: impl Iterator<Item = Estimate>,
) -> Result<(f64, f64), FigureError> {
    for wanted in [axis.from, axis.to].into_iter().flatten() {
        check(
            axis,
            wanted,
            &format!("an end of the axis `{}`", axis.label),
        )?;
    }
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut lower, mut upper) = (low, high);
    for estimate in estimates {
        (low, high) = (low.min(estimate.value), high.max(estimate.value));
        (lower, upper) = (lower.min(estimate.low()), upper.max(estimate.high()));
    }
    let (low, high) = match axis.scale {
        AxisScale::Linear => linear_domain(lower, upper),
        AxisScale::Log | AxisScale::Log2 => {
            log_domain(lower.max(low / INTERVAL), upper.min(high * INTERVAL))
        }
    };
    // Where an end is asked for, the axis reaches it; points need no room beyond it.
    Ok((
        axis.from.map_or(low, |from| from.min(low)),
        axis.to.map_or(high, |to| to.max(high)),
    ))
}

fn log_domain(low: f64, high: f64) -> (f64, f64) {
    // All equal: a factor of two to both sides.
    let factor = if high / low > 1.0 + SAME {
        (high / low).powf(PADDING)
    } else {
        2.0
    };
    (low / factor, high * factor)
}

fn linear_domain(low: f64, high: f64) -> (f64, f64) {
    let largest = low.abs().max(high.abs());
    if largest <= 0.0 {
        return (-2.0 * PADDING, 1.0);
    }
    if high - low <= largest * SAME {
        // All equal: half of the value to both sides.
        return (low - largest / 2.0, high + largest / 2.0);
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
        for value in [0.0, 5.0, -3.0, 1e-99, 1e99] {
            let (low, high) = domain(&Axis::linear("v"), [value, value].into_iter()).unwrap();
            assert!(low < value && value < high, "{value}: {low} to {high}");
        }
    }

    #[test]
    fn an_interval_near_zero_leaves_room_for_values() {
        let near_zero = Estimate::between(0.01, 1e-12, 0.02);
        let (low, high) = domain_of(&Axis::log("v"), [near_zero].into_iter()).unwrap();
        assert!(low > 1e-4 && low < 1e-3 && high > 0.02, "{low} to {high}");
    }
}
