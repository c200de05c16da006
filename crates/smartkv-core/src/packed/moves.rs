//! Single rows on the move: read out of their place, put into another, removed. Codes are copied;
//! nothing is quantised again.

use super::{PackedRows, TILE_ROWS, tile, tile_bytes};
use crate::format::Axis;
use crate::kernels::{GroupValues, Kernels};
use crate::pack;
use half::f16;

/// One row as it is stored, taken out of its place.
#[derive(Default)]
struct Row {
    /// Codes, or the bytes of floating-point elements.
    codes: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl PackedRows {
    /// Decodes row `index` and appends it to `out`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn gather(&self, kernels: &dyn Kernels, index: usize, out: &mut Vec<f32>) {
        let start = out.len();
        out.resize(start + self.head_dim, 0.0);
        let out = &mut out[start..];
        let tiles = self.in_tiles();
        if index >= tiles {
            return kernels.decode(self.tail(index - tiles..index - tiles + 1), out);
        }
        let mut codes = vec![0; self.head_dim];
        self.read_codes(index, &mut codes);
        let values =
            |at: usize| GroupValues::new(self.format, self.scales[at], self.zeros.get(at).copied());
        let group = match self.format.axis {
            Axis::Channels => self.format.group(self.head_dim),
            Axis::Tokens => 1,
        };
        let groups = out.chunks_exact_mut(group).zip(codes.chunks_exact(group));
        for (g, (out, codes)) in groups.enumerate() {
            let at = match self.format.axis {
                Axis::Channels => self.scale_index(index, g),
                Axis::Tokens => index / self.format.block_rows() * self.head_dim + g,
            };
            let values = values(at);
            for (out, &code) in out.iter_mut().zip(codes) {
                *out = values.of(code);
            }
        }
    }

    /// Removes row `index`; the last row takes its place.
    ///
    /// # Panics
    /// When there is no such row, or the format keeps rows in blocks.
    pub fn swap_remove(&mut self, index: usize) {
        assert!(index < self.len, "row {index} of {}", self.len);
        self.assert_single_rows();
        let last = self.len - 1;
        if index != last {
            let mut row = Row::default();
            self.read(last, &mut row);
            self.write(index, &row);
        }
        self.truncate(last);
    }

    /// Removes rows `start .. end`, keeping the order of the others. Costs O(rows after `end`):
    /// a copy of their bytes, or where they are in tiles, a few operations an element.
    ///
    /// # Panics
    /// When the range is not inside, or the format keeps rows in blocks.
    pub fn drain(&mut self, start: usize, end: usize) {
        assert!(start <= end && end <= self.len, "{start}..{end}");
        if start == end {
            return;
        }
        self.assert_single_rows();
        if start >= self.in_tiles() {
            let Self {
                format, head_dim, ..
            } = *self;
            let rows = |per_row: usize| start * per_row..end * per_row;
            self.payload.drain(rows(format.payload_bytes(head_dim)));
            self.scales.drain(rows(format.scales(head_dim)));
            self.zeros.drain(rows(format.zeros(head_dim)));
            self.len -= end - start;
            return;
        }
        let mut row = Row::default();
        for (to, from) in (start..).zip(end..self.len) {
            self.read(from, &mut row);
            self.write(to, &row);
        }
        self.truncate(self.len - (end - start));
    }

    /// Keeps the first `len` rows.
    ///
    /// # Panics
    /// When the format keeps rows in blocks.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.assert_single_rows();
        // Rows of a tile that is cut become the tail.
        let kept = if len < self.in_tiles() {
            len / TILE_ROWS * TILE_ROWS..len
        } else {
            len..len
        };
        let rows: Vec<Row> = kept
            .clone()
            .map(|index| {
                let mut row = Row::default();
                self.read(index, &mut row);
                row
            })
            .collect();
        let Self {
            format, head_dim, ..
        } = *self;
        self.payload
            .truncate(kept.start * format.payload_bytes(head_dim));
        self.scales.truncate(kept.start * format.scales(head_dim));
        self.zeros.truncate(kept.start * format.zeros(head_dim));
        for row in &rows {
            pack::pack(format.bits, &row.codes, &mut self.payload);
            self.scales.extend_from_slice(&row.scales);
            self.zeros.extend_from_slice(&row.zeros);
        }
        self.len = len;
    }

    /// Refuses to take rows out of blocks, before anything is moved.
    fn assert_single_rows(&self) {
        let block = self.format.block_rows();
        assert_eq!(block, 1, "rows in blocks of {block} cannot be removed");
    }

    /// Where the scale (and zero point) of a group of channels of a row lies.
    pub(super) fn scale_index(&self, row: usize, group: usize) -> usize {
        let groups = self.format.scales(self.head_dim);
        if row < self.in_tiles() {
            (row / TILE_ROWS * groups + group) * TILE_ROWS + row % TILE_ROWS
        } else {
            row * groups + group
        }
    }

    /// Codes of an integer row, one a byte.
    fn read_codes(&self, index: usize, codes: &mut [u8]) {
        let bits = self.format.bits;
        if index < self.in_tiles() {
            let bytes = tile_bytes(bits, self.head_dim);
            let tile = &self.payload[index / TILE_ROWS * bytes..][..bytes];
            tile::read_row(bits, self.role, tile, index % TILE_ROWS, codes);
        } else {
            let bytes = self.format.payload_bytes(self.head_dim);
            pack::unpack(bits, &self.payload[index * bytes..][..bytes], codes);
        }
    }

    fn read(&self, index: usize, row: &mut Row) {
        let Row {
            codes,
            scales,
            zeros,
        } = row;
        codes.clear();
        if self.format.bits.is_float() {
            let bytes = self.format.payload_bytes(self.head_dim);
            codes.extend_from_slice(&self.payload[index * bytes..][..bytes]);
        } else {
            codes.resize(self.head_dim, 0);
            self.read_codes(index, codes);
        }
        let places = |of: usize| (0..of).map(|g| self.scale_index(index, g));
        scales.clear();
        scales.extend(places(self.format.scales(self.head_dim)).map(|at| self.scales[at]));
        zeros.clear();
        zeros.extend(places(self.format.zeros(self.head_dim)).map(|at| self.zeros[at]));
    }

    fn write(&mut self, index: usize, row: &Row) {
        let bits = self.format.bits;
        let bytes = self.format.payload_bytes(self.head_dim);
        if bits.is_float() {
            self.payload[index * bytes..][..bytes].copy_from_slice(&row.codes);
        } else if index < self.in_tiles() {
            let bytes = tile_bytes(bits, self.head_dim);
            let tile = &mut self.payload[index / TILE_ROWS * bytes..][..bytes];
            tile::write_row(bits, self.role, tile, index % TILE_ROWS, &row.codes);
        } else {
            let packed = &mut self.payload[index * bytes..][..bytes];
            pack::pack_into(bits, &row.codes, packed);
        }
        for (group, scale) in row.scales.iter().enumerate() {
            let at = self.scale_index(index, group);
            self.scales[at] = *scale;
        }
        for (group, zero) in row.zeros.iter().enumerate() {
            let at = self.scale_index(index, group);
            self.zeros[at] = *zero;
        }
    }
}
