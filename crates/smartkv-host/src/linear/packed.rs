//! Products with weights in integer codes.
//!
//! A linear layer is what attention does with keys: each output is the score of its row of
//! weights against the activations. So weights are rows of the cache's own packed format, in the
//! order that its kernels stream through.

use super::floats::{self, SLAB};
use super::{Columns, Threads};
use crate::error::Result;
use crate::weights::{RawTensor, blocks::Row};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use smartkv_core::{Digits, Format, Kernels, PackedRows, Role, TILE_ROWS};
use std::ops::Range;

/// Bytes of weights below which a task is not worth handing to another thread.
const TASK_BYTES: usize = 96 << 10;
/// Tasks a thread gets at most, to even out threads that are disturbed.
const TASKS_A_THREAD: usize = 4;
/// Rows from which decoding the weights for candle's gemm pays, where that is preferred.
const GEMM_ROWS: usize = 16;
/// Rows that one task loads.
const LOADED: usize = 1024;

/// A matrix as packed rows, one an output.
#[derive(Debug)]
pub(super) struct Packed {
    rows: PackedRows,
    kernels: &'static dyn Kernels,
    takes_blocks: bool,
}

impl Packed {
    /// Takes over matrices of the same inputs, one after another.
    pub(super) fn load(
        weights: &[&RawTensor],
        format: Format,
        kernels: &'static dyn Kernels,
    ) -> Result<Self> {
        let inputs = weights[0].row_len();
        let mut rows = PackedRows::new(format, Role::Keys, inputs);
        for weight in weights {
            // Chunks that end within a tile are followed by no other of the same matrix.
            let chunks: Vec<Result<PackedRows>> = (0..weight.rows().div_ceil(LOADED))
                .into_par_iter()
                .map(|chunk| {
                    let first = chunk * LOADED;
                    read(weight, first..(first + LOADED).min(weight.rows()), format)
                })
                .collect();
            for chunk in chunks {
                let chunk = chunk?;
                if rows.len().is_multiple_of(TILE_ROWS) {
                    rows.append(&chunk);
                } else {
                    push_all(&mut rows, weight, 0..weight.rows())?;
                    break;
                }
            }
        }
        rows.shrink();
        // Kernels without digits multiply in floating point, which candle's gemm does better. This
        // is the place to ask more of them, should integer products lose on some processor.
        let integers = !kernels
            .digits(format, inputs, &vec![0.0; inputs])
            .is_empty();
        Ok(Self {
            rows,
            kernels,
            takes_blocks: integers,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.payload_bytes() + self.rows.metadata_bytes()
    }

    pub(super) fn format(&self) -> Format {
        self.rows.format()
    }

    fn inputs(&self) -> usize {
        self.rows.head_dim()
    }

    /// Whether the kernels multiply many rows of integers faster than candle's gemm does floats.
    pub(super) fn takes_blocks(&self) -> bool {
        self.takes_blocks
    }

    /// The activations as this format's kernels want them.
    pub(super) fn digits(&self, x: &[f32]) -> Digits {
        self.kernels.digits(self.format(), self.inputs(), x)
    }

    pub(super) fn forward(
        &self,
        x: &[f32],
        digits: &Digits,
        out: &mut [f32],
        columns: Columns,
        threads: Threads,
    ) -> Result<()> {
        let rows = x.len() / self.inputs();
        if threads == Threads::Mine {
            self.block(x, digits, &mut out[columns.first..], columns.of);
        } else if rows >= GEMM_ROWS && !self.takes_blocks {
            self.gemm(x, out, columns)?;
        } else {
            self.split(x, digits, out, columns);
        }
        Ok(())
    }

    fn scores(
        &self,
        outputs: Range<usize>,
        x: &[f32],
        digits: &Digits,
        out: &mut [f32],
        stride: usize,
    ) {
        self.rows
            .scores(self.kernels, outputs, digits.all(x), out, stride);
    }

    /// All outputs on this thread.
    fn block(&self, x: &[f32], digits: &Digits, out: &mut [f32], stride: usize) {
        self.scores(0..self.rows.len(), x, digits, out, stride);
    }

    /// Outputs of one task when all threads work on the same rows.
    fn outputs_a_task(&self) -> usize {
        let threads = rayon::current_num_threads();
        let most = self.bytes() / TASK_BYTES;
        let tasks = if most > threads {
            (most / threads).min(TASKS_A_THREAD) * threads
        } else {
            most.max(1)
        };
        self.rows.len().div_ceil(tasks).next_multiple_of(TILE_ROWS)
    }

    /// Some outputs for each task.
    fn split(&self, x: &[f32], digits: &Digits, out: &mut [f32], columns: Columns) {
        let rows = x.len() / self.inputs();
        let chunk = self.outputs_a_task();
        if chunk >= columns.count {
            return self.block(x, digits, &mut out[columns.first..], columns.of);
        }
        if rows == 1 {
            let out = &mut out[columns.first..][..columns.count];
            return out
                .par_chunks_mut(chunk)
                .with_max_len(1)
                .enumerate()
                .for_each(|(index, out)| {
                    let first = index * chunk;
                    self.scores(first..first + out.len(), x, digits, out, columns.count);
                });
        }
        // The columns of a task are no slice: each fills its own, which are then put together.
        let parts: Vec<(usize, Vec<f32>)> = (0..columns.count.div_ceil(chunk))
            .into_par_iter()
            .with_max_len(1)
            .map(|index| {
                let outputs = index * chunk..((index + 1) * chunk).min(columns.count);
                let width = outputs.len();
                let mut part = vec![0.0; rows * width];
                self.scores(outputs, x, digits, &mut part, width);
                (width, part)
            })
            .collect();
        for (index, (width, part)) in parts.iter().enumerate() {
            columns.write(part, *width, index * chunk, out);
        }
    }

    /// Decodes a slab of outputs at a time for candle's gemm.
    fn gemm(&self, x: &[f32], out: &mut [f32], columns: Columns) -> Result<()> {
        let inputs = self.inputs();
        for first in (0..columns.count).step_by(SLAB) {
            let outputs = first..(first + SLAB).min(columns.count);
            let mut wide = vec![0.0; outputs.len() * inputs];
            self.decode(outputs.clone(), &mut wide);
            let wide = Tensor::from_vec(wide, (outputs.len(), inputs), &Device::Cpu)?;
            floats::many_rows(&wide, x, out, columns, first)?;
        }
        Ok(())
    }

    /// The weights of `outputs`, which start at a tile.
    fn decode(&self, outputs: Range<usize>, out: &mut [f32]) {
        let tiles = outputs.start / TILE_ROWS..outputs.end.min(self.in_tiles()) / TILE_ROWS;
        let whole = tiles.len() * TILE_ROWS;
        let (tiled, rest) = out.split_at_mut(whole * self.inputs());
        tiled
            .par_chunks_mut(TILE_ROWS * self.inputs())
            .zip(tiles)
            .for_each(|(out, tile)| {
                self.kernels
                    .decode_tiles(self.rows.tiles_at(tile..tile + 1), out);
            });
        if whole < outputs.len() {
            self.kernels.decode(self.rows.rest(), rest);
        }
    }

    fn in_tiles(&self) -> usize {
        self.rows.whole_tiles() * TILE_ROWS
    }
}

/// Rows `rows` of a matrix.
fn read(weight: &RawTensor, rows: Range<usize>, format: Format) -> Result<PackedRows> {
    let mut packed = PackedRows::new(format, Role::Keys, weight.row_len());
    push_all(&mut packed, weight, rows)?;
    Ok(packed)
}

fn push_all(packed: &mut PackedRows, weight: &RawTensor, rows: Range<usize>) -> Result<()> {
    let mut row = Row::default();
    for index in rows {
        row.decode(weight.stored(), weight.row_bytes(index));
        for (what, values) in [("scale", &row.scales), ("offset", &row.zeros)] {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let what = format!("{what} {at} of row {index}");
                return Err(weight.corrupt(&what, values[at].to_f32()));
            }
        }
        packed.push_codes(&row.codes, &row.scales, &row.zeros);
    }
    Ok(())
}
