//! `--set path=value`: one field of a configuration, from the command line.

use super::{ConfigError, from_yaml};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// A dotted path and the value to put there. Values are read as YAML: `0.95`, `true`, `[8, 4]`,
/// `{type: random}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    path: String,
    value: Value,
    text: String,
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Assignment {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError::Set {
            assignment: text.to_string(),
            reason,
        };
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| refuse("expected PATH=VALUE".to_string()))?;
        let path = path.trim().trim_start_matches("strategy.");
        if path.is_empty() || path.split('.').any(str::is_empty) {
            return Err(refuse("the path has an empty part".to_string()));
        }
        let value = from_yaml(value, "value").map_err(|e| refuse(e.to_string()))?;
        Ok(Self {
            path: path.to_string(),
            value,
            text: text.to_string(),
        })
    }
}

impl Assignment {
    /// An assignment of a value that is one already.
    ///
    /// # Errors
    /// A path with an empty part.
    pub fn new(path: &str, value: Value) -> Result<Self, ConfigError> {
        let text = format!("{path}={value}");
        let path = path.trim_start_matches("strategy.");
        if path.is_empty() || path.split('.').any(str::is_empty) {
            return Err(ConfigError::Set {
                assignment: text,
                reason: "the path has an empty part".to_string(),
            });
        }
        Ok(Self {
            path: path.to_string(),
            value,
            text,
        })
    }

    /// The assignment as one of the task `name`'s, if it is: its path begins with `task.`, and, where
    /// several tasks are run, with the task's name after that.
    #[must_use]
    pub fn of_task(&self, name: &str, only: bool) -> Option<Self> {
        let path = self.path.strip_prefix("task.")?;
        let own = path
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'));
        let path = own.or(only.then_some(path))?;
        Some(Self {
            path: path.to_string(),
            ..self.clone()
        })
    }

    /// Whether the assignment is for a task.
    #[must_use]
    pub fn is_for_task(&self) -> bool {
        self.path.starts_with("task.")
    }

    /// Writes the value into `config`. Every part of the path must exist already: `config` holds
    /// all fields with their defaults.
    ///
    /// # Errors
    /// A path that names no field; the message lists those there are.
    pub fn apply(&self, config: &mut Value) -> Result<(), ConfigError> {
        let refuse = |reason: String| ConfigError::Set {
            assignment: self.text.clone(),
            reason,
        };
        let mut here = config;
        let mut parts = self.path.split('.').peekable();
        while let Some(part) = parts.next() {
            let Some(object) = here.as_object_mut() else {
                return Err(refuse(format!(
                    "`{part}` is inside a value that has no fields"
                )));
            };
            if !object.contains_key(part) {
                return Err(refuse(unknown(part, object)));
            }
            let slot = object.entry(part).or_insert(Value::Null);
            if parts.peek().is_none() {
                // A part is exchanged by its name: `tracker=ema` for `tracker={type: ema}`.
                let named = slot.get("type").is_some() && self.value.is_string();
                *slot = if named {
                    serde_json::json!({ "type": self.value })
                } else {
                    self.value.clone()
                };
                return Ok(());
            }
            here = slot;
        }
        Ok(())
    }
}

impl Assignment {
    /// The value was put in its place, and the strategy does not take it there.
    pub(super) fn refused(&self, before: &Value, expected: &str) -> ConfigError {
        let pointer = format!("/{}", self.path.replace('.', "/"));
        let was = before
            .pointer(&pointer)
            .filter(|value| !value.is_object())
            .map_or_else(String::new, |value| format!(" (it was {value})"));
        ConfigError::Set {
            assignment: self.text.clone(),
            reason: format!("{expected}{was}"),
        }
    }
}

fn unknown(part: &str, object: &Map<String, Value>) -> String {
    let known: Vec<&str> = object
        .keys()
        .map(String::as_str)
        .filter(|k| *k != "type")
        .collect();
    let nearest = smartkv_core::registry::nearest(part, known.iter().copied())
        .map_or_else(String::new, |name| format!(": did you mean `{name}`?"));
    format!("no field `{part}`{nearest} (fields: {})", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reaches_any_depth_and_reads_yaml_values() {
        let mut config = json!({"type": "s", "tracker": {"type": "ema", "decay": 0.9}, "bits": []});
        for text in ["strategy.tracker.decay=0.95", "bits=[[8, 4]]"] {
            text.parse::<Assignment>()
                .unwrap()
                .apply(&mut config)
                .unwrap();
        }
        assert_eq!(config["tracker"]["decay"], 0.95);
        assert_eq!(config["bits"], json!([[8, 4]]));
        "tracker=none"
            .parse::<Assignment>()
            .unwrap()
            .apply(&mut config)
            .unwrap();
        assert_eq!(config["tracker"], json!({"type": "none"}));
    }

    #[test]
    fn names_the_fields_there_are() {
        let mut config = json!({"type": "s", "window": 3});
        let error = "windw=3"
            .parse::<Assignment>()
            .unwrap()
            .apply(&mut config)
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `window`"), "{error}");
        assert!("window".parse::<Assignment>().is_err());
        assert!("=3".parse::<Assignment>().is_err());
    }
}
