//! Typed access to the keys of a `config.json`.

use crate::error::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// An object of a config. A key that is absent or `null` is not there.
#[derive(Clone, Copy)]
pub(super) struct Config<'a> {
    path: &'a Path,
    values: &'a Value,
}

impl<'a> Config<'a> {
    pub(super) fn new(path: &'a Path, values: &'a Value) -> Self {
        Self { path, values }
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there, `null` included: where absent means a default.
    pub(super) fn says(&self, key: &str) -> bool {
        self.values.get(key).is_some()
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        let reason = format!("`{key}` is {value}, expected {expected}");
        Error::file(self.path, reason)
    }

    fn missing(&self, key: &str) -> Error {
        Error::file(self.path, format!("not a model's config: missing `{key}`"))
    }

    /// A key that must be there, as one of the readers below read it.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl Fn(&Self, &str) -> Result<Option<T>>,
    ) -> Result<T> {
        read(self, key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or_else(|| self.wrong(key, value, "a whole number"));
        count.map(Some)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value.as_f64();
        number
            .ok_or_else(|| self.wrong(key, value, "a number"))
            .map(Some)
    }

    /// A number that is held as f32.
    pub(super) fn float(&self, key: &str) -> Result<Option<f32>> {
        #[expect(clippy::cast_possible_truncation, reason = "f32 is what is asked for")]
        Ok(self.number(key)?.map(|number| number as f32))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let flag = value.as_bool();
        flag.ok_or_else(|| self.wrong(key, value, "true or false"))
            .map(Some)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let text = value.as_str();
        text.ok_or_else(|| self.wrong(key, value, "a text"))
            .map(Some)
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.list(key, Value::as_f64, "a list of numbers")
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        self.list(key, Value::as_str, "a list of texts")
    }

    fn list<T>(
        &self,
        key: &str,
        read: impl Fn(&'a Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let items = value.as_array();
        let items = items.and_then(|items| items.iter().map(read).collect::<Option<Vec<T>>>());
        items
            .ok_or_else(|| self.wrong(key, value, expected))
            .map(Some)
    }

    /// An object within this one.
    pub(super) fn object(&self, key: &str) -> Result<Option<Self>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        if !value.is_object() {
            return Err(self.wrong(key, value, "an object"));
        }
        Ok(Some(Self {
            path: self.path,
            values: value,
        }))
    }
}
