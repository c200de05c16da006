//! What happens between two attentions: everything is row by row, so a block of rows can pass
//! through the rest of one layer and the start of the next on one thread, with what it needs in
//! that thread's cache and no thread waiting for another.

use crate::description::Description;
use crate::error::Result;
use crate::layer::Layer;
use crate::linear::Threads;
use crate::rope::Angles;
use crate::scratch::{Stream, Temps, Workers, sized};
use rayon::prelude::*;
use smartkv_kernels::Elementwise;

/// Rows from which a step is cut into blocks.
const MANY_ROWS: usize = 32;
/// Blocks that a step is cut into, unless they got too small or too large.
const BLOCKS: usize = 8;
/// Blocks are whole multiples of this many rows. Kernels unpack weights once for all rows of a
/// block, so few rows do not pay for it.
const SMALLEST: usize = 12;
/// More rows than these leave a thread's cache.
const LARGEST: usize = 72;

/// Elements below which sharing the work costs more than it saves.
const PARALLEL: usize = 1 << 15;

/// Some rows of a step.
struct Block<'a> {
    x: &'a mut [f32],
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    attended: &'a [f32],
    positions: &'a [usize],
}

/// The layers that rows leave and enter.
#[derive(Clone, Copy)]
pub(crate) struct Between<'a> {
    pub(crate) description: &'a Description,
    /// The layer whose attention is over, if any.
    pub(crate) from: Option<&'a Layer>,
    /// The layer whose attention comes next, if any.
    pub(crate) to: Option<&'a Layer>,
    pub(crate) angles: &'a Angles,
    /// Whether many rows are best handled block by block.
    pub(crate) takes_blocks: bool,
}

impl Between<'_> {
    /// Takes all rows of `stream` from one attention to the next.
    pub(crate) fn run(
        self,
        stream: &mut Stream,
        workers: Workers<'_>,
        positions: &[usize],
    ) -> Result<()> {
        let rows = positions.len();
        if !self.takes_blocks || rows < MANY_ROWS {
            let mut block = self.cut(stream, positions, rows);
            return block.try_for_each(|mut block| {
                self.pass(&mut block, &mut workers.mine(), Threads::All)
            });
        }
        // Cut by the number of rows only, so that no result depends on the number of threads.
        let size = rows
            .div_ceil(BLOCKS)
            .next_multiple_of(SMALLEST)
            .min(LARGEST);
        let blocks: Vec<Block<'_>> = self.cut(stream, positions, size).collect();
        blocks
            .into_par_iter()
            .with_max_len(1)
            .try_for_each(|mut block| self.pass(&mut block, &mut workers.mine(), Threads::Mine))
    }

    fn cut<'s>(
        &self,
        stream: &'s mut Stream,
        positions: &'s [usize],
        size: usize,
    ) -> impl Iterator<Item = Block<'s>> {
        let d = self.description;
        let (q, kv) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        let Stream {
            x,
            q: queries,
            k,
            v,
            attended,
        } = stream;
        x.chunks_mut(size * d.hidden)
            .zip(queries.chunks_mut(size * q))
            .zip(k.chunks_mut(size * kv))
            .zip(v.chunks_mut(size * kv))
            .zip(attended.chunks(size * q))
            .zip(positions.chunks(size))
            .map(|(((((x, q), k), v), attended), positions)| Block {
                x,
                q,
                k,
                v,
                attended,
                positions,
            })
    }

    fn pass(self, block: &mut Block<'_>, temps: &mut Temps, threads: Threads) -> Result<()> {
        if let Some(layer) = self.from {
            leave(
                self.description,
                layer,
                block.x,
                block.attended,
                temps,
                threads,
            )?;
        }
        if let Some(layer) = self.to {
            self.enter(layer, block, temps, threads)?;
        }
        Ok(())
    }

    /// Norm, projections and rotation before a layer's attention.
    fn enter(
        self,
        layer: &Layer,
        block: &mut Block<'_>,
        temps: &mut Temps,
        threads: Threads,
    ) -> Result<()> {
        let d = self.description;
        let rows = block.positions.len();
        let normed = sized(&mut temps.normed, rows * d.hidden);
        norm(block.x, &layer.attention_norm, d.rms_eps, normed, threads);
        let width = layer.qkv.outputs();
        let qkv = sized(&mut temps.qkv, rows * width);
        layer.qkv.forward(normed, qkv, threads)?;

        let (q, kv) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        let (qkv, positions) = (&*qkv, block.positions);
        let part = |row: usize, first: usize, count: usize| &qkv[row * width + first..][..count];
        for_rows(block.q, q, threads, |row, out| {
            self.angles.rotate(part(row, 0, q), positions[row], out);
        });
        for_rows(block.k, kv, threads, |row, out| {
            self.angles.rotate(part(row, q, kv), positions[row], out);
        });
        for_rows(block.v, kv, threads, |row, out| {
            out.copy_from_slice(part(row, q + kv, kv));
        });
        Ok(())
    }
}

/// Output projection and MLP after a layer's attention, added to the stream `x`.
pub(crate) fn leave(
    d: &Description,
    layer: &Layer,
    x: &mut [f32],
    attended: &[f32],
    temps: &mut Temps,
    threads: Threads,
) -> Result<()> {
    let set = Elementwise::best();
    let (hidden, inner) = (d.hidden, d.intermediate);
    let rows = x.len() / hidden;
    let gates = sized(&mut temps.gate_up, rows * 2 * inner);
    let normed = sized(&mut temps.normed, rows * hidden);
    layer.o.forward(attended, normed, threads)?;
    add(x, normed, hidden, threads);
    norm(x, &layer.mlp_norm, d.rms_eps, normed, threads);
    layer.gate_up.forward(normed, gates, threads)?;
    let activated = sized(&mut temps.activated, rows * inner);
    let gates = &*gates;
    for_rows(activated, inner, threads, |row, out| {
        let (gate, up) = gates[row * 2 * inner..][..2 * inner].split_at(inner);
        set.silu_mul(gate, up, out);
    });
    layer.down.forward(activated, normed, threads)?;
    add(x, normed, hidden, threads);
    Ok(())
}

fn add(x: &mut [f32], y: &[f32], width: usize, threads: Threads) {
    let set = Elementwise::best();
    for_rows(x, width, threads, |row, x| {
        set.add(x, &y[row * width..][..width])
    });
}

/// Norm of each row.
pub(crate) fn norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32], threads: Threads) {
    let (set, width) = (Elementwise::best(), weight.len());
    for_rows(out, width, threads, |row, out| {
        set.rms_norm(&x[row * width..][..width], weight, eps, out);
    });
}

/// Calls `f` with the index and the elements of each row of `out`.
fn for_rows(out: &mut [f32], width: usize, threads: Threads, f: impl Fn(usize, &mut [f32]) + Sync) {
    if threads == Threads::Mine || out.len() < PARALLEL {
        let rows = out.chunks_exact_mut(width).enumerate();
        rows.for_each(|(row, out)| f(row, out));
    } else {
        let rows = out.par_chunks_exact_mut(width).enumerate();
        rows.with_min_len(PARALLEL.div_ceil(4 * width))
            .for_each(|(row, out)| f(row, out));
    }
}
