//! Packed rows of one tier of one lane, with the columns that follow them.

use crate::format::Format;
use crate::kernels::{Kernels, Rows, RowsMut};
use crate::layout::Tier;
use crate::strategy::RowTable;
use half::f16;

/// Rows in one format: growing buffers, O(1) append and swap-remove.
#[derive(Debug, Clone)]
pub(super) struct PackedRows {
    pub(super) format: Format,
    head_dim: usize,
    len: usize,
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl PackedRows {
    fn new(format: Format, head_dim: usize) -> Self {
        let (payload, scales, zeros) = Default::default();
        Self {
            format,
            head_dim,
            len: 0,
            payload,
            scales,
            zeros,
        }
    }

    pub(super) fn view(&self) -> Rows<'_> {
        Rows {
            format: self.format,
            head_dim: self.head_dim,
            len: self.len,
            payload: &self.payload,
            scales: &self.scales,
            zeros: &self.zeros,
        }
    }

    /// Bytes per row of payload, scales, zeros; the latter two counted in elements.
    fn strides(&self) -> [usize; 3] {
        let Self {
            format, head_dim, ..
        } = self;
        [
            format.payload_bytes(*head_dim),
            format.scales(*head_dim),
            format.zeros(*head_dim),
        ]
    }

    fn push(&mut self, kernels: &dyn Kernels, x: &[f32]) {
        let rows = x.len() / self.head_dim;
        let [payload, scales, zeros] = self.strides();
        reserve(&mut self.payload, rows * payload);
        reserve(&mut self.scales, rows * scales);
        reserve(&mut self.zeros, rows * zeros);
        let Self {
            payload,
            scales,
            zeros,
            ..
        } = self;
        kernels.encode(
            self.format,
            self.head_dim,
            x,
            RowsMut {
                payload,
                scales,
                zeros,
            },
        );
        self.len += rows;
    }

    /// Decodes row `index` and appends it to `out`.
    fn gather(&self, kernels: &dyn Kernels, index: usize, out: &mut Vec<f32>) {
        let start = out.len();
        out.resize(start + self.head_dim, 0.0);
        kernels.decode(self.view().slice(index, 1), &mut out[start..]);
    }

    fn swap_remove(&mut self, index: usize) {
        let [payload, scales, zeros] = self.strides();
        swap_remove_rows(&mut self.payload, payload, index);
        swap_remove_rows(&mut self.scales, scales, index);
        swap_remove_rows(&mut self.zeros, zeros, index);
        self.len -= 1;
    }

    /// Removes rows `start .. end`, keeping the order of the others.
    fn drain(&mut self, start: usize, end: usize) {
        let [payload, scales, zeros] = self.strides();
        self.payload.drain(start * payload..end * payload);
        self.scales.drain(start * scales..end * scales);
        self.zeros.drain(start * zeros..end * zeros);
        self.len -= end - start;
    }

    fn shrink(&mut self) {
        shrink(&mut self.payload);
        shrink(&mut self.scales);
        shrink(&mut self.zeros);
    }

    fn clear(&mut self) {
        self.payload.clear();
        self.scales.clear();
        self.zeros.clear();
        self.len = 0;
    }

    /// Mean over the row's groups of the squared range the codes span; f16 rows are measured.
    fn spread(&self, index: usize) -> f32 {
        let row = self.view().slice(index, 1);
        if row.scales.is_empty() {
            let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
            for bytes in row.payload.chunks_exact(2) {
                let v = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
                (min, max) = (min.min(v), max.max(v));
            }
            return (max - min).powi(2);
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 255 levels, 512 groups")]
        let (levels, groups) = (row.format.bits.max_code() as f32, row.scales.len() as f32);
        row.scales
            .iter()
            .map(|s| (s.to_f32() * levels).powi(2))
            .sum::<f32>()
            / groups
    }

    fn metadata_bytes(&self) -> usize {
        size_of::<f16>() * (self.scales.len() + self.zeros.len())
    }

    fn allocated_bytes(&self) -> usize {
        self.payload.capacity()
            + size_of::<f16>() * (self.scales.capacity() + self.zeros.capacity())
    }
}

/// Which columns a cache keeps beside its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) positions: bool,
    pub(super) scores: bool,
}

impl Columns {
    /// Bytes of the columns of one row.
    pub(super) fn bytes(self) -> usize {
        let position = if self.positions { size_of::<u32>() } else { 0 };
        position + if self.scores { size_of::<f32>() } else { 0 }
    }
}

/// Rows of one tier of one lane: keys, values, and what follows each token.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) k: PackedRows,
    pub(super) v: PackedRows,
    columns: Columns,
    positions: Vec<u32>,
    pub(super) scores: Vec<f32>,
}

/// Rows on their way between segments, in full precision.
#[derive(Debug, Default)]
pub(super) struct Moving {
    k: Vec<f32>,
    v: Vec<f32>,
    positions: Vec<u32>,
    scores: Vec<f32>,
}

/// Live bytes of a segment by purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SegmentBytes {
    pub(super) payload: usize,
    pub(super) metadata: usize,
    pub(super) scores: usize,
    pub(super) allocated: usize,
}

impl Segment {
    pub(super) fn new(tier: Tier, head_dim: usize, columns: Columns) -> Self {
        Self {
            k: PackedRows::new(tier.k, head_dim),
            v: PackedRows::new(tier.v, head_dim),
            columns,
            positions: Vec::new(),
            scores: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.k.len
    }

    /// Appends rows that were never stored before: consecutive positions, score 0.
    pub(super) fn append(&mut self, kernels: &dyn Kernels, k: &[f32], v: &[f32], position: u32) {
        let before = self.len();
        self.k.push(kernels, k);
        self.v.push(kernels, v);
        let rows = self.len() - before;
        if self.columns.positions {
            reserve(&mut self.positions, rows);
            self.positions.extend((position..).take(rows));
        }
        if self.columns.scores {
            reserve(&mut self.scores, rows);
            self.scores.resize(before + rows, 0.0);
        }
    }

    /// Copies row `index`, decoded, to the end of `moving`.
    pub(super) fn gather(&self, kernels: &dyn Kernels, index: usize, moving: &mut Moving) {
        self.k.gather(kernels, index, &mut moving.k);
        self.v.gather(kernels, index, &mut moving.v);
        moving.positions.extend(self.positions.get(index));
        moving.scores.extend(self.scores.get(index));
    }

    /// Appends gathered rows with their columns.
    pub(super) fn receive(&mut self, kernels: &dyn Kernels, moving: &Moving) {
        self.k.push(kernels, &moving.k);
        self.v.push(kernels, &moving.v);
        reserve(&mut self.positions, moving.positions.len());
        self.positions.extend(&moving.positions);
        reserve(&mut self.scores, moving.scores.len());
        self.scores.extend(&moving.scores);
    }

    /// Removes row `index`; the last row takes its place.
    pub(super) fn swap_remove(&mut self, index: usize) {
        self.k.swap_remove(index);
        self.v.swap_remove(index);
        swap_remove_rows(
            &mut self.positions,
            usize::from(self.columns.positions),
            index,
        );
        swap_remove_rows(&mut self.scores, usize::from(self.columns.scores), index);
    }

    /// Removes rows `start .. end`, keeping the order of the others.
    pub(super) fn drain(&mut self, start: usize, end: usize) {
        self.k.drain(start, end);
        self.v.drain(start, end);
        if self.columns.positions {
            self.positions.drain(start..end);
        }
        if self.columns.scores {
            self.scores.drain(start..end);
        }
    }

    /// Gives back memory that a long prompt left behind.
    pub(super) fn shrink(&mut self) {
        self.k.shrink();
        self.v.shrink();
        shrink(&mut self.positions);
        shrink(&mut self.scores);
    }

    pub(super) fn clear(&mut self) {
        self.k.clear();
        self.v.clear();
        self.positions.clear();
        self.scores.clear();
    }

    /// Adds row `index` to the columns of a table; the caller adds its place.
    pub(super) fn describe(&self, index: usize, table: &mut RowTable) {
        table.position.extend(self.positions.get(index));
        table.score.extend(self.scores.get(index));
        table.key_spread.push(self.k.spread(index));
        table.value_spread.push(self.v.spread(index));
    }

    /// Positions of the rows; empty unless the layout keeps them.
    pub(super) fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub(super) fn bytes(&self) -> SegmentBytes {
        let columns = size_of::<u32>() * self.positions.capacity()
            + size_of::<f32>() * self.scores.capacity();
        SegmentBytes {
            payload: self.k.payload.len() + self.v.payload.len(),
            metadata: self.k.metadata_bytes()
                + self.v.metadata_bytes()
                + size_of::<u32>() * self.positions.len(),
            scores: size_of::<f32>() * self.scores.len(),
            allocated: self.k.allocated_bytes() + self.v.allocated_bytes() + columns,
        }
    }
}

fn swap_remove_rows<T: Copy>(buffer: &mut Vec<T>, stride: usize, index: usize) {
    if stride == 0 {
        return;
    }
    let last = buffer.len() - stride;
    buffer.copy_within(last.., index * stride);
    buffer.truncate(last);
}

/// Grows by an eighth instead of doubling: a cache that claims half of f16 must not hold the other
/// half as slack.
fn reserve<T>(buffer: &mut Vec<T>, additional: usize) {
    if buffer.capacity() - buffer.len() < additional {
        buffer.reserve_exact(additional.max(buffer.len() / 8));
    }
}

fn shrink<T>(buffer: &mut Vec<T>) {
    if buffer.capacity() > buffer.len() + buffer.len() / 4 {
        buffer.shrink_to(buffer.len() + buffer.len() / 8);
    }
}
