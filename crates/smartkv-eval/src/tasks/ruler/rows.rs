//! The rows of a data file.

use crate::error::{EvalError, Result};
use crate::task::DataFile;
use serde_json::Value;
use std::path::Path;

/// The rows of `file`: lines, or the elements of a list, or of the list that an object holds.
pub(super) fn rows(file: &DataFile) -> Result<Vec<Value>> {
    let fail = |line, reason: String| EvalError::Data {
        file: file.path.display().to_string(),
        line,
        reason,
    };
    let text =
        std::fs::read_to_string(&file.path).map_err(|error| fail(None, error.to_string()))?;
    if Path::new(&file.name)
        .extension()
        .is_some_and(|kind| kind == "jsonl")
    {
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        let row = |(index, line)| {
            serde_json::from_str(line)
                .map_err(|error: serde_json::Error| fail(Some(index + 1), error.to_string()))
        };
        return lines.map(row).collect();
    }
    match serde_json::from_str(&text).map_err(|error| fail(None, error.to_string()))? {
        Value::Array(rows) => Ok(rows),
        Value::Object(fields) => {
            let mut lists = fields.into_iter().filter_map(|(_, value)| match value {
                Value::Array(rows) => Some(rows),
                _ => None,
            });
            lists
                .next()
                .ok_or_else(|| fail(None, "no list of rows".to_owned()))
        }
        _ => Err(fail(None, "no list of rows".to_owned())),
    }
}

/// What is wrong with row `index` of `file`.
pub(super) fn wrong(file: &DataFile, index: usize, reason: impl Into<String>) -> EvalError {
    EvalError::Data {
        file: file.path.display().to_string(),
        line: Some(index + 1),
        reason: reason.into(),
    }
}
