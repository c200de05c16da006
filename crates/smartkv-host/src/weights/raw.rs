//! One tensor inside a mapped file: checked once, decoded on demand.

use super::map::MappedFile;
use crate::error::{Error, Result};
use candle_core::quantized::{GgmlDType, QTensor, ggml_file::qtensor_from_ggml};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use std::ops::Range;
use std::path::Path;

/// Block structs of every supported format are aligned to at most this many bytes.
const BLOCK_ALIGNMENT: usize = 4;

/// A tensor as stored: its bytes stay in the file until a row or the whole is decoded.
#[derive(Debug, Clone)]
pub struct RawTensor {
    file: MappedFile,
    name: String,
    range: Range<usize>,
    stored: GgmlDType,
    shape: Vec<usize>,
}

impl RawTensor {
    /// A row-major tensor of `shape` whose bytes start at byte `start` of `file`.
    ///
    /// # Errors
    /// A shape without elements or beyond the address space, rows that do not fill whole blocks,
    /// bytes beyond the end of the file, or blocks at an unaligned address.
    pub fn new(
        file: &MappedFile,
        name: &str,
        start: u64,
        stored: GgmlDType,
        shape: Vec<usize>,
    ) -> Result<Self> {
        let fail = |reason: String| Error::tensor(file.path(), name, reason);
        let elements = shape
            .iter()
            .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
            .filter(|&elements| elements > 0 && !shape.is_empty())
            .ok_or_else(|| fail(format!("shape {shape:?} has no or too many elements")))?;
        let row = shape.last().copied().unwrap_or(1);
        let block = stored.block_size();
        if !row.is_multiple_of(block) {
            return Err(fail(format!(
                "rows of {row} elements do not fill {stored:?} blocks of {block}"
            )));
        }
        let bytes = (elements / block).checked_mul(stored.type_size());
        let range = usize::try_from(start)
            .ok()
            .zip(bytes)
            .and_then(|(start, bytes)| Some(start..start.checked_add(bytes)?))
            .filter(|range| range.end <= file.bytes().len())
            .ok_or_else(|| {
                fail(format!(
                    "{stored:?} {shape:?} at byte {start} reaches beyond the end of the file at {}: \
                     the file is truncated or its header corrupt",
                    file.bytes().len()
                ))
            })?;
        // Mappings start at a page, so an aligned offset is an aligned address.
        if block > 1 && !range.start.is_multiple_of(BLOCK_ALIGNMENT) {
            return Err(fail(format!(
                "starts at byte {start}, expected a multiple of {BLOCK_ALIGNMENT}"
            )));
        }
        Ok(Self {
            file: file.clone(),
            name: name.into(),
            range,
            stored,
            shape,
        })
    }

    /// The file it lies in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// See [`MappedFile::release`].
    pub(crate) fn release(&self) {
        self.file.release();
    }

    /// Its dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its size in the file, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.range.len()
    }

    /// How its elements are stored.
    pub(crate) fn stored(&self) -> GgmlDType {
        self.stored
    }

    /// Elements of one row: the innermost dimension.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows, counted over all outer dimensions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.iter().product::<usize>() / self.row_len()
    }

    /// Decodes row `row` into `out`, `row_len` elements.
    ///
    /// # Errors
    /// A row beyond the tensor, or a block format that cannot be decoded.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        let (rows, length) = (self.rows(), self.row_len());
        if row >= rows || out.len() != length {
            return Err(Error::tensor(
                self.path(),
                &self.name,
                format!(
                    "row {row} into {} elements: has {rows} rows of {length}",
                    out.len()
                ),
            ));
        }
        self.decode(row..row + 1, out)
    }

    /// Decodes the whole tensor to f32, row-major.
    ///
    /// # Errors
    /// A block format that cannot be decoded, or a value that is not finite.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.shape.iter().product()];
        self.decode_rows(0..self.rows(), &mut out)?;
        Ok(out)
    }

    /// Decodes `rows` to f32, row-major.
    ///
    /// # Errors
    /// A block format that cannot be decoded, or a value that is not finite.
    pub(crate) fn decode_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let first = rows.start * self.row_len();
        self.decode(rows, out)?;
        match out.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(self.corrupt(&format!("element {}", first + index), out[index])),
            None => Ok(()),
        }
    }

    /// The error for a number that is not finite.
    pub(crate) fn corrupt(&self, what: &str, value: f32) -> Error {
        let reason = format!("{what} is {value}: the data is corrupt");
        Error::tensor(self.path(), &self.name, reason)
    }

    /// The bytes of row `row`.
    pub(crate) fn row_bytes(&self, row: usize) -> &[u8] {
        self.bytes(self.bytes_of(row..row + 1))
    }

    /// Where rows lie in the file.
    fn bytes_of(&self, rows: Range<usize>) -> Range<usize> {
        let bytes = self.row_len() / self.stored.block_size() * self.stored.type_size();
        self.range.start + rows.start * bytes..self.range.start + rows.end * bytes
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.file.bytes()[range]
    }

    fn blocks(&self, range: Range<usize>, shape: Vec<usize>) -> Result<QTensor> {
        qtensor_from_ggml(self.stored, self.bytes(range), shape, &Device::Cpu)
            .map_err(|error| Error::tensor(self.path(), &self.name, error))
    }

    fn decode(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let shape = vec![rows.len(), self.row_len()];
        let range = self.bytes_of(rows);
        let bytes = self.bytes(range.clone());
        // The plain formats are decoded here: safetensors promises no alignment, and candle's
        // conversion would hold a second copy of the tensor.
        match self.stored {
            GgmlDType::F32 => copy(bytes, out, f32::from_le_bytes),
            GgmlDType::F16 => copy(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            GgmlDType::BF16 => copy(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            _ => {
                let values = self.blocks(range, shape)?.dequantize(&Device::Cpu)?;
                copy_tensor(&values, out)?;
            }
        }
        Ok(())
    }
}

fn copy<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<N>();
    for (value, chunk) in out.iter_mut().zip(chunks) {
        *value = decode(*chunk);
    }
}

/// Copies a contiguous f32 CPU tensor into `out`.
pub(crate) fn copy_tensor(tensor: &Tensor, out: &mut [f32]) -> Result<()> {
    let flat = tensor.flatten_all()?;
    let (storage, layout) = flat.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (candle_core::Storage::Cpu(cpu), Some((start, end))) => {
            out.copy_from_slice(&cpu.as_slice::<f32>()?[start..end]);
            Ok(())
        }
        _ => Err(Error::Input("expected a contiguous CPU tensor".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, MappedFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, bytes).unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        (folder, mapped)
    }

    #[test]
    fn plain_formats_are_decoded_at_any_offset() {
        let mut bytes = vec![0u8];
        for value in [1.5f32, -2.0] {
            bytes.extend(value.to_le_bytes());
        }
        for value in [0.25f32, 3.0] {
            bytes.extend(f16::from_f32(value).to_le_bytes());
            bytes.extend(bf16::from_f32(value).to_le_bytes());
        }
        let (_folder, file) = file(&bytes);
        let f32s = RawTensor::new(&file, "w", 1, GgmlDType::F32, vec![2, 1]).unwrap();
        assert_eq!(f32s.to_f32().unwrap(), [1.5, -2.0]);
        let f16s = RawTensor::new(&file, "w", 9, GgmlDType::F16, vec![1]).unwrap();
        assert_eq!(f16s.to_f32().unwrap(), [0.25]);
        let bf16s = RawTensor::new(&file, "w", 15, GgmlDType::BF16, vec![1]).unwrap();
        assert_eq!(bf16s.to_f32().unwrap(), [3.0]);
        let mut row = [0.0];
        f32s.row(1, &mut row).unwrap();
        assert_eq!(row, [-2.0]);
        assert!(f32s.row(2, &mut row).is_err());
    }

    #[test]
    fn quantised_rows_equal_the_rows_of_the_whole() {
        let values: Vec<f32> = (0..128i16).map(|i| f32::from(i % 37) - 18.0).collect();
        let tensor = Tensor::from_vec(values, (2, 64), &Device::Cpu).unwrap();
        for stored in [GgmlDType::Q4_1, GgmlDType::Q8_0] {
            let blocks = QTensor::quantize(&tensor, stored).unwrap();
            let (_folder, file) = file(&blocks.data().unwrap());
            let raw = RawTensor::new(&file, "w", 0, stored, vec![2, 64]).unwrap();
            let all = raw.to_f32().unwrap();
            let mut row = [f32::NAN; 64];
            raw.row(1, &mut row).unwrap();
            assert_eq!(row, all[64..], "{stored:?}");
        }
    }

    #[test]
    fn what_does_not_fit_the_file_is_refused() {
        let (_folder, file) = file(&[0u8; 64]);
        let new = |start, stored, shape: &[usize]| {
            RawTensor::new(&file, "w", start, stored, shape.to_vec())
                .unwrap_err()
                .to_string()
        };
        assert!(new(0, GgmlDType::F32, &[17]).contains("beyond the end of the file"));
        assert!(new(u64::MAX, GgmlDType::F32, &[1]).contains("beyond the end of the file"));
        assert!(new(0, GgmlDType::F32, &[usize::MAX, 2]).contains("too many elements"));
        assert!(new(0, GgmlDType::F32, &[usize::MAX / 2]).contains("beyond the end of the file"));
        assert!(new(0, GgmlDType::F32, &[]).contains("no or too many"));
        assert!(new(0, GgmlDType::Q8_0, &[31]).contains("do not fill"));
        assert!(new(2, GgmlDType::Q8_0, &[32]).contains("expected a multiple of 4"));
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let (_folder, file) = file(&f32::NAN.to_le_bytes());
        let raw = RawTensor::new(&file, "w", 0, GgmlDType::F32, vec![1]).unwrap();
        assert!(
            raw.to_f32()
                .unwrap_err()
                .to_string()
                .contains("element 0 is NaN")
        );
    }
}
