//! The columns of a data set's rows.

use crate::error::{EvalError, Result};
use crate::rows;
use crate::task::DataFile;
use serde_json::{Map, Value};

/// One row, and where it stands.
#[derive(Debug)]
pub(super) struct Row {
    file: String,
    line: usize,
    fields: Map<String, Value>,
}

/// The rows of `files`, one file after another.
pub(super) fn rows(files: Vec<DataFile>) -> impl Iterator<Item = Result<Row>> {
    files.into_iter().flat_map(|file| {
        let name = rows::shown(&file);
        let rows: rows::Rows = match rows::read(&file) {
            Ok(rows) => rows,
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        (1..).zip(rows).map(move |(line, row)| match row? {
            Value::Object(fields) => Ok(Row {
                file: name.clone(),
                line,
                fields,
            }),
            other => Err(EvalError::Data {
                file: name.clone(),
                line: Some(line),
                reason: format!("expected an object of columns, found {}", kind(&other)),
            }),
        })
    })
}

impl Row {
    /// The value of `column`, `None` where there is no such column or it is null.
    pub(super) fn get(&self, column: &str) -> Option<&Value> {
        self.fields.get(column).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    pub(super) fn text(&self, column: &str) -> Result<&str> {
        let text = self.optional_text(column)?;
        text.ok_or_else(|| self.missing(column))
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<&str>> {
        match self.get(column) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.unfit(column, "a text", other)),
        }
    }

    /// One text or a list of them; at least one.
    pub(super) fn texts(&self, column: &str) -> Result<Vec<String>> {
        let expected = "a text or a list of texts";
        let texts = match self.get(column) {
            None => return Err(self.missing(column)),
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => {
                let text = |item: &Value| match item {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(self.unfit(column, expected, other)),
                };
                items.iter().map(text).collect::<Result<_>>()?
            }
            Some(other) => return Err(self.unfit(column, expected, other)),
        };
        if texts.is_empty() {
            return Err(self.bad(format!("column `{column}`: an empty list")));
        }
        Ok(texts)
    }

    /// A whole number that must be there.
    pub(super) fn number(&self, column: &str) -> Result<usize> {
        let number = self.optional_number(column)?;
        number.ok_or_else(|| self.missing(column))
    }

    pub(super) fn optional_number(&self, column: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(column) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(self.unfit(column, "a whole number from 0", value)),
        }
    }

    /// What identifies the row: its text or number in `column`, else its file's line.
    pub(super) fn id(&self, column: &str) -> String {
        match self.get(column) {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => self.line.to_string(),
        }
    }

    /// Something is wrong with the row.
    pub(super) fn bad(&self, reason: impl Into<String>) -> EvalError {
        EvalError::Data {
            file: self.file.clone(),
            line: Some(self.line),
            reason: reason.into(),
        }
    }

    fn missing(&self, column: &str) -> EvalError {
        let there: Vec<String> = self.fields.keys().map(|key| format!("`{key}`")).collect();
        let there = match there.as_slice() {
            [] => "none".to_owned(),
            there => there.join(", "),
        };
        self.bad(format!("no column `{column}`; there are {there}"))
    }

    fn unfit(&self, column: &str, expected: &str, found: &Value) -> EvalError {
        let found = kind(found);
        self.bad(format!(
            "column `{column}`: expected {expected}, found {found}"
        ))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: &Value) -> Row {
        Row {
            file: "x.jsonl".into(),
            line: 3,
            fields: value.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn what_is_wrong_names_file_line_and_column() {
        let row = row(&json!({"a": "x", "b": 1, "c": ["y", 2], "d": null, "e": []}));
        let error = |result: Result<()>| result.unwrap_err().to_string();
        assert_eq!(
            error(row.text("answers").map(drop)),
            "x.jsonl:3: no column `answers`; there are `a`, `b`, `c`, `d`, `e`"
        );
        assert_eq!(
            error(row.text("b").map(drop)),
            "x.jsonl:3: column `b`: expected a text, found a number"
        );
        assert_eq!(
            error(row.texts("c").map(drop)),
            "x.jsonl:3: column `c`: expected a text or a list of texts, found a number"
        );
        assert_eq!(
            error(row.texts("e").map(drop)),
            "x.jsonl:3: column `e`: an empty list"
        );
        assert_eq!(
            error(row.number("a").map(drop)),
            "x.jsonl:3: column `a`: expected a whole number from 0, found a text"
        );
        assert!(row.text("d").is_err());
        assert_eq!(row.optional_text("d").unwrap(), None);
        assert_eq!(row.texts("a").unwrap(), ["x"]);
        assert_eq!((row.id("b"), row.id("z")), ("1".into(), "3".into()));
    }
}
