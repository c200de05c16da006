//! The vocabulary that the kinds of figures share.

use super::error::FigureError;
use serde::{Deserialize, Serialize};

/// How wide a figure is in print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// One column: 240 pt, 3.3 in.
    #[default]
    Single,
    /// Both columns: 500 pt, 6.9 in.
    Double,
}

impl Width {
    /// The width in points.
    #[must_use]
    pub fn points(self) -> f64 {
        match self {
            Self::Single => 240.0,
            Self::Double => 500.0,
        }
    }
}

/// Which end of a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better: divergence, perplexity, latency.
    #[default]
    Lower,
    /// More is better: accuracy, throughput.
    Higher,
}

/// A value with the ends of its interval, where one is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value itself.
    pub value: f64,
    /// The lower end of the interval, in the unit of the value.
    #[serde(default)]
    pub lower: Option<f64>,
    /// The upper end of the interval, in the unit of the value.
    #[serde(default)]
    pub upper: Option<f64>,
}

impl Estimate {
    /// A value without an interval.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        Self {
            value,
            lower: None,
            upper: None,
        }
    }

    /// A value with its interval.
    #[must_use]
    pub fn between(value: f64, lower: f64, upper: f64) -> Self {
        Self {
            value,
            lower: Some(lower),
            upper: Some(upper),
        }
    }

    pub(crate) fn low(&self) -> f64 {
        self.lower.unwrap_or(self.value)
    }

    pub(crate) fn high(&self) -> f64 {
        self.upper.unwrap_or(self.value)
    }

    pub(crate) fn check(&self, place: &str) -> Result<(), FigureError> {
        finite(self.value, place)?;
        if let Some(lower) = self.lower {
            finite(lower, &format!("the lower end of {place}"))?;
        }
        if let Some(upper) = self.upper {
            finite(upper, &format!("the upper end of {place}"))?;
        }
        if self.low() > self.value || self.high() < self.value {
            return Err(FigureError::OutOfRange {
                place: place.to_owned(),
                value: self.value.to_string(),
                expected: format!(
                    "a value within its interval, {} to {}",
                    self.low(),
                    self.high()
                ),
            });
        }
        Ok(())
    }
}

/// How values become positions along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisScale {
    /// Equal distances are equal differences.
    #[default]
    Linear,
    /// Equal distances are equal factors; ticks at powers of ten.
    Log,
    /// Equal distances are equal factors; ticks at powers of two.
    Log2,
}

/// How the numbers of an axis are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisFormat {
    /// As they are.
    #[default]
    Number,
    /// Counts: no tick between two whole numbers.
    Whole,
    /// A share as per cent: 0.25 is 25%.
    Percent,
    /// Bytes in one binary unit, which is added to the label.
    Bytes,
    /// Token counts: multiples of 1024 with a `k`.
    Tokens,
}

/// An axis: what it shows and how.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Axis {
    /// What is shown, with its unit.
    pub label: String,
    /// How values become positions.
    #[serde(default)]
    pub scale: AxisScale,
    /// How numbers are written.
    #[serde(default)]
    pub format: AxisFormat,
    /// A value that the axis reaches down to, whatever the data.
    #[serde(default)]
    pub from: Option<f64>,
    /// A value that the axis reaches up to, whatever the data.
    #[serde(default)]
    pub to: Option<f64>,
}

impl Axis {
    /// A linear axis of plain numbers.
    pub fn linear(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// A logarithmic axis of plain numbers.
    pub fn log(label: impl Into<String>) -> Self {
        Self {
            scale: AxisScale::Log,
            ..Self::linear(label)
        }
    }

    /// The same axis, with its numbers written in another way.
    #[must_use]
    pub fn with_format(self, format: AxisFormat) -> Self {
        Self { format, ..self }
    }
}

/// No metric is larger; sums and differences of what is smaller are finite.
const LARGEST: f64 = 1e100;

/// Refuses NaN, infinities and what is beyond any metric.
pub(crate) fn finite(value: f64, place: &str) -> Result<(), FigureError> {
    if !value.is_finite() {
        return Err(FigureError::NotFinite {
            place: place.to_owned(),
            value,
        });
    }
    if value.abs() > LARGEST {
        return Err(FigureError::OutOfRange {
            place: place.to_owned(),
            value: format!("{value:e}"),
            expected: format!("at most {LARGEST:e}"),
        });
    }
    Ok(())
}

/// Refuses two things of one name.
pub(crate) fn distinct<'a>(
    of: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), FigureError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(FigureError::SameName {
                of,
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// Refuses an empty list.
pub(crate) fn some<T>(
    items: &[T],
    figure: &'static str,
    what: &'static str,
) -> Result<(), FigureError> {
    if items.is_empty() {
        Err(FigureError::Empty { figure, what })
    } else {
        Ok(())
    }
}

/// Refuses a list of another length.
pub(crate) fn length(
    got: usize,
    expected: usize,
    of: &'static str,
    place: impl FnOnce() -> String,
) -> Result<(), FigureError> {
    if got == expected {
        Ok(())
    } else {
        Err(FigureError::Shape {
            place: place(),
            got,
            expected,
            of,
        })
    }
}
