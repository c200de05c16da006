//! Matrix products with weights held as [`WeightMode`] says.
//!
//! Matrices with the same inputs, such as those of queries, keys and values, form one [`Linear`]:
//! neighbours that are held alike become one matrix, so that activations are prepared once and
//! fewer tasks are handed out.

mod floats;
mod packed;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::weights::{RawTensor, WeightMode, blocks};
use candle_core::Tensor;
use candle_core::quantized::GgmlDType;
use half::{bf16, f16};
use packed::Packed;
use smartkv_core::{Digits, Format, Kernels};
use smartkv_kernels::Elementwise;

/// Up to this many input rows, reading the weights costs more than multiplying them.
const FEW_ROWS: usize = 4;

/// A matrix and the bias of its outputs, as the file has them.
pub(crate) struct Source<'a> {
    pub(crate) weight: &'a RawTensor,
    pub(crate) bias: Option<&'a RawTensor>,
    /// Whether the matrix is stored `[inputs, outputs]`: of plain formats only.
    pub(crate) transposed: bool,
}

impl Source<'_> {
    fn outputs(&self) -> usize {
        if self.transposed {
            self.weight.row_len()
        } else {
            self.weight.rows()
        }
    }

    fn inputs(&self) -> usize {
        if self.transposed {
            self.weight.rows()
        } else {
            self.weight.row_len()
        }
    }
}

/// Who computes a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The thread pool; to be called by one thread.
    All,
    /// The calling thread alone, which works on a block of rows.
    Mine,
}

/// `y = x Wᵀ + b` with `W` of shape `[outputs, inputs]`.
#[derive(Debug)]
pub(crate) struct Linear {
    parts: Vec<Part>,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
    bytes: usize,
}

/// Neighbouring outputs whose weights are held alike.
#[derive(Debug)]
struct Part {
    weight: Weight,
    first: usize,
    outputs: usize,
}

#[derive(Debug)]
enum Weight {
    F32(Tensor),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    Packed(Packed),
}

/// How a matrix is to be held.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    F32,
    F16,
    Bf16,
    Packed(Format),
}

impl Held {
    fn new(source: &Source<'_>, mode: WeightMode) -> Self {
        let weight = source.weight;
        match (mode, weight.stored()) {
            (WeightMode::F32, _) => Self::F32,
            (WeightMode::F16, _) => Self::F16,
            (WeightMode::Bf16, _) => Self::Bf16,
            (WeightMode::Auto | WeightMode::Quantized, stored) => match stored {
                GgmlDType::F16 => Self::F16,
                GgmlDType::BF16 => Self::Bf16,
                _ => blocks::packed_format(stored)
                    .filter(|format| smartkv_core::packed::tiled(*format, weight.row_len()))
                    .filter(|_| !source.transposed)
                    .map_or(Self::F32, Self::Packed),
            },
        }
    }
}

/// The columns of an output that a part writes.
#[derive(Debug, Clone, Copy)]
struct Columns {
    first: usize,
    count: usize,
    /// Columns of the whole output.
    of: usize,
}

impl Columns {
    /// Copies `from`, `[rows, width]`, to the columns from `at` on.
    fn write(self, from: &[f32], width: usize, at: usize, out: &mut [f32]) {
        let rows = out.chunks_exact_mut(self.of).zip(from.chunks_exact(width));
        for (out, from) in rows {
            out[self.first + at..][..width].copy_from_slice(from);
        }
    }
}

impl Linear {
    /// Decodes matrices of the same inputs; their outputs follow each other.
    pub(crate) fn new(
        sources: &[Source<'_>],
        mode: WeightMode,
        kernels: &'static dyn Kernels,
    ) -> Result<Self> {
        let inputs = sources[0].inputs();
        let mut parts: Vec<Part> = Vec::new();
        let (mut first, mut bytes) = (0, 0);
        let held = |source: &Source<'_>| Held::new(source, mode);
        for alike in sources.chunk_by(|a, b| held(a) == held(b)) {
            let outputs = alike.iter().map(Source::outputs).sum();
            let elements = outputs * inputs;
            let (weight, size) = match held(&alike[0]) {
                Held::F32 => (Weight::F32(floats::tensor(alike)?), elements * 4),
                Held::F16 => (
                    Weight::F16(floats::convert(alike, f16::from_f32)?),
                    elements * 2,
                ),
                Held::Bf16 => (
                    Weight::Bf16(floats::convert(alike, bf16::from_f32)?),
                    elements * 2,
                ),
                Held::Packed(format) => {
                    let weights: Vec<&RawTensor> = alike.iter().map(|s| s.weight).collect();
                    let packed = Packed::load(&weights, format, kernels)?;
                    let bytes = packed.bytes();
                    (Weight::Packed(packed), bytes)
                }
            };
            parts.push(Part {
                weight,
                first,
                outputs,
            });
            first += outputs;
            bytes += size;
        }
        let bias = biases(sources)?;
        bytes += bias.as_ref().map_or(0, |bias| size_of_val(bias.as_slice()));
        Ok(Self {
            parts,
            bias,
            inputs,
            outputs: first,
            bytes,
        })
    }

    /// Bytes held for weight and bias.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Columns of the output.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether many rows are best multiplied block by block, each by one thread.
    pub(crate) fn takes_blocks(&self) -> bool {
        self.parts
            .iter()
            .all(|part| matches!(&part.weight, Weight::Packed(packed) if packed.takes_blocks()))
    }

    /// Multiplies the rows of `x` (`[rows, inputs]`) into `out` (`[rows, outputs]`). Products of
    /// an output do not depend on `threads`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32], threads: Threads) -> Result<()> {
        let rows = x.len() / self.inputs;
        let mut digits: Option<(Format, Digits)> = None;
        for part in &self.parts {
            let columns = Columns {
                first: part.first,
                count: part.outputs,
                of: self.outputs,
            };
            let few = rows <= FEW_ROWS;
            match &part.weight {
                Weight::Packed(packed) => {
                    let format = packed.format();
                    let group = format.group(self.inputs);
                    if digits
                        .as_ref()
                        .is_none_or(|(of, _)| of.group(self.inputs) != group)
                    {
                        digits = Some((format, packed.digits(x)));
                    }
                    if let Some((_, digits)) = &digits {
                        packed.forward(x, digits, out, columns, threads)?;
                    }
                }
                Weight::F32(weight) if few => {
                    let set = Elementwise::best();
                    let values = floats::values(weight);
                    floats::few_rows(&values, x, self.inputs, out, columns, |w, x, _| {
                        set.dot(w, x)
                    });
                }
                Weight::F32(weight) => floats::many_rows(weight, x, out, columns, 0)?,
                Weight::F16(weight) if few => {
                    let set = Elementwise::best();
                    floats::few_rows(weight, x, self.inputs, out, columns, |w, x, wide| {
                        use half::slice::HalfFloatSliceExt;
                        w.convert_to_f32_slice(wide);
                        set.dot(wide, x)
                    });
                }
                Weight::F16(weight) => {
                    floats::many_rows_half(weight, x, self.inputs, out, columns)?
                }
                Weight::Bf16(weight) if few => {
                    let set = Elementwise::best();
                    floats::few_rows(weight, x, self.inputs, out, columns, |w, x, _| {
                        set.dot_bf16(w, x)
                    });
                }
                Weight::Bf16(weight) => {
                    floats::many_rows_half(weight, x, self.inputs, out, columns)?;
                }
            }
        }
        if let Some(bias) = &self.bias {
            for row in out.chunks_exact_mut(self.outputs) {
                Elementwise::best().add(row, bias);
            }
        }
        Ok(())
    }
}

/// The biases of all outputs, zero where a source has none; none if no source has.
fn biases(sources: &[Source<'_>]) -> Result<Option<Vec<f32>>> {
    if sources.iter().all(|source| source.bias.is_none()) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for source in sources {
        match source.bias {
            Some(bias) => all.extend(bias.to_f32()?),
            None => all.resize(all.len() + source.outputs(), 0.0),
        }
    }
    Ok(Some(all))
}
