//! One JSON value a line.

use super::{fault, without_mark};
use crate::error::{EvalError, Result};
use serde_json::Value;
use std::io::BufRead;

/// The values of the lines that are not blank.
pub(super) struct Lines {
    /// `None` once it could not be read on.
    input: Option<Box<dyn BufRead>>,
    file: String,
    line: usize,
    text: Vec<u8>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead>, file: String) -> Self {
        Self {
            input: Some(input),
            file,
            line: 0,
            text: Vec::new(),
        }
    }

    fn bad(&self, reason: String) -> EvalError {
        EvalError::Data {
            file: self.file.clone(),
            line: Some(self.line),
            reason,
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.text.clear();
            let read = self.input.as_mut()?.read_until(b'\n', &mut self.text);
            self.line += 1;
            match read {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => {
                    self.input = None;
                    return Some(Err(self.bad(error.to_string())));
                }
            }
            let text = match self.line {
                1 => without_mark(&self.text),
                _ => &self.text,
            };
            // A carriage return before the line feed is white space to JSON as well.
            let text = text.trim_ascii();
            if !text.is_empty() {
                let value = serde_json::from_slice(text);
                return Some(value.map_err(|error| self.bad(fault(&error))));
            }
        }
    }
}
