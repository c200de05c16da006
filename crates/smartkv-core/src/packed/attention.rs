//! The two operations of attention on a range of rows: tiles first, then the tail.

use super::{PackedRows, Role, TILE_ROWS};
use crate::kernels::{Kernels, Queries};
use std::ops::Range;

impl PackedRows {
    /// Scores of queries against the keys `rows`: `out[i * stride + t]` for the `t`-th of them.
    /// The queries' digits are what [`Kernels::digits`] made of them for this format.
    ///
    /// # Panics
    /// When `rows` is out of range, or starts or ends within a tile or block.
    pub fn scores(
        &self,
        kernels: &dyn Kernels,
        rows: Range<usize>,
        q: Queries<'_>,
        out: &mut [f32],
        stride: usize,
    ) {
        debug_assert_eq!(self.role, Role::Keys);
        let (tiles, tail) = self.split(&rows);
        let first = tiles.len() * TILE_ROWS;
        if !tiles.is_empty() {
            kernels.score_tiles(self.tiles(tiles), q, out, stride);
        }
        if !tail.is_empty() {
            kernels.scores(self.tail(tail), q.values, &mut out[first..], stride);
        }
    }

    /// Mixes the values `rows` by `p[i * stride + t]` into `acc`, `[n, head_dim]`.
    ///
    /// # Panics
    /// When `rows` is out of range, or starts or ends within a tile or block.
    pub fn mix(
        &self,
        kernels: &dyn Kernels,
        rows: Range<usize>,
        p: &[f32],
        stride: usize,
        acc: &mut [f32],
    ) {
        debug_assert_eq!(self.role, Role::Values);
        let (tiles, tail) = self.split(&rows);
        let first = tiles.len() * TILE_ROWS;
        if !tiles.is_empty() {
            kernels.mix_tiles(self.tiles(tiles), p, stride, acc);
        }
        if !tail.is_empty() {
            kernels.mix(self.tail(tail), &p[first..], stride, acc);
        }
    }

    /// Splits a range of rows into tiles and rows of the tail.
    fn split(&self, rows: &Range<usize>) -> (Range<usize>, Range<usize>) {
        assert!(
            rows.end <= self.len && (rows.start.is_multiple_of(self.granularity())),
            "rows {rows:?} of {}",
            self.len
        );
        let tiles = self.in_tiles();
        let (start, end) = (rows.start.min(tiles), rows.end.min(tiles));
        assert!(
            end.is_multiple_of(self.granularity()),
            "rows {rows:?} end in a tile or block"
        );
        (
            start / TILE_ROWS..end / TILE_ROWS,
            rows.start.max(tiles) - tiles..rows.end.max(tiles) - tiles,
        )
    }
}
