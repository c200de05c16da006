//! Where the codes of a tile lie.
//!
//! A tile holds [`TILE_ROWS`] rows. Its elements are put in *slots*, so that one 64-byte vector
//! of 8-bit codes (a *line*) is 16 lanes of 4 codes that a dot-product instruction adds up:
//!
//! - keys: a line is 4 neighbouring channels of all 16 rows, lane by row. A query's 4 values are
//!   the same for all lanes, and 16 scores come out side by side.
//! - values: a line is 16 neighbouring channels of 4 neighbouring rows, lane by channel. The 4
//!   probabilities are the same for all lanes, and 16 output channels come out side by side.
//!
//! Narrower codes share the bytes of a line: byte `i` holds byte `i` of 2 lines (4 bits) or 4
//! lines (2 bits), the first in the lowest bits. 3-bit codes are split into a plane of their low 2
//! bits and, after it, a plane of their high bits, 8 lines a vector: still 3 bits an element.

use crate::format::{Axis, Bits, Format};

/// Rows of a tile.
pub const TILE_ROWS: usize = 16;
/// Codes of a line: bytes of the widest vector.
pub const LINE: usize = 64;
/// Largest number of elements whose products with 14-bit queries a 32-bit sum holds.
pub(crate) const LARGEST_SUM: usize = 1024;

/// What rows are for, and so how their tiles are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Multiplied with queries: keys, and the weights of linear layers.
    Keys,
    /// Mixed by probabilities.
    Values,
}

/// Whether rows of `head_dim` channels are stored in tiles at all. Floating-point rows, and shapes
/// that do not fill lines, are stored row after row.
#[must_use]
pub fn tiled(format: Format, head_dim: usize) -> bool {
    let lines = match format.bits {
        Bits::F8 | Bits::F16 => return false,
        Bits::B3 => 32,
        Bits::B2 | Bits::B4 | Bits::B8 => TILE_ROWS,
    };
    let summed = match format.axis {
        Axis::Channels => format.group(head_dim),
        Axis::Tokens => head_dim,
    };
    head_dim.is_multiple_of(lines) && summed <= LARGEST_SUM
}

/// The slot of a row's channel in its tile: line `slot / LINE`, byte `slot % LINE`.
#[must_use]
pub fn slot(role: Role, row: usize, channel: usize) -> usize {
    let (quad, lane, byte) = match role {
        Role::Keys => (channel / 4, row, channel % 4),
        Role::Values => (channel / 16 * 4 + row / 4, channel % 16, row % 4),
    };
    quad * LINE + lane * 4 + byte
}

/// Bytes of the codes of a tile.
#[must_use]
pub fn tile_bytes(bits: Bits, head_dim: usize) -> usize {
    TILE_ROWS * head_dim * bits.count() / 8
}

/// One plane of a tile's codes.
#[derive(Debug, Clone, Copy)]
struct Plane {
    /// Bits of a code in this plane.
    width: usize,
    /// Lowest of them.
    shift: usize,
    /// First byte of the plane.
    start: usize,
}

impl Plane {
    /// First byte, and lowest bit, of what the plane holds of a line.
    fn at(self, line: usize) -> (usize, usize) {
        // A division by a variable would be most of the time of a row.
        let shared = (8 / self.width).trailing_zeros();
        (
            self.start + (line >> shared) * LINE,
            (line & ((1 << shared) - 1)) * self.width,
        )
    }
}

/// The channels of one row that share a line.
struct Run {
    /// Number of channels.
    channels: usize,
    /// Line of the first ones, and its distance to that of the next ones.
    line: usize,
    lines: usize,
    /// Byte of the first channel in its line, and its distance to that of the next one.
    byte: usize,
    bytes: usize,
}

impl Run {
    /// Those of row `row`.
    fn of(role: Role, row: usize) -> Self {
        match role {
            Role::Keys => Self {
                channels: 4,
                line: 0,
                lines: 1,
                byte: row * 4,
                bytes: 1,
            },
            Role::Values => Self {
                channels: 16,
                line: row / 4,
                lines: 4,
                byte: row % 4,
                bytes: 4,
            },
        }
    }
}

/// The planes of codes of this width.
fn planes(bits: Bits, head_dim: usize) -> impl Iterator<Item = Plane> {
    let plane = |width, shift, start| Plane {
        width,
        shift,
        start,
    };
    let (first, second) = match bits {
        Bits::B3 => (
            plane(2, 0, 0),
            Some(plane(1, 2, tile_bytes(Bits::B2, head_dim))),
        ),
        other => (plane(other.count(), 0, 0), None),
    };
    std::iter::once(first).chain(second)
}

/// Writes the codes of one row of a tile; the bytes may hold other rows.
pub(super) fn write_row(bits: Bits, role: Role, tile: &mut [u8], row: usize, codes: &[u8]) {
    let run = Run::of(role, row);
    for plane in planes(bits, codes.len()) {
        let mask = u8::MAX >> (8 - plane.width);
        for (index, codes) in codes.chunks_exact(run.channels).enumerate() {
            let (start, shift) = plane.at(run.line + index * run.lines);
            let bytes = tile[start..start + LINE][run.byte..].iter_mut();
            for (byte, code) in bytes.step_by(run.bytes).zip(codes) {
                *byte = *byte & !(mask << shift) | (code >> plane.shift & mask) << shift;
            }
        }
    }
}

/// Reads the codes of row `row` of a tile of rows of `codes.len()` channels.
///
/// # Panics
/// When the tile is too short.
pub fn read_row(bits: Bits, role: Role, tile: &[u8], row: usize, codes: &mut [u8]) {
    codes.fill(0);
    for plane in planes(bits, codes.len()) {
        let mask = u8::MAX >> (8 - plane.width);
        let line = |line: usize| {
            let (start, shift) = plane.at(line);
            (&tile[start..start + LINE], shift)
        };
        // Of fixed numbers of codes, so that the compiler can use vectors: a plan reads many rows.
        match role {
            Role::Keys => {
                for (index, codes) in codes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let (line, shift) = line(index);
                    let quad = line.as_chunks::<4>().0[row];
                    for (code, byte) in codes.iter_mut().zip(quad) {
                        *code |= (byte >> shift & mask) << plane.shift;
                    }
                }
            }
            Role::Values => {
                for (index, codes) in codes.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                    let (line, shift) = line(index * 4 + row / 4);
                    let shift = 8 * (row % 4) + shift;
                    for (code, quad) in codes.iter_mut().zip(line.as_chunks::<4>().0) {
                        let [byte, ..] = (u32::from_le_bytes(*quad) >> shift).to_le_bytes();
                        *code |= (byte & mask) << plane.shift;
                    }
                }
            }
        }
    }
}

/// Arranges the codes of [`TILE_ROWS`] rows, `[TILE_ROWS, head_dim]`, as a tile.
///
/// # Panics
/// When the buffers do not fit each other.
pub fn arrange(bits: Bits, role: Role, codes: &[u8], tile: &mut [u8]) {
    let head_dim = codes.len() / TILE_ROWS;
    assert_eq!(tile.len(), tile_bytes(bits, head_dim), "bytes of a tile");
    for (row, codes) in codes.chunks_exact(head_dim).enumerate() {
        write_row(bits, role, tile, row, codes);
    }
}
