//! Products with weights in floating point: dot products for few rows, candle's gemm for many.

use super::{Columns, Source};
use crate::error::Result;
use crate::weights::copy_tensor;
use candle_core::{Device, Storage, Tensor};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use std::ops::Deref;

/// Output channels that one task of a product of few rows computes.
const CHANNELS_A_TASK: usize = 64;

/// Output channels widened to f32 at once in a product of many rows.
pub(super) const SLAB: usize = 1024;

/// Rows decoded at once while loading.
const LOADED: usize = 256;

/// Matrices of the same inputs, one after another, in f32.
pub(super) fn tensor(sources: &[Source<'_>]) -> Result<Tensor> {
    let inputs = sources[0].inputs();
    let values = convert(sources, |value| value)?;
    let outputs = values.len() / inputs;
    Ok(Tensor::from_vec(values, (outputs, inputs), &Device::Cpu)?)
}

/// Matrices of the same inputs, one after another, each element as `narrow` makes it.
pub(super) fn convert<T>(sources: &[Source<'_>], narrow: impl Fn(f32) -> T) -> Result<Vec<T>> {
    let elements = |source: &Source<'_>| source.inputs() * source.outputs();
    let mut all = Vec::with_capacity(sources.iter().map(elements).sum());
    let mut wide = Vec::new();
    for source in sources {
        let weight = source.weight;
        if source.transposed {
            let values = weight.to_f32()?;
            let outputs = source.outputs();
            let columns = (0..outputs).map(|output| values.iter().skip(output).step_by(outputs));
            all.extend(columns.flatten().map(|&value| narrow(value)));
            continue;
        }
        for first in (0..weight.rows()).step_by(LOADED) {
            let rows = first..(first + LOADED).min(weight.rows());
            wide.resize(rows.len() * weight.row_len(), 0.0);
            weight.decode_rows(rows, &mut wide)?;
            all.extend(wide.iter().map(|&value| narrow(value)));
        }
    }
    Ok(all)
}

/// The elements of a tensor made by [`tensor`].
pub(super) fn values(weight: &Tensor) -> impl Deref<Target = [f32]> + '_ {
    struct Values<G>(G);
    impl<G: Deref<Target = Storage>> Deref for Values<G> {
        type Target = [f32];
        fn deref(&self) -> &[f32] {
            match &*self.0 {
                Storage::Cpu(cpu) => cpu.as_slice().unwrap_or_default(),
                _ => unreachable!("weights are built on the CPU"),
            }
        }
    }
    Values(weight.storage_and_layout().0)
}

/// One dot product per output and row, the weights read once.
pub(super) fn few_rows<W: Sync>(
    weight: &[W],
    x: &[f32],
    inputs: usize,
    out: &mut [f32],
    columns: Columns,
    dot: impl Fn(&[W], &[f32], &mut [f32]) -> f32 + Sync,
) {
    let rows = x.len() / inputs;
    let task = |weight: &[W], out: &mut [f32]| {
        let mut wide = vec![0.0; inputs];
        for (channel, out) in weight.chunks_exact(inputs).zip(out.chunks_exact_mut(rows)) {
            for (out, x) in out.iter_mut().zip(x.chunks_exact(inputs)) {
                *out = dot(channel, x, &mut wide);
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
        return run(&mut out[columns.first..][..columns.count]);
    }
    // Computed channel by channel, wanted row by row.
    let mut transposed = vec![0.0; columns.count * rows];
    run(&mut transposed);
    for (channel, values) in transposed.chunks_exact(rows).enumerate() {
        for (row, value) in values.iter().enumerate() {
            out[row * columns.of + columns.first + channel] = *value;
        }
    }
}

/// Multiplies by `weight` into the columns from `at` on.
pub(super) fn many_rows(
    weight: &Tensor,
    x: &[f32],
    out: &mut [f32],
    columns: Columns,
    at: usize,
) -> Result<()> {
    let (outputs, inputs) = weight.dims2()?;
    let x = Tensor::from_slice(x, (x.len() / inputs, inputs), &Device::Cpu)?;
    let product = x.matmul(&weight.t()?)?;
    if outputs == columns.of {
        return copy_tensor(&product, out);
    }
    columns.write(&values(&product), outputs, at, out);
    Ok(())
}

/// Widens a slab of the weights at a time: activations stay f32, which f16 could overflow.
pub(super) fn many_rows_half<W>(
    weight: &[W],
    x: &[f32],
    inputs: usize,
    out: &mut [f32],
    columns: Columns,
) -> Result<()>
where
    [W]: HalfFloatSliceExt,
{
    for (index, slab) in weight.chunks(SLAB * inputs).enumerate() {
        let shape = (slab.len() / inputs, inputs);
        let wide = Tensor::from_vec(slab.to_f32_vec(), shape, &Device::Cpu)?;
        many_rows(&wide, x, out, columns, index * SLAB)?;
    }
    Ok(())
}
