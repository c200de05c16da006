//! Buffers of a step, kept from one step to the next.

use crate::description::Description;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows beyond which buffers are given back after the step: a long prompt in one piece must not
/// hold its memory while hundreds of tokens are decoded.
const KEPT_ROWS: usize = 1024;

/// What all rows of a step keep from one attention to the next.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The residual stream.
    pub(crate) x: Vec<f32>,
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) attended: Vec<f32>,
}

/// What is needed only while a block of rows is on its way between two attentions.
#[derive(Debug, Default)]
pub(crate) struct Temps {
    pub(crate) normed: Vec<f32>,
    pub(crate) qkv: Vec<f32>,
    pub(crate) gate_up: Vec<f32>,
    pub(crate) activated: Vec<f32>,
}

/// The buffers of one step.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) stream: Stream,
    workers: Vec<Mutex<Temps>>,
}

/// The buffers of steps that are over, for the next ones.
#[derive(Debug, Default)]
pub(crate) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    /// Buffers for a step of `rows` rows; what they hold is of no use.
    pub(crate) fn take(&self, d: &Description, rows: usize) -> Scratch {
        // What is in a poisoned list is still only memory.
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = list.pop().unwrap_or_default();
        drop(list);
        let threads = rayon::current_num_threads();
        scratch.workers.resize_with(threads, Mutex::default);
        let (q, kv) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        let Stream {
            x,
            q: queries,
            k,
            v,
            attended,
        } = &mut scratch.stream;
        for (buffer, width) in [(x, d.hidden), (queries, q), (k, kv), (v, kv), (attended, q)] {
            buffer.resize(rows * width, 0.0);
        }
        scratch
    }

    /// Keeps the buffers of a step of `rows` rows.
    pub(crate) fn give_back(&self, scratch: Scratch, rows: usize) {
        if rows <= KEPT_ROWS {
            let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(scratch);
        }
    }
}

impl Scratch {
    /// The stream, and the temporary buffers by thread.
    pub(crate) fn parts(&mut self) -> (&mut Stream, Workers<'_>) {
        (&mut self.stream, Workers(&self.workers))
    }
}

/// Temporary buffers, a set for each thread of the pool.
#[derive(Clone, Copy)]
pub(crate) struct Workers<'a>(&'a [Mutex<Temps>]);

impl<'a> Workers<'a> {
    /// This thread's. Whoever holds them must not wait for tasks of the same kind.
    pub(crate) fn mine(self) -> MutexGuard<'a, Temps> {
        let index = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first `length` elements of a buffer that grows when it must.
pub(crate) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}
