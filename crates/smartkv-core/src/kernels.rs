//! The seam between the cache and the instruction set: few operations on packed rows.
//!
//! [`Reference`] is plain scalar code that is right for every format; faster implementations live
//! in `smartkv-kernels` and are held to it by one conformance suite.

mod digits;
mod fp8;
mod reference;

pub use digits::{DigitParts, Digits, Queries};
pub use fp8::{f8_from_f32, f8_to_f32};
pub(crate) use reference::GroupValues;
pub use reference::{INTERLEAVED, Reference};

use crate::format::Format;
use crate::packed::Role;
use half::f16;
use std::fmt::Debug;

/// A read-only view of whole tiles of rows in integer codes, see [`crate::packed`].
///
/// With groups of channels, a tile has 16 scales (and zero points) a group, one a row, group after
/// group. With groups of tokens, a block of `format.block_rows()` rows has `head_dim` of them, and
/// the view holds whole blocks. Kernels must not read beyond the slices.
#[derive(Debug, Clone, Copy)]
pub struct Tiles<'a> {
    /// How the rows are stored.
    pub format: Format,
    /// What they are arranged for.
    pub role: Role,
    /// Channels of a row.
    pub head_dim: usize,
    /// Number of tiles.
    pub count: usize,
    /// Codes, [`tile_bytes`](crate::packed::tile_bytes) a tile.
    pub payload: &'a [u8],
    /// Scales.
    pub scales: &'a [f16],
    /// Zero points; empty in a symmetric format.
    pub zeros: &'a [f16],
}

/// A read-only view of packed rows that lie one after another.
///
/// Row `t` takes `format.payload_bytes(head_dim)` bytes of `payload`, `format.scales(head_dim)`
/// entries of `scales` and `format.zeros(head_dim)` entries of `zeros`, all row-major.
/// Kernels must not read beyond the slices.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// How the rows are stored.
    pub format: Format,
    /// Channels of a row.
    pub head_dim: usize,
    /// Number of rows.
    pub len: usize,
    /// Codes, or little-endian elements of a floating-point format.
    pub payload: &'a [u8],
    /// Scales, `len * format.scales(head_dim)`.
    pub scales: &'a [f16],
    /// Zero points, `len * format.zeros(head_dim)`.
    pub zeros: &'a [f16],
}

impl<'a> Rows<'a> {
    /// The rows `start .. start + len`.
    ///
    /// # Panics
    /// When the range does not lie inside the view.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Rows<'a> {
        assert!(
            start + len <= self.len,
            "rows {start}+{len} of {}",
            self.len
        );
        let cut = |per_row: usize| start * per_row..(start + len) * per_row;
        Rows {
            len,
            payload: &self.payload[cut(self.format.payload_bytes(self.head_dim))],
            scales: &self.scales[cut(self.format.scales(self.head_dim))],
            zeros: &self.zeros[cut(self.format.zeros(self.head_dim))],
            ..*self
        }
    }
}

/// Where encoded rows are appended: the growing buffers behind a [`Rows`] view.
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// Codes, see [`Rows::payload`].
    pub payload: &'a mut Vec<u8>,
    /// Scales, see [`Rows::scales`].
    pub scales: &'a mut Vec<f16>,
    /// Zero points, see [`Rows::zeros`].
    pub zeros: &'a mut Vec<f16>,
}

/// Operations on packed rows. All are pure; none knows a strategy.
///
/// `n` below is the number of queries, `q.len() / head_dim`. Queries of one call share every
/// loaded key and value, so that a group of query heads reads the cache once.
pub trait Kernels: Debug + Send + Sync {
    /// Name for reports, such as `scalar` or `avx2`.
    fn name(&self) -> &'static str;

    /// Scores of queries against keys: `out[i * stride + t] = Σ_j q[i][j] · K[t][j]`
    /// for `i < n`, `t < keys.len`. `q` is `[n, head_dim]`.
    fn scores(&self, keys: Rows<'_>, q: &[f32], out: &mut [f32], stride: usize);

    /// Mixes values by weights: `acc[i][j] += Σ_t p[i * stride + t] · V[t][j]`. `acc` is
    /// `[n, head_dim]`.
    fn mix(&self, values: Rows<'_>, p: &[f32], stride: usize, acc: &mut [f32]);

    /// Replaces each `x` by `exp(x - max x)` and returns `(max x, Σ exp(x - max x))`.
    /// Entries of `-inf` become 0. `(−inf, 0)` for an empty slice.
    fn softmax_part(&self, x: &mut [f32]) -> (f32, f32) {
        reference::softmax_part(x)
    }

    /// Bounds scores: each `x` becomes `cap · tanh((x + offset) / cap)`, within `2^-20 · cap`.
    fn softcap(&self, x: &mut [f32], offset: f32, cap: f32) {
        reference::softcap(x, offset, cap);
    }

    /// Encodes the rows of `x` (`[rows, head_dim]`, finite, within f16 range) and appends them.
    /// Scales and zero points are rounded so that no value clips; codes are computed against
    /// the rounded ones.
    ///
    /// Where the root mean square of a group decides, its squares are added in f64, value `i` to sum
    /// `i % INTERLEAVED` of [`INTERLEAVED`] sums. Of these the upper half is added to the lower one
    /// until one is left. Its mean, root and scale are f64 too, and the scale is rounded to nearest.
    fn encode(&self, format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
        reference::encode(format, head_dim, x, out);
    }

    /// Decodes rows to f32: `out` is `[rows.len, head_dim]`.
    fn decode(&self, rows: Rows<'_>, out: &mut [f32]) {
        reference::decode(rows, out);
    }

    /// Adds weighted rows of floats: `out[t] += Σ_i weights[i] · x[i * stride + t]` for
    /// `t < out.len()`.
    fn add_rows(&self, x: &[f32], stride: usize, weights: &[f32], out: &mut [f32]) {
        reference::add_rows(x, stride, weights, out);
    }

    /// The digits of queries against keys in this format, to be computed once for all their
    /// tiles. `q` is `[n, head_dim]`. None unless an implementation multiplies integers.
    fn digits(&self, format: Format, head_dim: usize, q: &[f32]) -> Digits {
        let mut digits = Digits::default();
        self.split_queries(format, head_dim, q, &mut digits);
        digits
    }

    /// [`digits`](Self::digits) in place of others, whose memory is used again.
    fn split_queries(&self, format: Format, head_dim: usize, q: &[f32], digits: &mut Digits) {
        let _ = (format, head_dim, q);
        digits.clear();
    }

    /// [`scores`](Self::scores) against whole tiles of keys. The error is that of the queries'
    /// [`Digits`], if any.
    fn score_tiles(&self, keys: Tiles<'_>, q: Queries<'_>, out: &mut [f32], stride: usize) {
        reference::score_tiles(keys, q.values, out, stride);
    }

    /// [`mix`](Self::mix) of whole tiles of values. An implementation may round weights to 14
    /// bits of the largest of the 64 rows around.
    fn mix_tiles(&self, values: Tiles<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
        reference::mix_tiles(values, p, stride, acc);
    }

    /// [`encode`](Self::encode) of whole tiles: `x` has a multiple of
    /// [`TILE_ROWS`](crate::packed::TILE_ROWS) rows, and of the format's block.
    fn encode_tiles(
        &self,
        format: Format,
        role: Role,
        head_dim: usize,
        x: &[f32],
        out: RowsMut<'_>,
    ) {
        reference::encode_tiles(format, role, head_dim, x, out);
    }

    /// [`decode`](Self::decode) of whole tiles: `out` is `[16 * tiles.count, head_dim]`.
    fn decode_tiles(&self, tiles: Tiles<'_>, out: &mut [f32]) {
        reference::decode_tiles(tiles, out);
    }
}
