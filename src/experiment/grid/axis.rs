//! The values of one axis: a list, a range, or named values.

use serde_json::{Map, Value};

/// One value and what cells with it are called.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) label: Value,
    pub(super) value: Value,
}

/// A field and the values it takes.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) name: String,
    pub(super) values: Values,
}

#[derive(Debug, Clone)]
pub(super) enum Values {
    /// One after another.
    Listed(Vec<Choice>),
    /// Any number between two: only a random search can draw from it.
    Between(Range),
}

/// Numbers between two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    from: f64,
    to: f64,
    log: bool,
    /// Written with whole numbers, and so it gives whole numbers.
    whole: bool,
}

impl Range {
    /// The number a share of the way from one end to the other.
    pub(super) fn at(&self, share: f64) -> Value {
        number_value(self.between(share), self.whole)
    }

    fn between(&self, share: f64) -> f64 {
        if self.log {
            (self.from.ln() + (self.to.ln() - self.from.ln()) * share).exp()
        } else {
            self.from + (self.to - self.from) * share
        }
    }

    /// How far on the way a number is; `None` outside.
    pub(super) fn share(&self, number: f64) -> Option<f64> {
        let inside = (self.from..=self.to).contains(&number);
        let way = if self.log {
            (number.ln() - self.from.ln()) / (self.to.ln() - self.from.ln())
        } else {
            (number - self.from) / (self.to - self.from)
        };
        inside.then_some(if way.is_finite() { way } else { 0.0 })
    }
}

/// Most values of one range: more is a slip of a step.
const MOST: u32 = 10_000;

impl Axis {
    /// Reads what stands under the axis' name; the error says what is wrong with it.
    pub(super) fn parse(name: &str, written: &Value) -> Result<Self, String> {
        let values = match written {
            Value::Array(list) => {
                let choice = |value: &Value| Choice {
                    label: label(value),
                    value: value.clone(),
                };
                Values::Listed(list.iter().map(choice).collect())
            }
            Value::Object(map) if is_range(map) => range(map)?,
            Value::Object(named) => {
                let choice = |(name, value): (&String, &Value)| Choice {
                    label: name.clone().into(),
                    value: value.clone(),
                };
                Values::Listed(named.iter().map(choice).collect())
            }
            other => {
                return Err(format!(
                    "{other}: expected a list of values, a range such as {{from: 0.3, to: 0.7, \
                     step: 0.1}}, or named values"
                ));
            }
        };
        if let Values::Listed(choices) = &values {
            if choices.is_empty() {
                return Err("has no values: expected at least one".to_string());
            }
            for (index, choice) in choices.iter().enumerate() {
                if choices[..index]
                    .iter()
                    .any(|other| other.label == choice.label)
                {
                    return Err(format!(
                        "the value {} stands there twice: give values names, as in \
                         {{name: value}}",
                        choice.label
                    ));
                }
            }
        }
        Ok(Self {
            name: name.to_string(),
            values,
        })
    }
}

/// What a value is called: scalars as they are, configurations by their type and fields.
fn label(value: &Value) -> Value {
    match value {
        Value::Null => "default".into(),
        Value::Object(map) => {
            let name = map.get("type").and_then(Value::as_str).unwrap_or_default();
            let fields: Vec<String> = map
                .iter()
                .filter(|(key, _)| *key != "type")
                .map(|(key, value)| format!("{key}={}", plain(&label(value))))
                .collect();
            match (name, fields.is_empty()) {
                (name, true) => name.into(),
                (name, false) => format!("{name}({})", fields.join(", ")).into(),
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| plain(&label(item))).collect();
            format!("[{}]", items.join(", ")).into()
        }
        scalar => scalar.clone(),
    }
}

/// A label as text, strings without quotes.
pub(super) fn plain(label: &Value) -> String {
    label
        .as_str()
        .map_or_else(|| label.to_string(), str::to_string)
}

/// What a range is written with.
const RANGE: [&str; 5] = ["from", "to", "step", "count", "scale"];

/// Whether it is a range and not named values, one of which may be called `from`.
fn is_range(map: &Map<String, Value>) -> bool {
    let ends = ["from", "to"].iter().filter_map(|key| map.get(*key));
    let numbers = ends.clone().all(Value::is_number) && ends.clone().count() > 0;
    numbers || (ends.count() > 0 && map.keys().all(|key| RANGE.contains(&key.as_str())))
}

fn range(map: &Map<String, Value>) -> Result<Values, String> {
    let known = RANGE;
    if let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("`{key}`: a range has {}", known.join(", ")));
    }
    let number = |key: &str| match map.get(key) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|n| n.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("`{key}` = {value}: expected a number")),
        },
    };
    let wanted = |key: &str| number(key)?.ok_or_else(|| format!("a range needs `{key}`"));
    let (from, to) = (wanted("from")?, wanted("to")?);
    if from > to {
        return Err(format!("from {from} to {to}: expected `from` at most `to`"));
    }
    let log = match map.get("scale").and_then(Value::as_str) {
        None if !map.contains_key("scale") => false,
        Some("linear") => false,
        Some("log") if from > 0.0 => true,
        Some("log") => return Err(format!("from {from} on a log scale: expected more than 0")),
        _ => return Err("`scale`: expected linear or log".to_string()),
    };
    let whole = |key: &str| map.get(key).is_none_or(|v| v.is_i64() || v.is_u64());
    let range = Range {
        from,
        to,
        log,
        whole: whole("from") && whole("to") && whole("step"),
    };
    let (step, count) = (number("step")?, number("count")?);
    let values: Vec<f64> = match (step, count) {
        (None, None) => return Ok(Values::Between(range)),
        (Some(_), Some(_)) => return Err("expected `step` or `count`, not both".to_string()),
        (Some(step), None) if log => {
            return Err(format!("`step` = {step} on a log scale: expected `count`"));
        }
        (Some(step), None) => {
            if step <= 0.0 {
                return Err(format!("`step` = {step}: expected more than 0"));
            }
            // A last step that rounding would lose.
            let last = to + step * 1e-9;
            let steps = (0..=MOST).map(|index| from + f64::from(index) * step);
            let values: Vec<f64> = steps.take_while(|value| *value <= last).collect();
            if values.len() > MOST as usize {
                return Err(format!("`step` = {step}: expected at most {MOST} values"));
            }
            values
        }
        (None, Some(count)) => {
            let Some(count) = (2..=MOST).find(|n| (f64::from(*n) - count).abs() < 1e-9) else {
                return Err(format!("`count` = {count}: expected 2 to {MOST}"));
            };
            let share = |index| f64::from(index) / f64::from(count - 1);
            (0..count)
                .map(|index| range.between(share(index)))
                .collect()
        }
    };
    let choice = |value: f64| {
        let value = number_value(value, range.whole);
        Choice {
            label: value.clone(),
            value,
        }
    };
    let mut choices: Vec<Choice> = values.into_iter().map(choice).collect();
    // Whole numbers may meet.
    choices.dedup();
    Ok(Values::Listed(choices))
}

/// A number without the last digits that arithmetic leaves: 0.3, not 0.30000000000000004.
fn number_value(value: f64, integer: bool) -> Value {
    let short = if integer {
        format!("{value:.0}")
    } else {
        // Ten digits, whatever the size.
        let short: f64 = format!("{value:.9e}").parse().unwrap_or(value);
        return short.into();
    };
    short.parse::<i64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(written: &Value) -> Vec<Value> {
        match Axis::parse("x", written).unwrap().values {
            Values::Listed(choices) => choices.into_iter().map(|c| c.label).collect(),
            Values::Between(_) => panic!("listed"),
        }
    }

    #[test]
    fn ranges_are_what_they_say() {
        assert_eq!(
            labels(&json!({"from": 0.3, "to": 0.7, "step": 0.1})),
            [json!(0.3), json!(0.4), json!(0.5), json!(0.6), json!(0.7)]
        );
        assert_eq!(
            labels(&json!({"from": 8, "to": 64, "step": 28})),
            [json!(8), json!(36), json!(64)]
        );
        assert_eq!(
            labels(&json!({"from": 1.0, "to": 2, "count": 3})),
            [json!(1.0), json!(1.5), json!(2.0)]
        );
        assert_eq!(
            labels(&json!({"from": 1, "to": 2, "count": 4})),
            [json!(1), json!(2)]
        );
        assert_eq!(
            labels(&json!({"from": 1, "to": 100, "count": 3, "scale": "log"})),
            [json!(1), json!(10), json!(100)]
        );
    }

    #[test]
    fn values_have_names() {
        assert_eq!(
            labels(&json!(["a", 1, null, {"type": "x"}, {"type": "x", "k": 2}, [1, 2]])),
            [
                json!("a"),
                json!(1),
                json!("default"),
                json!("x"),
                json!("x(k=2)"),
                json!("[1, 2]")
            ]
        );
        assert_eq!(
            labels(&json!({"one": {"type": "x"}, "two": 2})),
            [json!("one"), json!("two")]
        );
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for (written, says) in [
            (json!(3), "expected a list"),
            (json!([]), "no values"),
            (json!({}), "no values"),
            (json!([1, 1]), "twice"),
            (json!({"from": 1}), "needs `to`"),
            (json!({"from": 2, "to": 1}), "at most `to`"),
            (json!({"from": 0, "to": 1, "step": 0}), "more than 0"),
            (json!({"from": 0, "to": 1, "step": 1e-9}), "at most"),
            (json!({"from": 0, "to": 1, "count": 1}), "2 to"),
            (
                json!({"from": 0, "to": 1, "count": 3, "scale": "log"}),
                "more than 0",
            ),
            (json!({"from": 0, "to": 1, "by": 3}), "`by`"),
            (json!({"from": "a", "to": 1}), "a number"),
            (
                json!({"from": 1, "to": 2, "step": 1, "count": 3}),
                "not both",
            ),
        ] {
            let error = Axis::parse("x", &written).unwrap_err();
            assert!(error.contains(says), "{written}: {error}");
        }
    }
}
