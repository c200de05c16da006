//! Packed rows of one tier of one lane, with the columns that follow them.

use crate::kernels::Kernels;
use crate::layout::Tier;
use crate::packed::{PackedRows, Role, reserve, shrink};
use crate::strategy::{Half, RowColumns};
use std::ops::Range;

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

impl Moving {
    pub(super) fn is_empty(&self) -> bool {
        self.k.is_empty()
    }
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
            k: PackedRows::new(tier.k, Role::Keys, head_dim),
            v: PackedRows::new(tier.v, Role::Values, head_dim),
            columns,
            positions: Vec::new(),
            scores: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.k.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.k.is_empty()
    }

    /// Its keys or its values.
    pub(super) fn half(&self, half: Half) -> &PackedRows {
        match half {
            Half::Keys => &self.k,
            Half::Values => &self.v,
        }
    }

    /// See [`Tier::block_rows`].
    pub(super) fn block_rows(&self) -> usize {
        self.k
            .format()
            .block_rows()
            .max(self.v.format().block_rows())
    }

    /// A range of rows that is attended to may start at multiples of this.
    pub(super) fn granularity(&self) -> usize {
        self.k.granularity().max(self.v.granularity())
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

    /// Fills the columns of a table for `rows` of this segment; the caller fills their place.
    pub(super) fn describe(&self, rows: Range<usize>, table: &mut RowColumns<'_>) {
        if self.columns.positions {
            table
                .position
                .copy_from_slice(&self.positions[rows.clone()]);
        }
        if self.columns.scores {
            table.score.copy_from_slice(&self.scores[rows.clone()]);
        }
        self.k.spreads(rows.clone(), table.key_spread);
        self.v.spreads(rows, table.value_spread);
    }

    /// Positions of the rows; empty unless the layout keeps them.
    pub(super) fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub(super) fn bytes(&self) -> SegmentBytes {
        let columns = size_of::<u32>() * self.positions.capacity()
            + size_of::<f32>() * self.scores.capacity();
        SegmentBytes {
            payload: self.k.payload_bytes() + self.v.payload_bytes(),
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
