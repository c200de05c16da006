//! Packed rows of one tier of one lane, with the columns that follow them.

use super::lane::Energies;
use super::pages::PageBounds;
use crate::kernels::Kernels;
use crate::layout::{Layout, Pages, Tier};
use crate::packed::{PackedRows, Role, reserve, shrink};
use crate::strategy::Half;

/// Which columns a cache keeps beside its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) positions: bool,
    pub(super) scores: bool,
    /// Bytes of the bounds of pages, for each row.
    pub(super) bounds: usize,
}

impl Columns {
    /// Those of tier `tier`: a row that cannot move any more needs no score.
    pub(super) fn of_tier(self, layout: &Layout, tier: usize) -> Self {
        let moves = layout.evicts || tier + 1 < layout.tiers.len();
        Self {
            scores: self.scores && moves,
            ..self
        }
    }

    /// Bytes of the columns of one row.
    pub(super) fn bytes(self) -> usize {
        let position = if self.positions { size_of::<u32>() } else { 0 };
        position + self.bounds + if self.scores { size_of::<f32>() } else { 0 }
    }

    /// Bytes of what goes with the columns of a lane.
    pub(super) fn statistics_bytes(self) -> usize {
        if self.scores {
            size_of::<Energies>()
        } else {
            0
        }
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
    /// Bounds of its pages, where the layout has some.
    pub(super) pages: Option<PageBounds>,
}

/// Rows on their way between segments, in full precision.
#[derive(Debug)]
pub(super) struct Moving {
    k: Vec<f32>,
    v: Vec<f32>,
    positions: Vec<u32>,
    scores: Vec<f32>,
}

impl Moving {
    /// Room for so many rows.
    pub(super) fn with_capacity(rows: usize, head_dim: usize, columns: Columns) -> Self {
        let column = |kept: bool| if kept { rows } else { 0 };
        Self {
            k: Vec::with_capacity(rows * head_dim),
            v: Vec::with_capacity(rows * head_dim),
            positions: Vec::with_capacity(column(columns.positions)),
            scores: Vec::with_capacity(column(columns.scores)),
        }
    }

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
            pages: None,
        }
    }

    /// The same with bounds of its pages.
    pub(super) fn with_pages(mut self, pages: Option<Pages>) -> Self {
        self.pages = pages.map(|pages| PageBounds::new(pages, self.k.head_dim()));
        self
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

    /// Room for so many rows of the kind that this segment holds.
    pub(super) fn moving(&self, rows: usize) -> Moving {
        Moving::with_capacity(rows, self.k.head_dim(), self.columns)
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

    /// Makes room for so many rows more, and no more than that.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.k.reserve(rows);
        self.v.reserve(rows);
        if self.columns.positions {
            self.positions.reserve_exact(rows);
        }
        if self.columns.scores {
            self.scores.reserve_exact(rows);
        }
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

    /// The same rows with other keys and values.
    pub(super) fn replace(&mut self, kernels: &dyn Kernels, k: &[f32], v: &[f32]) {
        self.k.clear();
        self.k.push(kernels, k);
        self.v.clear();
        self.v.push(kernels, v);
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
        if self.columns.scores {
            reserve(&mut self.scores, moving.scores.len());
            self.scores.extend(&moving.scores);
        }
        if let Some(pages) = &mut self.pages {
            pages.extend(kernels, &self.k);
        }
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
        if let Some(pages) = &mut self.pages {
            pages.forget_from(index);
        }
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
        if let Some(pages) = &mut self.pages {
            pages.clear();
        }
    }

    /// Positions of the rows; empty unless the layout keeps them.
    pub(super) fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub(super) fn bytes(&self) -> SegmentBytes {
        let columns = size_of::<u32>() * self.positions.capacity()
            + size_of::<f32>() * self.scores.capacity();
        let bounds = self.pages.as_ref().map_or((0, 0), PageBounds::bytes);
        SegmentBytes {
            payload: self.k.payload_bytes() + self.v.payload_bytes(),
            metadata: self.k.metadata_bytes()
                + self.v.metadata_bytes()
                + size_of::<u32>() * self.positions.len()
                + bounds.0,
            scores: size_of::<f32>() * self.scores.len(),
            allocated: self.k.allocated_bytes() + self.v.allocated_bytes() + columns + bounds.1,
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
