//! Matrix products with weights held as [`WeightMode`] says.

use crate::error::Result;
use crate::weights::{RawTensor, WeightMode, copy_tensor};
use candle_core::quantized::QMatMul;
use candle_core::{Device, Module, Storage, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Up to this many input rows, reading the weights costs more than multiplying them: one pass of
/// dot products beats a blocked matmul, which first copies the weights into its own layout.
const FEW_ROWS: usize = 4;

/// Output channels that one task of a [`FEW_ROWS`] product computes.
const CHANNELS_A_TASK: usize = 64;

/// Output channels widened from f16 at once in a product of many rows.
const SLAB: usize = 1024;

/// `y = x Wᵀ + b` with `W` of shape `[outputs, inputs]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Weight {
    F32(Tensor),
    F16(Vec<f16>),
    Quantized(QMatMul),
}

impl Linear {
    /// Decodes `weight`, a matrix, and the bias of its outputs.
    pub(crate) fn new(
        weight: &RawTensor,
        bias: Option<&RawTensor>,
        mode: WeightMode,
    ) -> Result<Self> {
        let inputs = weight.row_len();
        let outputs = weight.shape().iter().product::<usize>() / inputs;
        let bias = bias.map(RawTensor::to_f32).transpose()?;
        let elements = inputs * outputs;
        let (weight, bytes) = match mode {
            WeightMode::Quantized if weight.is_quantized() => {
                let blocks = weight.to_quantized()?;
                (
                    Weight::Quantized(QMatMul::from_qtensor(blocks)?),
                    weight.stored_bytes(),
                )
            }
            WeightMode::F16 => {
                let values = weight.to_f32()?.into_iter().map(f16::from_f32).collect();
                (Weight::F16(values), elements * size_of::<f16>())
            }
            WeightMode::Auto | WeightMode::F32 | WeightMode::Quantized => {
                let values = Tensor::from_vec(weight.to_f32()?, (outputs, inputs), &Device::Cpu)?;
                (Weight::F32(values), elements * size_of::<f32>())
            }
        };
        let bytes = bytes + bias.as_ref().map_or(0, |bias| size_of_val(bias.as_slice()));
        Ok(Self {
            weight,
            bias,
            inputs,
            outputs,
            bytes,
        })
    }

    /// Bytes held for weight and bias.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Multiplies the rows of `x` (`[rows, inputs]`) into `out` (`[rows, outputs]`).
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
        let rows = x.len() / self.inputs;
        match &self.weight {
            Weight::F32(weight) if rows <= FEW_ROWS => {
                let (storage, _) = weight.storage_and_layout();
                let Storage::Cpu(cpu) = &*storage else {
                    unreachable!("weights are built on the CPU")
                };
                self.few_rows(cpu.as_slice::<f32>()?, x, out, |row, _| row);
            }
            Weight::F32(weight) => copy_tensor(&self.rows(x)?.matmul(&weight.t()?)?, out)?,
            Weight::F16(weight) if rows <= FEW_ROWS => {
                self.few_rows(weight, x, out, |row, wide| {
                    row.convert_to_f32_slice(wide);
                    wide
                });
            }
            Weight::F16(weight) => self.many_rows_f16(weight, x, out)?,
            Weight::Quantized(weight) => copy_tensor(&weight.forward(&self.rows(x)?)?, out)?,
        }
        if let Some(bias) = &self.bias {
            for row in out.chunks_exact_mut(self.outputs) {
                crate::ops::add(row, bias);
            }
        }
        Ok(())
    }

    fn rows(&self, x: &[f32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(
            x,
            (x.len() / self.inputs, self.inputs),
            &Device::Cpu,
        )?)
    }

    /// One dot product per output and row, the weights read once.
    fn few_rows<W: Sync>(
        &self,
        weight: &[W],
        x: &[f32],
        out: &mut [f32],
        widen: impl for<'a> Fn(&'a [W], &'a mut [f32]) -> &'a [f32] + Sync,
    ) {
        let (inputs, outputs, rows) = (self.inputs, self.outputs, x.len() / self.inputs);
        let task = |weight: &[W], out: &mut [f32]| {
            let mut wide = vec![0.0; inputs];
            for (channel, out) in weight.chunks_exact(inputs).zip(out.chunks_exact_mut(rows)) {
                let channel = widen(channel, &mut wide);
                for (out, x) in out.iter_mut().zip(x.chunks_exact(inputs)) {
                    *out = dot(channel, x);
                }
            }
        };
        let run = |out: &mut [f32]| {
            let weights = weight.par_chunks(CHANNELS_A_TASK * inputs);
            let outs = out.par_chunks_mut(CHANNELS_A_TASK * rows);
            weights
                .zip(outs)
                .for_each(|(weight, out)| task(weight, out));
        };
        if rows == 1 {
            return run(out);
        }
        // Computed channel by channel, wanted row by row.
        let mut transposed = vec![0.0; outputs * rows];
        run(&mut transposed);
        for (channel, values) in transposed.chunks_exact(rows).enumerate() {
            for (row, value) in values.iter().enumerate() {
                out[row * outputs + channel] = *value;
            }
        }
    }

    /// Widens a slab of the weights at a time: activations stay f32, which f16 could overflow.
    fn many_rows_f16(&self, weight: &[f16], x: &[f32], out: &mut [f32]) -> Result<()> {
        let x = self.rows(x)?;
        for (index, slab) in weight.chunks(SLAB * self.inputs).enumerate() {
            let channels = slab.len() / self.inputs;
            let wide = Tensor::from_vec(slab.to_f32_vec(), (channels, self.inputs), &Device::Cpu)?;
            let product = x.matmul(&wide.t()?)?;
            let mut values = vec![0.0; product.elem_count()];
            copy_tensor(&product, &mut values)?;
            let rows = out
                .chunks_exact_mut(self.outputs)
                .zip(values.chunks_exact(channels));
            for (out, values) in rows {
                out[index * SLAB..][..channels].copy_from_slice(values);
            }
        }
        Ok(())
    }
}

/// Independent sums, so that a compiler without licence to reorder can still use wide registers.
const LANES: usize = 32;

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::MappedFile;
    use candle_core::quantized::{GgmlDType, QTensor};

    const INPUTS: usize = 96;
    const OUTPUTS: usize = 1100;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as u16) / 32768.0 - 1.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    /// The largest difference from f64 sums of the stored weights, over `rows` rows.
    fn error(mode: WeightMode, stored: GgmlDType, rows: usize) -> f64 {
        let weights = Tensor::from_vec(noise(INPUTS * OUTPUTS, 1), (OUTPUTS, INPUTS), &Device::Cpu);
        let blocks = QTensor::quantize(&weights.unwrap(), stored).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, blocks.data().unwrap()).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let raw = RawTensor::new(&file, "w", 0, stored, vec![OUTPUTS, INPUTS]).unwrap();
        let exact = raw.to_f32().unwrap();
        let x = noise(rows * INPUTS, 2);
        let mut out = vec![f32::NAN; rows * OUTPUTS];
        Linear::new(&raw, None, mode)
            .unwrap()
            .forward(&x, &mut out)
            .unwrap();
        let mut worst = 0f64;
        for (row, x) in x.chunks_exact(INPUTS).enumerate() {
            for (channel, weight) in exact.chunks_exact(INPUTS).enumerate() {
                let sum: f64 = x
                    .iter()
                    .zip(weight)
                    .map(|(x, w)| f64::from(*x) * f64::from(*w))
                    .sum();
                worst = worst.max((sum - f64::from(out[row * OUTPUTS + channel])).abs());
            }
        }
        worst
    }

    #[test]
    fn every_mode_is_as_exact_as_it_claims() {
        for rows in [1, 3, 4, 5, 33] {
            // Sums of 96 products below 1 in f32.
            assert!(error(WeightMode::F32, GgmlDType::Q8_0, rows) < 2e-5);
            assert!(error(WeightMode::Auto, GgmlDType::F32, rows) < 2e-5);
            assert!(error(WeightMode::Quantized, GgmlDType::F32, rows) < 2e-5);
            // Weights rounded to 11 bits: 2^-12 relative, at most 96 of them.
            assert!(error(WeightMode::F16, GgmlDType::F32, rows) < 5e-3);
            // Activations rounded to 8 bits as well: half a step of 1/127 each.
            assert!(error(WeightMode::Quantized, GgmlDType::Q8_0, rows) < 0.15);
        }
    }
}
