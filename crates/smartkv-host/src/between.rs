//! What happens between two attentions: everything is row by row, so a block of rows can pass
//! through the rest of one layer and the start of the next on one thread, with what it needs in
//! that thread's cache and no thread waiting for another.

use crate::description::{Activation, Description};
use crate::error::Result;
use crate::layer::{Layer, Norm};
use crate::linear::Threads;
use crate::rope::Angles;
use crate::scratch::{Stream, Temps, Workers, sized};
use candle_core::cpu::erf::erf_f32;
use rayon::prelude::*;
use smartkv_core::shape::MAX_HEAD_DIM;
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
    /// Index of the first of them in the step.
    first: usize,
}

/// The layers that rows leave and enter.
#[derive(Clone, Copy)]
pub(crate) struct Between<'a> {
    pub(crate) description: &'a Description,
    /// The layer whose attention is over, if any.
    pub(crate) from: Option<&'a Layer>,
    /// The layer whose attention comes next, if any.
    pub(crate) to: Option<&'a Layer>,
    /// The rotation of the layer that rows enter, if it has one.
    pub(crate) angles: Option<&'a Angles>,
    /// Whether many rows are best handled block by block.
    pub(crate) takes_blocks: bool,
}

impl Between<'_> {
    /// Takes all rows of `stream` from one attention to the next.
    pub(crate) fn run(self, stream: &mut Stream, workers: Workers<'_>, rows: usize) -> Result<()> {
        if !self.takes_blocks || rows < MANY_ROWS {
            let mut block = self.cut(stream, rows);
            return block.try_for_each(|mut block| {
                self.pass(&mut block, &mut workers.mine(), Threads::All)
            });
        }
        // Cut by the number of rows only, so that no result depends on the number of threads.
        let size = rows
            .div_ceil(BLOCKS)
            .next_multiple_of(SMALLEST)
            .min(LARGEST);
        let blocks: Vec<Block<'_>> = self.cut(stream, size).collect();
        blocks
            .into_par_iter()
            .with_max_len(1)
            .try_for_each(|mut block| self.pass(&mut block, &mut workers.mine(), Threads::Mine))
    }

    fn cut<'s>(&self, stream: &'s mut Stream, size: usize) -> impl Iterator<Item = Block<'s>> {
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
            .enumerate()
            .map(move |(index, ((((x, q), k), v), attended))| Block {
                x,
                q,
                k,
                v,
                attended,
                first: index * size,
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
        let rows = block.x.len() / d.hidden;
        let normed = sized(&mut temps.normed, rows * d.hidden);
        norm(block.x, &layer.attention_norm, d.norm_eps, normed, threads);
        let width = layer.qkv.outputs();
        let qkv = sized(&mut temps.qkv, rows * width);
        layer.qkv.forward(normed, qkv, threads)?;

        let (q, kv) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        if d.qk_norm {
            for_rows(qkv, width, threads, |_, row| {
                let (queries, rest) = row.split_at_mut(q);
                head_norms(queries, &layer.q_norm, d.norm_eps);
                head_norms(&mut rest[..kv], &layer.k_norm, d.norm_eps);
            });
        }
        let (qkv, first) = (&*qkv, block.first);
        let rotate = |from: &[f32], row: usize, out: &mut [f32]| match self.angles {
            Some(angles) => angles.rotate(from, first + row, out),
            None => out.copy_from_slice(from),
        };
        let part = |row: usize, first: usize, count: usize| &qkv[row * width + first..][..count];
        for_rows(block.q, q, threads, |row, out| {
            rotate(part(row, 0, q), row, out);
        });
        for_rows(block.k, kv, threads, |row, out| {
            rotate(part(row, q, kv), row, out);
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
    let (hidden, inner) = (d.hidden, d.intermediate);
    let rows = x.len() / hidden;
    let width = layer.up.outputs();
    let gates = sized(&mut temps.gate_up, rows * width);
    let normed = sized(&mut temps.normed, rows * hidden);
    layer.o.forward(attended, normed, threads)?;
    join(d, x, normed, layer.attention_post_norm.as_ref(), threads);
    norm(x, &layer.mlp_norm, d.norm_eps, normed, threads);
    layer.up.forward(normed, gates, threads)?;
    let activated = sized(&mut temps.activated, rows * inner);
    let gates = &*gates;
    for_rows(activated, inner, threads, |row, out| {
        let (gate, up) = gates[row * width..][..width].split_at(inner);
        activate(d.activation, gate, d.gated.then_some(up), out);
    });
    layer.down.forward(activated, normed, threads)?;
    join(d, x, normed, layer.mlp_post_norm.as_ref(), threads);
    Ok(())
}

/// Adds what attention or MLP gave to the stream, normed first where there is a norm for it.
fn join(d: &Description, x: &mut [f32], y: &mut [f32], post_norm: Option<&Norm>, threads: Threads) {
    let (set, width) = (Elementwise::best(), d.hidden);
    if let Some(post_norm) = post_norm {
        let eps = d.norm_eps;
        for_rows(y, width, threads, |_, row| {
            let given = row.to_vec();
            norm_row(&given, post_norm, eps, row);
        });
    }
    let y = &*y;
    for_rows(x, width, threads, |row, x| {
        set.add(x, &y[row * width..][..width])
    });
}

/// `activation(gate)`, times `up` where there is one.
fn activate(activation: Activation, gate: &[f32], up: Option<&[f32]>, out: &mut [f32]) {
    let set = Elementwise::best();
    match (activation, up) {
        (Activation::Silu, Some(up)) => return set.silu_mul(gate, up, out),
        (Activation::GeluTanh, Some(up)) => return set.gelu_tanh_mul(gate, up, out),
        (Activation::GeluTanh, None) => return set.gelu_tanh(gate, out),
        // Few models: no loops of their own.
        (Activation::Silu, None) => map(gate, out, |x| x / (1.0 + (-x).exp())),
        (Activation::Gelu, _) => map(gate, out, |x| {
            0.5 * x * (1.0 + erf_f32(x * std::f32::consts::FRAC_1_SQRT_2))
        }),
    }
    if let Some(up) = up {
        out.iter_mut().zip(up).for_each(|(out, up)| *out *= up);
    }
}

fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x));
}

/// RMS norm of each head in place.
fn head_norms(heads: &mut [f32], weight: &[f32], eps: f32) {
    let mut given = [0.0; MAX_HEAD_DIM];
    let given = &mut given[..weight.len()];
    for head in heads.chunks_exact_mut(weight.len()) {
        given.copy_from_slice(head);
        Elementwise::best().rms_norm(given, weight, eps, head);
    }
}

/// Norm of each row.
pub(crate) fn norm(x: &[f32], norm: &Norm, eps: f32, out: &mut [f32], threads: Threads) {
    let width = norm.weight.len();
    for_rows(out, width, threads, |row, out| {
        norm_row(&x[row * width..][..width], norm, eps, out);
    });
}

fn norm_row(x: &[f32], norm: &Norm, eps: f32, out: &mut [f32]) {
    let set = Elementwise::best();
    if norm.bias.is_empty() {
        set.rms_norm(x, &norm.weight, eps, out);
    } else {
        set.layer_norm(x, &norm.weight, &norm.bias, eps, out);
    }
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
