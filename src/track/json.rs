//! JSON with the numbers that JSON lacks: `NaN`, `Infinity` and `-Infinity` stand bare, as the
//! W&B client writes them and its server reads them.

use std::fmt;

/// Fields in their order.
pub type Row = Vec<(String, Json)>;

/// A value that may hold any float.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that may exceed `i64`.
    Unsigned(u64),
    /// Any float; written so that it reads back to the bit.
    Float(f64),
    /// Text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Row),
}

impl Json {
    /// A value as `serde` sees it; unlike with `serde_json`, floats that are not finite stay.
    ///
    /// # Errors
    /// Whatever the value's own `Serialize` refuses.
    pub fn of(value: &(impl serde::Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        value.serialize(super::serialize::ToJson)
    }

    /// The field `name` of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The elements of an array; nothing for anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Unsigned(value as u64)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Float(value) if value.is_nan() => f.write_str("NaN"),
            Self::Float(value) if value.is_infinite() && *value > 0.0 => f.write_str("Infinity"),
            Self::Float(value) if value.is_infinite() => f.write_str("-Infinity"),
            Self::Float(value) => f.write_str(&finite(*value)),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (index, (key, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{value}", quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// The shortest text that reads back to the same float.
fn finite(value: f64) -> String {
    serde_json::Value::from(value).to_string()
}

/// A text with quotes and escapes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object of values that are JSON already.
pub(super) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let fields = fields
        .into_iter()
        .map(|(key, value)| format!("{}:{value}", quoted(key)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Unit,
        Pair(u8, f32),
        Named { x: f64 },
    }

    #[derive(Serialize)]
    struct Sample {
        name: &'static str,
        lost: f64,
        best: Option<f64>,
        none: Option<u8>,
        big: u64,
        kinds: Vec<Kind>,
        by_length: std::collections::BTreeMap<u32, f64>,
    }

    #[test]
    fn floats_that_json_lacks_stand_bare() {
        let sample = Sample {
            name: "a \"b\"\n",
            lost: f64::NAN,
            best: Some(f64::INFINITY),
            none: None,
            big: u64::MAX,
            kinds: vec![
                Kind::Unit,
                Kind::Pair(1, 0.5),
                Kind::Named {
                    x: f64::NEG_INFINITY,
                },
            ],
            by_length: [(512, 0.1)].into(),
        };
        assert_eq!(
            Json::of(&sample).unwrap().to_string(),
            r#"{"name":"a \"b\"\n","lost":NaN,"best":Infinity,"none":null,"#.to_owned()
                + r#""big":18446744073709551615,"kinds":["unit",{"pair":[1,0.5]},"#
                + r#"{"named":{"x":-Infinity}}],"by_length":{"512":0.1}}"#
        );
    }

    #[test]
    fn finite_values_are_written_as_serde_json_writes_them() {
        let value = serde_json::json!({
            "a": [1, -2, 0.1, 1e-300, 1e300, 1_152_921_504_606_846_976_i64, "ü\u{1}", true, null],
            "b": {"c": {}, "d": []},
        });
        assert_eq!(Json::of(&value).unwrap().to_string(), value.to_string());
        assert_eq!(object([("a\"", "NaN"), ("b", "1")]), r#"{"a\"":NaN,"b":1}"#);
    }
}
