//! Rows of a data set's files: JSON values one at a time, whatever the file is.
//!
//! A row of a `.jsonl` file is a line, of a `.json` file an element of its array, of a `.parquet`
//! file a row, with its structs and lists as objects and arrays. A member of an archive is read
//! in memory: nothing is ever unpacked to disk.

mod archive;
mod json;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;

use crate::error::{EvalError, Result};
use crate::task::DataFile;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Rows in the order of the file. After a file that cannot be read on there are no more.
pub type Rows = Box<dyn Iterator<Item = Result<Value>>>;

/// Bytes read from a file at once.
const BLOCK: usize = 256 << 10;

/// The rows of `file`, told apart by the extension of its name, or of its member's.
///
/// A `.json` file holds an array, an object with one array among its fields, or one value a line.
///
/// # Errors
/// A file that is missing, of another kind, or damaged at its start; damage further on is an item,
/// and names the line or row.
pub fn read(file: &DataFile) -> Result<Rows> {
    match Kind::of(file)? {
        Kind::Lines => Ok(Box::new(lines::Lines::new(open(file)?, shown(file)))),
        Kind::Json => Ok(Box::new(
            json::rows(file, &bytes(file)?)?.into_iter().map(Ok),
        )),
        #[cfg(feature = "parquet")]
        Kind::Parquet if file.member.is_none() => {
            Ok(Box::new(parquet::ParquetRows::open(&file.path)?))
        }
        #[cfg(feature = "parquet")]
        Kind::Parquet => Err(bad(
            file,
            None,
            "parquet within an archive: unpack it first",
        )),
        #[cfg(not(feature = "parquet"))]
        Kind::Parquet => Err(bad(file, None, "built without the feature `parquet`")),
    }
}

/// All of `file` as one value, which is how nested files such as those of `SQuAD` are read. The
/// rows of a file of rows become an array.
///
/// # Errors
/// See [`read`].
pub fn whole(file: &DataFile) -> Result<Value> {
    match Kind::of(file)? {
        Kind::Json => json::whole(file, &bytes(file)?),
        Kind::Lines | Kind::Parquet => read(file)?.collect(),
    }
}

/// How rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lines,
    Json,
    Parquet,
}

impl Kind {
    fn of(file: &DataFile) -> Result<Self> {
        let name = file.member.as_deref().unwrap_or(&file.name);
        let extension = Path::new(name).extension().and_then(|e| e.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::Lines),
            Some("json") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(bad(
                file,
                None,
                "rows are read from .jsonl, .ndjson, .json and .parquet files, \
                 and from .jsonl and .json members of .zip archives",
            )),
        }
    }
}

fn open(file: &DataFile) -> Result<Box<dyn BufRead>> {
    if let Some(member) = &file.member {
        let bytes = archive::member(&file.path, member).map_err(|e| bad(file, None, e))?;
        return Ok(Box::new(Cursor::new(bytes)));
    }
    let opened = File::open(&file.path).map_err(|error| bad(file, None, error))?;
    Ok(Box::new(BufReader::with_capacity(BLOCK, opened)))
}

fn bytes(file: &DataFile) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(file)?.read_to_end(&mut bytes);
    read.map_err(|error| bad(file, None, error))?;
    Ok(bytes)
}

/// `archive.zip!member`, or the path alone.
pub(crate) fn shown(file: &DataFile) -> String {
    let path = file.path.display();
    match &file.member {
        Some(member) => format!("{path}!{member}"),
        None => path.to_string(),
    }
}

/// What is wrong with `file`, at that line or row, from 1.
pub(crate) fn bad(file: &DataFile, line: Option<usize>, reason: impl fmt::Display) -> EvalError {
    EvalError::Data {
        file: shown(file),
        line,
        reason: reason.to_string(),
    }
}

/// What is wrong with some JSON, without the place: lines are counted in the file.
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) if error.column() > 0 => format!("{reason} (column {})", error.column()),
        Some(reason) => reason.to_owned(),
        None => text,
    }
}

/// `text` without the mark that some programs begin UTF-8 files with.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
