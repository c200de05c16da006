//! A cursor over the bytes of a GGUF header that never reads past their end.

use super::metadata::Value;
use crate::error::{Error, Result};
use std::path::Path;

/// Longest array accepted. No vocabulary comes near; a corrupt count usually goes far beyond.
const MAX_ARRAY: u64 = 1 << 24;

/// Arrays of arrays deeper than this are refused, so that a file cannot exhaust the stack.
const MAX_DEPTH: usize = 4;

/// Reads little-endian values in order, naming what it was reading when the file ends.
pub(super) struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self { path, bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn fail(&self, reason: impl std::fmt::Display) -> Error {
        Error::file(self.path, reason)
    }

    fn take(&mut self, length: u64, what: &str) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(taken) = left.get(..length) else {
            return Err(self.fail(format!(
                "{what} at byte {} needs {length} bytes, but {} are left: the file is truncated or \
                 its header corrupt",
                self.at,
                left.len()
            )));
        };
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String> {
        let length = self.u64(what)?;
        let bytes = self.take(length, what)?;
        // Converters have written invalid UTF-8 into token lists; losing such a token is better
        // than losing the file.
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn value(&mut self, what: &str) -> Result<Value> {
        let kind = self.u32(what)?;
        self.value_of(kind, what, 0)
    }

    fn value_of(&mut self, kind: u32, what: &str, depth: usize) -> Result<Value> {
        Ok(match kind {
            0 => Value::Unsigned(u64::from(u8::from_le_bytes(self.array(what)?))),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.array(what)?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array(what)?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.array(what)?))),
            4 => Value::Unsigned(u64::from(self.u32(what)?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.array(what)?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array(what)?))),
            7 => match self.array::<1>(what)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(self.fail(format!("{what}: {other} is no truth value"))),
            },
            8 => Value::String(self.string(what)?),
            9 => return self.values(what, depth + 1),
            10 => Value::Unsigned(self.u64(what)?),
            11 => Value::Signed(i64::from_le_bytes(self.array(what)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(what)?)),
            other => {
                return Err(self.fail(format!(
                    "{what}: {other} is no GGUF value type (0 to 12): the header is corrupt"
                )));
            }
        })
    }

    fn values(&mut self, what: &str, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(self.fail(format!("{what}: arrays nested deeper than {MAX_DEPTH}")));
        }
        let kind = self.u32(what)?;
        let count = self.u64(what)?;
        let left = self.bytes.len() - self.at;
        if count > MAX_ARRAY || count > left as u64 {
            return Err(self.fail(format!(
                "{what}: an array of {count} values with {left} bytes left (at most {MAX_ARRAY} \
                 are accepted): the file is truncated or its header corrupt"
            )));
        }
        (0..count)
            .map(|_| self.value_of(kind, what, depth))
            .collect::<Result<_>>()
            .map(Value::Array)
    }
}
