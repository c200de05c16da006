//! How the buffers grow and shrink: rows are encoded at the end, whole tiles at once where they can.

use super::{PackedRows, TILE_ROWS, arrange, tile_bytes};
use crate::format::Axis;
use crate::kernels::{Kernels, RowsMut};
use crate::pack;
use half::f16;

impl PackedRows {
    /// Makes room for `rows` more, and no more than that.
    pub fn reserve(&mut self, rows: usize) {
        let Self {
            format, head_dim, ..
        } = *self;
        let blocks = rows / format.block_rows();
        self.payload
            .reserve_exact(rows * format.payload_bytes(head_dim));
        self.scales.reserve_exact(blocks * format.scales(head_dim));
        self.zeros.reserve_exact(blocks * format.zeros(head_dim));
    }

    /// Encodes and appends `x`, `[rows, head_dim]`.
    ///
    /// # Panics
    /// When the rows do not fill the format's blocks.
    pub fn push(&mut self, kernels: &dyn Kernels, x: &[f32]) {
        let Self {
            format, head_dim, ..
        } = *self;
        let rows = x.len() / head_dim;
        let block = format.block_rows();
        assert!(
            rows.is_multiple_of(block),
            "{rows} rows in blocks of {block}"
        );
        reserve(&mut self.payload, rows * format.payload_bytes(head_dim));
        reserve(&mut self.scales, rows / block * format.scales(head_dim));
        reserve(&mut self.zeros, rows / block * format.zeros(head_dim));
        let mut x = x;
        while !x.is_empty() {
            let (left, tail) = (x.len() / head_dim, self.len - self.in_tiles());
            let whole = self.tiled && tail == 0 && left >= TILE_ROWS;
            let take = match (self.tiled, whole) {
                (false, _) => left,
                (true, true) => left / TILE_ROWS * TILE_ROWS,
                (true, false) => left.min(TILE_ROWS - tail),
            };
            let (now, rest) = x.split_at(take * head_dim);
            x = rest;
            let role = self.role;
            let out = RowsMut {
                payload: &mut self.payload,
                scales: &mut self.scales,
                zeros: &mut self.zeros,
            };
            if whole {
                kernels.encode_tiles(format, role, head_dim, now, out);
                self.len += take;
            } else {
                kernels.encode(format, head_dim, now, out);
                self.appended(take);
            }
        }
    }

    /// Appends one row that is already quantised: a code an element, a scale (and zero point) a
    /// group. For rows of integer codes with groups of channels.
    ///
    /// # Panics
    /// When the lengths are not those of the format, or a code is too large for it.
    pub fn push_codes(&mut self, codes: &[u8], scales: &[f16], zeros: &[f16]) {
        let Self {
            format, head_dim, ..
        } = *self;
        assert!(
            format.axis == Axis::Channels && !format.bits.is_float(),
            "{format} takes no single rows of codes"
        );
        let lengths = (codes.len(), scales.len(), zeros.len());
        let expected = (head_dim, format.scales(head_dim), format.zeros(head_dim));
        assert_eq!(lengths, expected, "a row of {format}");
        assert!(
            codes
                .iter()
                .all(|&c| u32::from(c) <= format.bits.max_code()),
            "a code beyond {}",
            format.bits.max_code()
        );
        pack::pack(format.bits, codes, &mut self.payload);
        self.scales.extend_from_slice(scales);
        self.zeros.extend_from_slice(zeros);
        self.appended(1);
    }

    /// Appends all rows of `other`.
    ///
    /// # Panics
    /// When the two are stored differently, or the rows here end within a tile.
    pub fn append(&mut self, other: &Self) {
        let kind = |rows: &Self| (rows.format, rows.role, rows.head_dim);
        assert_eq!(kind(self), kind(other), "rows of one kind");
        assert_eq!(
            self.in_tiles(),
            if self.tiled { self.len } else { 0 },
            "whole tiles"
        );
        reserve(&mut self.payload, other.payload.len());
        reserve(&mut self.scales, other.scales.len());
        reserve(&mut self.zeros, other.zeros.len());
        self.payload.extend_from_slice(&other.payload);
        self.scales.extend_from_slice(&other.scales);
        self.zeros.extend_from_slice(&other.zeros);
        self.len += other.len;
    }

    /// Counts rows that were appended to the tail, which becomes a tile when it is full.
    fn appended(&mut self, rows: usize) {
        let full = self.tiled && self.len % TILE_ROWS + rows == TILE_ROWS;
        self.len += rows;
        if !full {
            return;
        }
        let Self {
            format, head_dim, ..
        } = *self;
        let bytes = tile_bytes(format.bits, head_dim);
        let start = self.payload.len() - bytes;
        let tail = &mut self.payload[start..];
        let mut codes = vec![0; TILE_ROWS * head_dim];
        pack::unpack(format.bits, tail, &mut codes);
        arrange(format.bits, self.role, &codes, tail);
        transpose_last(&mut self.scales, TILE_ROWS, format.scales(head_dim));
        transpose_last(&mut self.zeros, TILE_ROWS, format.zeros(head_dim));
    }

    /// Gives back memory beyond an eighth of slack.
    pub fn shrink(&mut self) {
        shrink(&mut self.payload);
        shrink(&mut self.scales);
        shrink(&mut self.zeros);
    }

    /// Removes all rows.
    pub fn clear(&mut self) {
        self.payload.clear();
        self.scales.clear();
        self.zeros.clear();
        self.len = 0;
    }
}

/// Transposes the last `rows * columns` entries.
fn transpose_last(values: &mut [f16], rows: usize, columns: usize) {
    if rows * columns == 0 {
        return;
    }
    let start = values.len() - rows * columns;
    let from = values[start..].to_vec();
    for (at, value) in values[start..].iter_mut().enumerate() {
        *value = from[at % rows * columns + at / rows];
    }
}

/// Grows by an eighth instead of doubling: a cache that claims half of f16 must not hold the other
/// half as slack.
pub(crate) fn reserve<T>(buffer: &mut Vec<T>, additional: usize) {
    if buffer.capacity() - buffer.len() < additional {
        buffer.reserve_exact(additional.max(buffer.len() / 8));
    }
}

pub(crate) fn shrink<T>(buffer: &mut Vec<T>) {
    if buffer.capacity() > buffer.len() + buffer.len() / 4 {
        buffer.shrink_to(buffer.len() + buffer.len() / 8);
    }
}
