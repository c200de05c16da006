//! Encoded rows and tiles, in buffers of their own.

use half::f16;
use smartkv_core::packed::tile_bytes;
use smartkv_core::{Format, Kernels, Role, Rows, RowsMut, TILE_ROWS, Tiles};
use std::ops::Range;

/// Encoded rows.
#[derive(Debug, Default)]
pub(super) struct Stored {
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl Stored {
    /// Where kernels append.
    fn out(&mut self) -> RowsMut<'_> {
        RowsMut {
            payload: &mut self.payload,
            scales: &mut self.scales,
            zeros: &mut self.zeros,
        }
    }

    pub(super) fn encode(
        &mut self,
        kernels: &dyn Kernels,
        format: Format,
        head_dim: usize,
        x: &[f32],
    ) {
        kernels.encode(format, head_dim, x, self.out());
    }

    pub(super) fn encode_tiles(
        &mut self,
        kernels: &dyn Kernels,
        (format, role): (Format, Role),
        head_dim: usize,
        x: &[f32],
    ) {
        kernels.encode_tiles(format, role, head_dim, x, self.out());
    }

    pub(super) fn rows(&self, format: Format, head_dim: usize, len: usize) -> Rows<'_> {
        Rows {
            format,
            head_dim,
            len,
            payload: &self.payload,
            scales: &self.scales,
            zeros: &self.zeros,
        }
    }

    /// Some tiles, which hold whole blocks.
    pub(super) fn tiles(
        &self,
        (format, role): (Format, Role),
        head_dim: usize,
        tiles: Range<usize>,
    ) -> Tiles<'_> {
        let bytes = tile_bytes(format.bits, head_dim);
        let block = |tile: usize| tile * TILE_ROWS / format.block_rows();
        let cut = |each: usize| block(tiles.start) * each..block(tiles.end) * each;
        Tiles {
            format,
            role,
            head_dim,
            count: tiles.len(),
            payload: &self.payload[tiles.start * bytes..tiles.end * bytes],
            scales: &self.scales[cut(format.scales(head_dim))],
            zeros: &self.zeros[cut(format.zeros(head_dim))],
        }
    }

    /// Compares bit for bit.
    pub(super) fn assert_is(&self, want: &Self, label: &str) {
        let bits = |values: &[f16]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let (scales, zeros) = (bits(&want.scales), bits(&want.zeros));
        assert_eq!(bits(&self.scales), scales, "encode: scales: {label}");
        assert_eq!(bits(&self.zeros), zeros, "encode: zeros: {label}");
        assert_eq!(self.payload, want.payload, "encode: codes: {label}");
    }
}
