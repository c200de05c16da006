//! How wide the ranges are that rows' codes span: what rounding errors are estimated from.

use super::{PackedRows, TILE_ROWS};
use crate::format::Axis;
use crate::kernels::Kernels;
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use std::ops::Range;

impl PackedRows {
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
