//! The key/value part of a GGUF file, read by type.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One metadata value; integers and floats are widened.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// f32 or f64.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    String(String),
    /// Values of one type.
    Array(Vec<Value>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a truth value",
            Self::String(_) => "a text",
            Self::Array(_) => "an array",
        }
    }

    /// The value as an integer, if it is one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Unsigned(value) => i64::try_from(*value).ok(),
            Self::Signed(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as a text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }
}

/// All metadata of a file. Getters give `None` for an absent key and an error for another type.
#[derive(Debug)]
pub struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Metadata read from `path`.
    #[must_use]
    pub fn new(path: &Path, values: BTreeMap<String, Value>) -> Self {
        Self {
            path: path.to_path_buf(),
            values,
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn get<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            let reason = format!("metadata `{key}` is {}, expected {expected}", value.kind());
            Error::file(&self.path, reason)
        })
    }

    /// A text.
    ///
    /// # Errors
    /// Another type.
    pub fn string(&self, key: &str) -> Result<Option<&str>> {
        self.get(key, "a text", Value::as_str)
    }

    /// A count or an id.
    ///
    /// # Errors
    /// Another type, or a negative number.
    pub fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.get(key, "a whole number from 0", |value| {
            value.as_i64().and_then(|value| usize::try_from(value).ok())
        })
    }

    /// A number.
    ///
    /// # Errors
    /// Another type.
    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number", |value| match value {
            Value::Float(value) => Some(*value),
            // Exact for every whole number a header could sensibly hold.
            #[allow(clippy::cast_precision_loss)]
            other => other.as_i64().map(|value| value as f64),
        })
    }

    /// A truth value.
    ///
    /// # Errors
    /// Another type.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.get(key, "a truth value", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A list of texts.
    ///
    /// # Errors
    /// Another type.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.get(key, "an array of texts", |value| match value {
            Value::Array(values) => values.iter().map(Value::as_str).collect(),
            _ => None,
        })
    }

    /// A list of truth values; numbers are true unless 0.
    ///
    /// # Errors
    /// Another type.
    pub fn bools(&self, key: &str) -> Result<Option<Vec<bool>>> {
        self.get(key, "an array of truth values", |value| match value {
            Value::Array(values) => values
                .iter()
                .map(|value| match value {
                    Value::Bool(value) => Some(*value),
                    other => other.as_i64().map(|value| value != 0),
                })
                .collect(),
            _ => None,
        })
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// Another type.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.get(key, "an array of numbers", |value| match value {
            Value::Array(values) => values
                .iter()
                .map(|value| match value {
                    Value::Float(value) => Some(*value),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// Another type.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.get(key, "an array of whole numbers", |value| match value {
            Value::Array(values) => values.iter().map(Value::as_i64).collect(),
            _ => None,
        })
    }

    /// `value`, or an error that names the key that is not there.
    ///
    /// # Errors
    /// An absent value.
    pub fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::file(&self.path, format!("metadata `{key}` is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_mistyped_keys_differ() {
        let values = BTreeMap::from([
            ("n".to_string(), Value::Signed(-1)),
            ("s".to_string(), Value::String("text".into())),
        ]);
        let metadata = Metadata::new(Path::new("m.gguf"), values);
        assert_eq!(metadata.usize("absent").unwrap(), None);
        assert_eq!(metadata.f64("n").unwrap(), Some(-1.0));
        let error = metadata.usize("s").unwrap_err().to_string();
        assert_eq!(
            error,
            "m.gguf: metadata `s` is a text, expected a whole number from 0"
        );
        assert!(metadata.usize("n").is_err());
        let error = metadata
            .required::<usize>("k", None)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "m.gguf: metadata `k` is missing");
    }
}
