//! A median and how far the rounds lie apart.

use serde_json::{Value, json};
use std::fmt;

/// Values of all rounds, in order; never empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread(Vec<f64>);

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(values: Vec<f64>) -> Option<Self> {
        (!values.is_empty()).then_some(Self(values))
    }

    pub(super) fn median(&self) -> f64 {
        median(&self.0).unwrap_or(f64::NAN)
    }

    /// One value a round.
    pub(super) fn values(&self) -> &[f64] {
        &self.0
    }

    fn extremes(&self) -> (f64, f64) {
        let values = self.0.iter().copied();
        (
            values.clone().fold(f64::INFINITY, f64::min),
            values.fold(f64::NEG_INFINITY, f64::max),
        )
    }

    pub(super) fn json(&self) -> Value {
        let (min, max) = self.extremes();
        json!({ "median": self.median(), "min": min, "max": max, "rounds": self.0 })
    }
}

/// `median [least, most]`; the precision of the format goes to all three.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (min, max) = self.extremes();
        if self.0.len() == 1 {
            return write!(f, "{min:.digits$}");
        }
        write!(
            f,
            "{:.digits$} [{min:.digits$}, {max:.digits$}]",
            self.median()
        )
    }
}

/// The mean of the middle two when their number is even; `None` of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_extremes() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        let spread = Spread::of(vec![3.0, 1.0, 2.5]).unwrap();
        assert_eq!(format!("{spread:.1}"), "2.5 [1.0, 3.0]");
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
