//! Packed rows of one format: growing buffers with O(1) append, replacement and removal.
//!
//! Integer codes are stored in *tiles* of [`TILE_ROWS`] rows, arranged for the loads that kernels
//! make ([`tile`]); the rows after the last whole tile (the *tail*) are stored one after another,
//! densely. A tile takes the bytes of its rows, no more, so the size of the buffers is known from
//! the format. Scales and zero points of a tile lie group after group, 16 rows each; of a row in
//! the tail group after group. Formats that share scales over tokens have no tail: their rows come
//! in whole blocks, with `head_dim` scales (and zero points) a block.

mod attention;
mod errors;
mod moves;
mod spreads;
mod storage;
pub mod tile;

pub(crate) use storage::{reserve, shrink};
pub(crate) use tile::LARGEST_SUM;
pub use tile::{LINE, Role, TILE_ROWS, arrange, read_row, slot, tile_bytes, tiled};

use crate::format::Format;
use crate::kernels::{Kernels, Rows, Tiles};
use half::f16;
use std::ops::Range;

/// Rows of one format and role.
#[derive(Debug, Clone)]
pub struct PackedRows {
    format: Format,
    role: Role,
    head_dim: usize,
    tiled: bool,
    len: usize,
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl PackedRows {
    /// No rows yet. `format` must have passed [`Format::check`] for `head_dim`.
    #[must_use]
    pub fn new(format: Format, role: Role, head_dim: usize) -> Self {
        let (payload, scales, zeros) = Default::default();
        Self {
            format,
            role,
            head_dim,
            tiled: tiled(format, head_dim),
            len: 0,
            payload,
            scales,
            zeros,
        }
    }

    /// How the rows are stored.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Channels of a row.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Rows in tiles: the first ones.
    fn in_tiles(&self) -> usize {
        if self.tiled {
            self.len / TILE_ROWS * TILE_ROWS
        } else {
            0
        }
    }

    /// A row range may start at multiples of this.
    #[must_use]
    pub fn granularity(&self) -> usize {
        if self.tiled {
            TILE_ROWS.max(self.format.block_rows())
        } else {
            1
        }
    }

    /// Tiles `tiles` of the whole tiles.
    fn tiles(&self, tiles: Range<usize>) -> Tiles<'_> {
        let Self {
            format, head_dim, ..
        } = *self;
        let bytes = tile_bytes(format.bits, head_dim);
        let rows = tiles.start * TILE_ROWS..tiles.end * TILE_ROWS;
        let block = format.block_rows();
        assert!(
            rows.start.is_multiple_of(block) && rows.end.is_multiple_of(block),
            "tiles {tiles:?} cut a block of {block} rows"
        );
        let cut = |per_block: usize| rows.start / block * per_block..rows.end / block * per_block;
        Tiles {
            format,
            role: self.role,
            head_dim,
            count: tiles.len(),
            payload: &self.payload[tiles.start * bytes..tiles.end * bytes],
            scales: &self.scales[cut(format.scales(head_dim))],
            zeros: &self.zeros[cut(format.zeros(head_dim))],
        }
    }

    /// Rows `rows` of those after the tiles, counted from the first of them.
    fn tail(&self, rows: Range<usize>) -> Rows<'_> {
        let Self {
            format, head_dim, ..
        } = *self;
        let first = self.in_tiles();
        // Rows in blocks leave no tail, and their scales are not so many a row.
        let cut = |per_row: usize| match rows.len() {
            0 => 0..0,
            _ => (first + rows.start) * per_row..(first + rows.end) * per_row,
        };
        Rows {
            format,
            head_dim,
            len: rows.len(),
            payload: &self.payload[cut(format.payload_bytes(head_dim))],
            scales: &self.scales[cut(format.scales(head_dim))],
            zeros: &self.zeros[cut(format.zeros(head_dim))],
        }
    }

    /// The whole tiles `tiles`, for kernels that are called directly.
    ///
    /// # Panics
    /// When there are fewer, or a block would be cut.
    #[must_use]
    pub fn tiles_at(&self, tiles: Range<usize>) -> Tiles<'_> {
        assert!(tiles.end <= self.whole_tiles(), "tiles {tiles:?}");
        self.tiles(tiles)
    }

    /// Number of whole tiles; the rows after them are the [`rest`](Self::rest).
    #[must_use]
    pub fn whole_tiles(&self) -> usize {
        self.in_tiles() / TILE_ROWS
    }

    /// The rows after the last whole tile.
    #[must_use]
    pub fn rest(&self) -> Rows<'_> {
        self.tail(0..self.len - self.in_tiles())
    }

    /// Decodes every row: `out` is `[len, head_dim]`.
    ///
    /// # Panics
    /// When `out` has another length.
    pub fn decode(&self, kernels: &dyn Kernels, out: &mut [f32]) {
        assert_eq!(out.len(), self.len * self.head_dim, "decoded rows");
        let tiles = self.in_tiles();
        let (tiled, rest) = out.split_at_mut(tiles * self.head_dim);
        if tiles > 0 {
            kernels.decode_tiles(self.tiles(0..tiles / TILE_ROWS), tiled);
        }
        kernels.decode(self.rest(), rest);
    }

    /// Live bytes of codes and elements.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Live bytes of scales and zero points.
    #[must_use]
    pub fn metadata_bytes(&self) -> usize {
        size_of::<f16>() * (self.scales.len() + self.zeros.len())
    }

    /// Bytes of the buffers, slack included.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.payload.capacity()
            + size_of::<f16>() * (self.scales.capacity() + self.zeros.capacity())
    }
}
