//! Packed rows of one format: growing buffers with O(1) append, replacement and removal.
//!
//! Integer codes are stored in *tiles* of [`TILE_ROWS`] rows, arranged for the loads that kernels
//! make ([`tile`]); the rows after the last whole tile (the *tail*) are stored one after another,
//! densely. A tile takes the bytes of its rows, no more, so the size of the buffers is known from
//! the format. Scales and zero points of a tile lie group after group, 16 rows each; of a row in
//! the tail group after group. Formats that share scales over tokens have no tail: their rows come
//! in whole blocks, with `head_dim` scales (and zero points) a block.

pub mod tile;

pub(crate) use tile::LARGEST_SUM;
pub use tile::{LINE, Role, TILE_ROWS, arrange, read_row, slot, tile_bytes, tiled};

use crate::format::{Axis, Format};
use crate::kernels::{Kernels, Queries, Rows, RowsMut, Tiles};
use crate::pack;
use half::f16;
use half::slice::HalfFloatSliceExt as _;
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

/// One row as it is stored, taken out of its place.
#[derive(Default)]
struct Row {
    /// Codes, or the bytes of floating-point elements.
    codes: Vec<u8>,
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
        let group = self.format.group(self.head_dim);
        for (channel, (out, &code)) in out.iter_mut().zip(&codes).enumerate() {
            let at = match self.format.axis {
                Axis::Channels => self.scale_index(index, channel / group),
                Axis::Tokens => index / group * self.head_dim + channel,
            };
            let zero = self.zeros.get(at).copied();
            *out = crate::kernels::value(self.format, self.scales[at], zero, code);
        }
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

    /// Mean over each row's groups of the squared range that its codes span; floating-point rows
    /// are measured. Of rows in blocks: the mean over channels. One entry for each of `rows`.
    ///
    /// # Panics
    /// When there are fewer rows, or `out` has another length.
    pub fn spreads(&self, kernels: &dyn Kernels, rows: Range<usize>, out: &mut [f32]) {
        assert_eq!(rows.len(), out.len(), "one spread a row");
        let groups = self.format.scales(self.head_dim);
        if groups == 0 {
            let mut values = vec![0.0; rows.len() * self.head_dim];
            kernels.decode(self.tail(rows), &mut values);
            for (out, values) in out.iter_mut().zip(values.chunks_exact(self.head_dim)) {
                let (min, max) = extremes(values);
                *out = (max - min).powi(2);
            }
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 512 groups")]
        let factor = self.format.span().powi(2) / groups as f32;
        let squares = |scales: &[f16]| -> f32 {
            scales.iter().map(|s| s.to_f32().powi(2)).sum::<f32>() * factor
        };
        if self.format.axis == Axis::Tokens {
            let block = self.format.block_rows();
            let mut known = None;
            for (row, out) in rows.zip(out) {
                let at = row / block;
                let spread = match known {
                    Some((of, spread)) if of == at => spread,
                    _ => squares(&self.scales[at * groups..][..groups]),
                };
                known = Some((at, spread));
                *out = spread;
            }
            return;
        }
        if groups == 1 {
            // In tiles and after them, one row's scale follows another's.
            let mut wide = [0.0; CONVERTED];
            let scales = self.scales[rows].chunks(CONVERTED);
            for (out, scales) in out.chunks_mut(CONVERTED).zip(scales) {
                let wide = &mut wide[..scales.len()];
                scales.convert_to_f32_slice(wide);
                for (out, scale) in out.iter_mut().zip(wide) {
                    *out = *scale * *scale * factor;
                }
            }
            return;
        }
        let mut wide = [0.0; TILE_ROWS];
        let mut row = rows.start;
        while row < rows.end {
            let out = &mut out[row - rows.start..];
            if row >= self.in_tiles() || !row.is_multiple_of(TILE_ROWS) || out.len() < TILE_ROWS {
                let squares = (0..groups).map(|g| self.scales[self.scale_index(row, g)].to_f32());
                out[0] = squares.map(|s| s * s).sum::<f32>() * factor;
                row += 1;
                continue;
            }
            let out = &mut out[..TILE_ROWS];
            out.fill(0.0);
            let scales = &self.scales[row * groups..(row + TILE_ROWS) * groups];
            for group in scales.chunks_exact(TILE_ROWS) {
                group.convert_to_f32_slice(&mut wide);
                for (out, scale) in out.iter_mut().zip(wide) {
                    *out += scale * scale;
                }
            }
            out.iter_mut().for_each(|out| *out *= factor);
            row += TILE_ROWS;
        }
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

    /// Where the scale (and zero point) of a group of channels of a row lies.
    fn scale_index(&self, row: usize, group: usize) -> usize {
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

/// Scales that are converted at once.
const CONVERTED: usize = 256;

/// Smallest and largest value; `values` come in eights.
fn extremes(values: &[f32]) -> (f32, f32) {
    let (mut least, mut most) = ([f32::INFINITY; 8], [f32::NEG_INFINITY; 8]);
    for eight in values.as_chunks::<8>().0 {
        // Eight at once: a chain of single comparisons is what takes the time.
        least = std::array::from_fn(|i| {
            if eight[i] < least[i] {
                eight[i]
            } else {
                least[i]
            }
        });
        most = std::array::from_fn(|i| {
            if eight[i] > most[i] {
                eight[i]
            } else {
                most[i]
            }
        });
    }
    (
        least.into_iter().fold(f32::INFINITY, f32::min),
        most.into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
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
