//! Which numbers a parameter takes.

use serde_json::{Value, json};
use std::fmt;

/// An interval of numbers, from `#[range(…)]` on a parameter. NaN and infinities lie in none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end; `-∞` when there is none.
    pub from: f64,
    /// Whether the lower end itself is left out.
    pub above: bool,
    /// Upper end; `∞` when there is none.
    pub to: f64,
    /// Whether the upper end itself is left out.
    pub below: bool,
}

impl Range {
    /// Whether `number` lies within.
    #[must_use]
    pub fn contains(&self, number: f64) -> bool {
        let from = number > self.from || (!self.above && number >= self.from);
        let to = number < self.to || (!self.below && number <= self.to);
        number.is_finite() && from && to
    }

    /// Writes the bounds into the JSON schema of a number, or of what numbers are in.
    pub(crate) fn constrain(&self, schema: &mut Value) {
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        let whole = object.get("type") == Some(&json!("integer"));
        if whole || object.get("type") == Some(&json!("number")) {
            let mut bound = |limit: f64, open, closed_key: &str, open_key: &str| {
                if limit.is_finite() {
                    object.remove(closed_key);
                    let key = if open { open_key } else { closed_key };
                    object.insert(key.to_string(), number(limit, whole));
                }
            };
            bound(self.from, self.above, "minimum", "exclusiveMinimum");
            bound(self.to, self.below, "maximum", "exclusiveMaximum");
            return;
        }
        if let Some(items) = object.get_mut("items") {
            self.constrain(items);
        }
        if let Some(Value::Array(parts)) = object.get_mut("anyOf") {
            parts.iter_mut().for_each(|part| self.constrain(part));
        }
    }
}

/// Bounds of integers are written as such.
fn number(limit: f64, whole: bool) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounds of integers are small"
    )]
    if whole && limit.fract() == 0.0 {
        json!(limit as i64)
    } else {
        json!(limit)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            above,
            to,
            below,
        } = *self;
        match (from.is_finite(), to.is_finite()) {
            (true, true) => {
                let above = if above { "above " } else { "" };
                let below = if below { "below " } else { "" };
                write!(f, "{above}{from} to {below}{to}")
            }
            (true, false) if above => write!(f, "above {from}"),
            (true, false) => write!(f, "at least {from}"),
            (false, true) if below => write!(f, "below {to}"),
            (false, true) => write!(f, "at most {to}"),
            (false, false) => write!(f, "a finite number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Range = Range {
        from: 0.0,
        above: false,
        to: 1.0,
        below: true,
    };

    #[test]
    fn ends_are_in_or_out_as_written_and_nan_is_out() {
        let from_above = Range {
            above: true,
            below: false,
            ..UNIT
        };
        assert!(UNIT.contains(0.0) && !UNIT.contains(1.0));
        assert!(!from_above.contains(0.0) && from_above.contains(1.0));
        let all = Range {
            from: f64::NEG_INFINITY,
            to: f64::INFINITY,
            above: false,
            below: false,
        };
        for range in [UNIT, from_above, all] {
            assert!(!range.contains(f64::NAN), "{range}");
            assert!(!range.contains(f64::INFINITY), "{range}");
        }
    }

    #[test]
    fn people_read_it_in_words() {
        let positive = Range {
            from: 1.0,
            to: f64::INFINITY,
            ..UNIT
        };
        let above = Range {
            above: true,
            ..positive
        };
        assert_eq!(UNIT.to_string(), "0 to below 1");
        assert_eq!(positive.to_string(), "at least 1");
        assert_eq!(above.to_string(), "above 1");
    }

    #[test]
    fn schemas_of_numbers_in_lists_are_bounded() {
        let mut schema = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
        UNIT.constrain(&mut schema);
        let expected = json!({"type": "integer", "minimum": 0, "exclusiveMaximum": 1});
        assert_eq!(schema["items"], expected);
    }
}
