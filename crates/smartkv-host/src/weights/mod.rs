//! Tensors by name, read from mapped files and decoded only when a layer is built.

pub(crate) mod blocks;
pub mod gguf;
mod map;
mod names;
mod raw;
mod safetensors;

pub use map::MappedFile;
pub(crate) use names::Names;
pub use raw::RawTensor;
pub(crate) use raw::copy_tensor;
pub use safetensors::open_safetensors;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How weight matrices are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightMode {
    /// As the file stores them, which is fastest: quantised matrices stay integer codes
    /// ([`WeightMode::Quantized`]), f16 and bf16 stay 16 bits wide, f32 stays f32. Quantised types
    /// without kernels here (`Q2_K`, `Q3_K`, rows that do not fill tiles) become f32.
    #[default]
    Auto,
    /// The same as [`WeightMode::Auto`], said explicitly: integer codes where the file has them.
    ///
    /// Products are computed with activations of 14 bits, so they are within `2^-14` of the
    /// largest activation of a group of those with the exact weights. `Q4_K`, `Q5_K` and `Q6_K`
    /// round each product of two scales to f16 besides.
    Quantized,
    /// Dequantised to f32: exactly the values the file encodes.
    F32,
    /// Dequantised to f16: half the memory, each weight rounded to 11 significant bits.
    F16,
    /// Dequantised to bf16: half the memory, each weight rounded to 8 significant bits; exact for
    /// files in bf16.
    Bf16,
}

impl FromStr for WeightMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "quantized" => Ok(Self::Quantized),
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::Parameter {
                name: "weights",
                value: text.into(),
                expected: "one of auto, quantized, f32, f16, bf16",
            }),
        }
    }
}

impl fmt::Display for WeightMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Quantized => "quantized",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// Every tensor of a model, by the name its files use.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, RawTensor>,
}

impl Weights {
    /// Tensors read from `path`, which is a file or a folder.
    #[must_use]
    pub fn new(path: &Path, tensors: BTreeMap<String, RawTensor>) -> Self {
        Self {
            path: path.to_path_buf(),
            tensors,
        }
    }

    /// The tensor called `name`, if the model has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawTensor> {
        self.tensors.get(name)
    }

    /// The tensor called `name`, which must have `shape`.
    ///
    /// # Errors
    /// A missing tensor or another shape.
    pub fn require(&self, name: &str, shape: &[usize]) -> Result<&RawTensor> {
        let tensor = self.tensors.get(name).ok_or_else(|| {
            let reason = format!("missing; the model describes one of shape {shape:?}");
            Error::tensor(&self.path, name, reason)
        })?;
        if tensor.shape() != shape {
            let reason = format!(
                "has shape {:?}, but the model's description asks for {shape:?}",
                tensor.shape()
            );
            return Err(Error::tensor(tensor.path(), name, reason));
        }
        Ok(tensor)
    }

    /// Gives back the memory of everything that was read from the files.
    pub(crate) fn release(&self) {
        let mut released = BTreeSet::new();
        for tensor in self.tensors.values() {
            if released.insert(tensor.path()) {
                tensor.release();
            }
        }
    }

    /// Number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_modes_round_trip_as_text() {
        for mode in [
            WeightMode::Auto,
            WeightMode::Quantized,
            WeightMode::F32,
            WeightMode::F16,
            WeightMode::Bf16,
        ] {
            assert_eq!(mode.to_string().parse::<WeightMode>().unwrap(), mode);
        }
        let error = "int4".parse::<WeightMode>().unwrap_err().to_string();
        assert_eq!(
            error,
            "weights = int4: expected one of auto, quantized, f32, f16, bf16"
        );
    }
}
