//! GGUF files: a header of metadata and tensor records, then the tensors.
//!
//! The header is read here rather than by candle, whose reader divides by the alignment it finds
//! and allocates what counts promise: a corrupt file must end in an error that names the entry.

mod metadata;
mod reader;

pub use metadata::{Metadata, Value};

use super::{MappedFile, RawTensor, Weights};
use crate::error::{Error, Result};
use candle_core::quantized::GgmlDType;
use reader::Reader;
use std::collections::BTreeMap;
use std::path::Path;

const MAGIC: [u8; 4] = *b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 20;
const MAX_DIMENSIONS: u32 = 4;

/// A record of the tensor table: where and what, before it is checked against the file.
struct Record {
    name: String,
    shape: Vec<usize>,
    stored: GgmlDType,
    offset: u64,
}

/// Opens a GGUF file: every tensor is checked to lie inside it, none is read.
///
/// # Errors
/// A file that cannot be read, is not GGUF, has another version than 2 or 3, is truncated or has
/// a corrupt header.
pub fn open_gguf(path: &Path) -> Result<(Metadata, Weights)> {
    let file = MappedFile::open(path)?;
    let bytes = file.bytes();
    if !bytes.starts_with(&MAGIC) {
        let found = &bytes[..bytes.len().min(4)];
        let reason = format!(
            "not a GGUF file: starts with {}, not `GGUF`",
            found.escape_ascii()
        );
        return Err(Error::file(path, reason));
    }
    let mut reader = Reader::new(path, &bytes[MAGIC.len()..]);
    let version = reader.u32("the version")?;
    if !(2..=3).contains(&version) {
        return Err(Error::file(
            path,
            format!("GGUF version {version}, expected 2 or 3"),
        ));
    }
    let tensors = reader.u64("the number of tensors")?;
    let entries = reader.u64("the number of metadata entries")?;

    let mut values = BTreeMap::new();
    for index in 0..entries {
        let key = reader.string(&format!("the key of metadata entry {index} of {entries}"))?;
        let value = reader.value(&format!("metadata `{key}`"))?;
        if values.insert(key.clone(), value).is_some() {
            return Err(Error::file(path, format!("metadata `{key}` occurs twice")));
        }
    }
    let metadata = Metadata::new(path, values);

    let mut records = Vec::new();
    for index in 0..tensors {
        records.push(record(&mut reader, path, index, tensors)?);
    }
    let data = data_start((MAGIC.len() + reader.position()) as u64, &metadata)?;

    let mut by_name = BTreeMap::new();
    for Record {
        name,
        shape,
        stored,
        offset,
    } in records
    {
        let start = data.checked_add(offset).ok_or_else(|| {
            Error::tensor(path, &name, format!("offset {offset} is beyond any file"))
        })?;
        let tensor = RawTensor::new(&file, &name, start, stored, shape)?;
        if by_name.insert(name.clone(), tensor).is_some() {
            return Err(Error::tensor(path, &name, "occurs twice"));
        }
    }
    Ok((metadata, Weights::new(path, by_name)))
}

fn record(reader: &mut Reader<'_>, path: &Path, index: u64, of: u64) -> Result<Record> {
    let name = reader.string(&format!("the name of tensor {index} of {of}"))?;
    let what = format!("tensor `{name}`");
    let dimensions = reader.u32(&what)?;
    if dimensions > MAX_DIMENSIONS {
        let reason = format!("has {dimensions} dimensions, expected at most {MAX_DIMENSIONS}");
        return Err(Error::tensor(path, &name, reason));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let dimension = reader.u64(&what)?;
        shape.push(usize::try_from(dimension).unwrap_or(usize::MAX));
    }
    // GGUF lists the innermost dimension first.
    shape.reverse();
    let id = reader.u32(&what)?;
    let stored = format(id).ok_or_else(|| {
        Error::unsupported(
            path,
            "tensor type",
            format!("{id} (of `{name}`)"),
            &FORMAT_NAMES,
        )
    })?;
    Ok(Record {
        offset: reader.u64(&what)?,
        name,
        shape,
        stored,
    })
}

const FORMAT_NAMES: [&str; 13] = [
    "F32 (0)",
    "F16 (1)",
    "Q4_0 (2)",
    "Q4_1 (3)",
    "Q5_0 (6)",
    "Q5_1 (7)",
    "Q8_0 (8)",
    "Q2_K (10)",
    "Q3_K (11)",
    "Q4_K (12)",
    "Q5_K (13)",
    "Q6_K (14)",
    "BF16 (30)",
];

/// The tensor types that can be decoded, by their number in the file.
fn format(id: u32) -> Option<GgmlDType> {
    Some(match id {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// Tensor data starts at the first multiple of the alignment after the header.
fn data_start(header: u64, metadata: &Metadata) -> Result<u64> {
    let key = "general.alignment";
    let alignment = metadata
        .usize(key)?
        .map_or(DEFAULT_ALIGNMENT, |value| value as u64);
    if !alignment.is_power_of_two() || !(8..=MAX_ALIGNMENT).contains(&alignment) {
        let reason = format!(
            "metadata `{key}` is {alignment}, expected a power of two from 8 to {MAX_ALIGNMENT}"
        );
        return Err(Error::file(metadata.path(), reason));
    }
    Ok(header.next_multiple_of(alignment))
}
