//! Parquet files, row by row.

use crate::error::{EvalError, Result};
use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};
use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The rows of a file as JSON objects.
pub(super) struct ParquetRows {
    /// `None` after a row that could not be read: the place of the next is lost with it.
    rows: Option<RowIter<'static>>,
    file: String,
    row: usize,
}

impl ParquetRows {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let bad = |reason: String| EvalError::Data {
            file: file.clone(),
            line: None,
            reason,
        };
        let opened = File::open(path).map_err(|error| bad(error.to_string()))?;
        let reader = guarded(|| SerializedFileReader::new(opened)).map_err(bad)?;
        let rows = Some(RowIter::from_file_into(Box::new(reader)));
        Ok(Self { rows, file, row: 0 })
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        self.row += 1;
        let row = guarded(|| {
            let row = rows.next().transpose().map_err(|error| error.to_string())?;
            row.map(object).transpose()
        });
        let row = row.transpose()?;
        if row.is_err() {
            self.rows = None;
        }
        Some(row.map_err(|reason| EvalError::Data {
            file: self.file.clone(),
            line: Some(self.row),
            reason,
        }))
    }
}

/// What `read` gives. The library asserts what a sound file keeps; a damaged one must not end the
/// program.
fn guarded<T, E: fmt::Display>(
    read: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, String> {
    // Whatever a panic left half done is not used again.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("not a sound parquet file, or of a kind that is not read".to_owned()),
    }
}

fn object(row: Row) -> std::result::Result<Value, String> {
    let fields = row.into_columns().into_iter();
    let fields = fields.map(|(name, field)| match value(field) {
        Ok(value) => Ok((name, value)),
        Err(reason) => Err(format!("{name}: {reason}")),
    });
    Ok(Value::Object(
        fields.collect::<std::result::Result<Map<_, _>, _>>()?,
    ))
}

fn value(field: Field) -> std::result::Result<Value, String> {
    let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        Field::Float16(value) => float(value.into()),
        Field::Float(value) => float(value.into()),
        Field::Double(value) => float(value),
        Field::Str(text) => text.into(),
        // Older writers do not say that their bytes are text.
        Field::Bytes(bytes) => match String::from_utf8(bytes.data().to_vec()) {
            Ok(text) => text.into(),
            Err(_) => return Err("bytes that are not UTF-8 text".to_owned()),
        },
        Field::Group(row) => object(row)?,
        Field::ListInternal(list) => {
            let elements = list.elements().iter().cloned().map(value);
            Value::Array(elements.collect::<std::result::Result<_, _>>()?)
        }
        Field::MapInternal(map) => {
            let entry = |(key, entry): &(Field, Field)| {
                let key = match value(key.clone())? {
                    Value::String(key) => key,
                    key => key.to_string(),
                };
                Ok((key, value(entry.clone())?))
            };
            let entries = map.entries().iter().map(entry);
            Value::Object(entries.collect::<std::result::Result<Map<_, _>, String>>()?)
        }
        // Dates, times and decimals, as people write them.
        other => other.to_string().into(),
    })
}
