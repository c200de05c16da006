//! Files that are one JSON value, or several one after another.

use super::{bad, fault, without_mark};
use crate::error::{EvalError, Result};
use crate::task::DataFile;
use serde_json::{Deserializer, Value};

/// The one value of a file.
pub(super) fn whole(file: &DataFile, text: Vec<u8>) -> Result<Value> {
    let mut values = values(file, text)?;
    match (values.pop(), values.len()) {
        (Some(value), 0) => Ok(value),
        (Some(value), _) => {
            values.push(value);
            Ok(Value::Array(values))
        }
        (None, _) => Err(bad(file, None, "it is empty")),
    }
}

/// The rows of a file.
pub(super) fn rows(file: &DataFile, text: Vec<u8>) -> Result<Vec<Value>> {
    match whole(file, text)? {
        Value::Array(rows) => Ok(rows),
        Value::Object(fields) => {
            let total = fields.len();
            let mut arrays: Vec<(String, Value)> = fields
                .into_iter()
                .filter(|(_, value)| value.is_array())
                .collect();
            match (arrays.pop(), arrays.len()) {
                (Some((_, Value::Array(rows))), 0) => Ok(rows),
                (None, _) => {
                    // A file of one row, written as lines would be.
                    let reason = format!("an object of {total} fields, none of them an array");
                    Err(bad(file, None, reason))
                }
                (Some(last), _) => {
                    let mut names: Vec<&str> = arrays.iter().map(|(name, _)| &**name).collect();
                    names.push(&last.0);
                    let reason = format!("several arrays: {}; expected one", names.join(", "));
                    Err(bad(file, None, reason))
                }
            }
        }
        _ => Err(bad(file, None, "neither an array nor an object")),
    }
}

/// The values that stand one after another: many files called `.json` hold one a line.
fn values(file: &DataFile, text: Vec<u8>) -> Result<Vec<Value>> {
    let at = |error: serde_json::Error| -> EvalError {
        let line = (error.line() > 0).then(|| error.line());
        bad(file, line, fault(&error))
    };
    Deserializer::from_slice(without_mark(&text))
        .into_iter()
        .map(|value| value.map_err(at))
        .collect()
}
