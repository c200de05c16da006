//! One choice on each axis: what it is called and what it assigns.

use super::axis::{Axis, Values};
use serde_json::{Map, Value};

/// The axis of named variants.
pub(super) const VARIANT: &str = "variant";

/// Labels with the assignments behind them.
#[derive(Debug, Clone, Default)]
pub(super) struct Point {
    pub(super) labels: Map<String, Value>,
    pub(super) values: Vec<(String, Value)>,
}

/// Axes that advance together: one alone, or those of a zip.
pub(super) struct Together(pub(super) Vec<Axis>);

impl Together {
    pub(super) fn len(&self) -> Option<usize> {
        match &self.0.first()?.values {
            Values::Listed(choices) => Some(choices.len()),
            Values::Between(_) => None,
        }
    }

    /// The choice with these labels: its index, and for ranges without steps the share of the way.
    pub(super) fn find(&self, labels: &Map<String, Value>) -> Option<(usize, f64)> {
        let first = self.0.first()?;
        let wanted = labels.get(&first.name)?;
        match &first.values {
            Values::Listed(choices) => {
                let index = choices
                    .iter()
                    .position(|choice| same(&choice.label, wanted))?;
                Some((index, 0.0))
            }
            Values::Between(range) => Some((0, range.share(wanted.as_f64()?)?)),
        }
    }

    /// Adds the choice at `index`, or for a range without steps the number at `share` of it.
    pub(super) fn choose(&self, index: usize, share: f64, point: &mut Point) {
        for axis in &self.0 {
            let (label, value) = match &axis.values {
                Values::Listed(choices) => {
                    let choice = &choices[index];
                    (choice.label.clone(), choice.value.clone())
                }
                Values::Between(range) => {
                    let value = range.at(share);
                    (value.clone(), value)
                }
            };
            point.labels.insert(axis.name.clone(), label);
            assign(&axis.name, value, &mut point.values);
        }
    }
}

/// A variant is a mapping of paths to values; any other axis is a path itself.
pub(super) fn assign(name: &str, value: Value, values: &mut Vec<(String, Value)>) {
    match (name, value) {
        (VARIANT, Value::Object(fields)) => values.extend(fields),
        // `full: {}` may be written `full:`.
        (VARIANT, _) => {}
        (name, value) => values.push((name.to_string(), value)),
    }
}

/// `8` and `8.0` are the same number, and so is the text of a number in a name.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => a == b,
    }
}

/// What is wrong with assignments of which one is lost.
pub(super) fn assigned_twice(values: &[(String, Value)]) -> Option<String> {
    let covers = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for (index, (path, _)) in values.iter().enumerate() {
        for (earlier, _) in &values[..index] {
            // A field of what was assigned whole before is a change of it.
            // Fields of a strategy are put into whichever it is.
            if covers(path, earlier) && !(path == "strategy" && earlier != path) {
                return Some(if path == earlier {
                    format!("`{path}` is assigned twice")
                } else {
                    format!("`{earlier}` is assigned and then `{path}` as a whole")
                });
            }
        }
    }
    None
}
