//! What distinguishes the cells of a plan.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The axis that is averaged over; all others are what is compared.
pub const SEED: &str = "seed";

/// One value of an axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// A switch.
    Switch(bool),
    /// A number.
    Number(serde_json::Number),
    /// A name.
    Text(String),
    /// Nothing on this axis.
    None,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => on.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::None => f.write_str("none"),
        }
    }
}

impl Label {
    /// Whether `text`, as a person writes it, means this value: numbers by their value.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let number = |number: &serde_json::Number| {
            let given: Option<f64> = text.parse().ok();
            given.is_some() && given == number.as_f64()
        };
        self.to_string() == text || matches!(self, Self::Number(own) if number(own))
    }

    /// Whether both are the same value: numbers by their value, 1 and 1.0 alike.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self == other
            || matches!((self, other), (Self::Number(_), Self::Number(_)))
                && self.is(&other.to_string())
    }
}

/// The values of a cell on each axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, Label>);

impl Labels {
    /// The value on an axis; [`Label::None`] where it has none.
    #[must_use]
    pub fn get(&self, axis: &str) -> &Label {
        self.0.get(axis).unwrap_or(&Label::None)
    }

    /// Without the seed.
    #[must_use]
    pub fn without_seed(&self) -> Self {
        let mut labels = self.clone();
        labels.0.remove(SEED);
        labels
    }

    /// Whether both have the same values on all of `axes`.
    #[must_use]
    pub fn agree<'a>(&self, other: &Self, axes: impl IntoIterator<Item = &'a String>) -> bool {
        axes.into_iter()
            .all(|axis| self.get(axis).same(other.get(axis)))
    }

    /// Whether every value of `wanted` is this one's too.
    #[must_use]
    pub fn matches(&self, wanted: &Self) -> bool {
        self.agree(wanted, wanted.0.keys())
    }
}

/// `strategy=smartkv, budget=0.3`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (axis, label)) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{axis}={label}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(json: &str) -> Labels {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn numbers_are_equal_by_value() {
        let a = labels(r#"{"budget": 1, "strategy": "x", "seed": 3, "on": true, "n": null}"#);
        let b = labels(r#"{"budget": 1.0, "strategy": "x"}"#);
        assert!(a.matches(&b) && a.get("budget").is("1.00"));
        assert!(!a.matches(&labels(r#"{"budget": "1"}"#)));
        assert!(!a.get("strategy").is("1") && a.get("n").is("none"));
        assert_eq!(
            a.without_seed().to_string(),
            "budget=1, n=none, on=true, strategy=x"
        );
    }
}
