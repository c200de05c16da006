//! `--set PATH=VALUE` of a grid.

use crate::config::{ConfigError, from_yaml};
use serde_json::{Map, Value};
use std::str::FromStr;

/// A path into a grid's file and the value to put there.
#[derive(Debug, Clone, PartialEq)]
pub struct GridSet {
    text: String,
    keys: Vec<String>,
    value: Value,
}

impl FromStr for GridSet {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |reason: &str| ConfigError::Set {
            assignment: text.to_string(),
            reason: reason.to_string(),
        };
        let pair = text.split_once('=');
        let (path, value) = pair.ok_or_else(|| refuse("expected PATH=VALUE"))?;
        let keys: Vec<&str> = match path.trim().split_once('.') {
            // Names of axes and fields that are assigned have dots of their own.
            Some((part @ ("axes" | "baseline"), name)) => vec![part, name],
            Some(("variants", rest)) => match rest.split_once('.') {
                Some((variant, field)) => vec!["variants", variant, field],
                None => vec!["variants", rest],
            },
            Some(("search", rest)) => match rest.split_once('.') {
                Some((part @ ("tune" | "test" | "at_most"), field)) => vec!["search", part, field],
                _ => path.trim().split('.').collect(),
            },
            _ => path.trim().split('.').collect(),
        };
        if keys.iter().any(|key| key.is_empty()) {
            return Err(refuse("the path has an empty part"));
        }
        Ok(Self {
            text: text.to_string(),
            keys: keys.into_iter().map(str::to_string).collect(),
            value: from_yaml(value, "value").map_err(|error| refuse(&error.to_string()))?,
        })
    }
}

impl std::fmt::Display for GridSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl GridSet {
    /// Writes the value; what is not there yet is made, and checked when the grid is read.
    pub(super) fn apply(&self, grid: &mut Value) {
        let mut here = grid;
        for key in &self.keys {
            if !here.is_object() {
                *here = Value::Object(Map::new());
            }
            let Some(fields) = here.as_object_mut() else {
                return;
            };
            here = fields.entry(key).or_insert(Value::Null);
        }
        *here = self.value.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_go_where_the_path_says() {
        let mut grid = json!({"base": {"windows": {"count": 4}}, "seeds": 3});
        for set in [
            "base.windows.count=2",
            "seeds=[1]",
            "axes.strategy.window=[4, 8]",
        ] {
            set.parse::<GridSet>().unwrap().apply(&mut grid);
        }
        assert_eq!(
            grid,
            json!({"base": {"windows": {"count": 2}}, "seeds": [1],
                   "axes": {"strategy.window": [4, 8]}})
        );
        for wrong in ["seeds", "=3", "base..x=1"] {
            assert!(wrong.parse::<GridSet>().is_err(), "{wrong}");
        }
    }
}
