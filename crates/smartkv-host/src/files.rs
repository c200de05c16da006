//! Small text files beside the weights.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::path::Path;

/// The text of `path`.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io(path, error))
}

/// The JSON in `path`, as `T`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::file(path, format!("not the JSON expected: {error}")))
}
