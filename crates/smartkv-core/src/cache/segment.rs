//! Packed rows of one tier of one lane, with the columns that follow them.

use super::lane::Energies;
use super::pages::PageBounds;
use crate::kernels::Kernels;
use crate::layout::{Layout, Pages, Tier};
use crate::packed::{PackedRows, Role, reserve, shrink};
use crate::strategy::Half;
use std::ops::Range;

/// Which columns a cache keeps beside its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) positions: bool,
    /// Positions are kept for who looks at the cache, no part of it: the strategy does not see
    /// them, and they are no bytes.
    pub(super) unseen: bool,
    pub(super) scores: bool,
    /// Numbers that are remembered of each row from plan to plan.
    pub(super) memory: usize,
    /// Keep each lane's [`Energies`], which damages are told from.
    pub(super) energies: bool,
    /// Bytes of the bounds of pages, for each row.
    pub(super) bounds: usize,
}

impl Columns {
    /// Those of tier `tier`: a row that cannot move any more needs no score and no memory.
    pub(super) fn of_tier(self, layout: &Layout, tier: usize) -> Self {
        let moves = layout.evicts || tier + 1 < layout.tiers.len();
        Self {
            scores: self.scores && moves,
            memory: if moves { self.memory } else { 0 },
            ..self
        }
    }

    /// Bytes of the columns of one row.
    pub(super) fn bytes(self) -> usize {
        let position = if self.positions && !self.unseen {
            size_of::<u32>()
        } else {
            0
        };
        let numbers = usize::from(self.scores) + self.memory;
        position + self.bounds + size_of::<f32>() * numbers
    }

    /// Bytes of what goes with the columns of a lane.
    pub(super) fn statistics_bytes(self) -> usize {
        if self.energies {
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
    /// What is remembered of each row, NaN of those that no plan has seen: `[rows, memory]`.
    pub(super) memory: Vec<f32>,
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
    memory: Vec<f32>,
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
            memory: Vec::with_capacity(rows * columns.memory),
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
            memory: Vec::new(),
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
        self.memory.reserve_exact(rows * self.columns.memory);
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
        let width = self.columns.memory;
        reserve(&mut self.memory, rows * width);
        self.memory.resize((before + rows) * width, f32::NAN);
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
        let width = self.columns.memory;
        moving
            .memory
            .extend(&self.memory[index * width..(index + 1) * width]);
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
        if self.columns.memory > 0 {
            reserve(&mut self.memory, moving.memory.len());
            self.memory.extend(&moving.memory);
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
        swap_remove_rows(&mut self.memory, self.columns.memory, index);
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
        let width = self.columns.memory;
        self.memory.drain(start * width..end * width);
    }

    /// Gives back memory that a long prompt left behind.
    pub(super) fn shrink(&mut self) {
        self.k.shrink();
        self.v.shrink();
        shrink(&mut self.positions);
        shrink(&mut self.scores);
        shrink(&mut self.memory);
    }

    pub(super) fn clear(&mut self) {
        self.k.clear();
        self.v.clear();
        self.positions.clear();
        self.scores.clear();
        self.memory.clear();
        if let Some(pages) = &mut self.pages {
            pages.clear();
        }
    }

    /// Positions of the rows; empty unless the layout keeps them.
    pub(super) fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The same for the strategy.
    pub(super) fn seen_positions(&self) -> &[u32] {
        if self.columns.unseen {
            &[]
        } else {
            &self.positions
        }
    }

    /// What is remembered of some rows; empty where nothing is.
    pub(super) fn remembered(&self, rows: &Range<usize>) -> &[f32] {
        let width = self.columns.memory;
        &self.memory[rows.start * width..rows.end * width]
    }

    /// Remembers something else of some rows, where anything is.
    pub(super) fn remember(&mut self, rows: &Range<usize>, memory: &[f32]) {
        let width = self.columns.memory;
        if width > 0 {
            self.memory[rows.start * width..rows.end * width].copy_from_slice(memory);
        }
    }

    pub(super) fn bytes(&self) -> SegmentBytes {
        let seen = usize::from(!self.columns.unseen);
        let columns = seen * size_of::<u32>() * self.positions.capacity()
            + size_of::<f32>() * (self.scores.capacity() + self.memory.capacity());
        let bounds = self.pages.as_ref().map_or((0, 0), PageBounds::bytes);
        SegmentBytes {
            payload: self.k.payload_bytes() + self.v.payload_bytes(),
            metadata: self.k.metadata_bytes()
                + self.v.metadata_bytes()
                + size_of_val(self.seen_positions())
                + bounds.0,
            scores: size_of::<f32>() * (self.scores.len() + self.memory.len()),
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
