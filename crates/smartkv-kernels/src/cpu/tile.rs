//! Many queries: rows are unpacked once into panels of f32 that a register-blocked product of
//! matrices then reads.
//!
//! A panel is two vectors wide. Scores take panels of keys, transposed (a line is one channel of
//! many keys); the mix takes panels of channels (a line is one value).

use super::packed::{Decode, Grids, Packed, Place};
use super::parts;
use super::simd::{Kernel, MAX_LANES, Simd};

/// Values of a tile to aim for: half of a small first-level cache.
const TILE: usize = 4096;

/// Rows of a tile: a multiple of every panel's width.
fn tile_rows(head_dim: usize) -> usize {
    (TILE / head_dim).next_multiple_of(2 * MAX_LANES).min(128)
}

/// [`smartkv_core::Kernels::scores`] for many queries.
pub(super) fn scores<S: Simd, const BITS: usize>(
    simd: S,
    keys: &Packed<'_>,
    q: &[f32],
    out: &mut [f32],
    stride: usize,
) {
    let (head_dim, len) = (keys.rows.head_dim, keys.rows.len);
    let (height, width) = (tile_rows(head_dim), 2 * S::LANES);
    let grids = &mut Grids::new(keys.groups);
    let mut plain = vec![0.0; height * head_dim];
    let mut panels = vec![0.0; height * head_dim];
    for start in (0..len).step_by(height) {
        let count = height.min(len - start);
        let place = Place::plain::<S>(head_dim);
        simd.vectorize(Decode::<BITS> {
            rows: keys,
            start,
            count,
            out: &mut plain,
            place,
            grids,
        });
        simd.vectorize(Transpose {
            head_dim,
            rows: count,
            from: &plain,
            to: &mut panels,
        });
        for (p, panel) in panels.chunks_exact(width * head_dim).enumerate() {
            let Some(columns) = count.checked_sub(p * width).filter(|&columns| columns > 0) else {
                break;
            };
            let mut product = Product {
                a: q,
                a_stride: head_dim,
                depth: head_dim,
                panel,
                c: &mut out[start + p * width..],
                c_stride: stride,
                columns: columns.min(width),
                add: false,
            };
            product.all(simd, q.len() / head_dim);
        }
    }
}

/// [`smartkv_core::Kernels::mix`] for many queries.
pub(super) fn mix<S: Simd, const BITS: usize>(
    simd: S,
    values: &Packed<'_>,
    p: &[f32],
    stride: usize,
    acc: &mut [f32],
) {
    let (head_dim, len) = (values.rows.head_dim, values.rows.len);
    let (height, width) = (tile_rows(head_dim), 2 * S::LANES);
    let queries = acc.len() / head_dim;
    let grids = &mut Grids::new(values.groups);
    let mut panels = vec![0.0; height * head_dim.next_multiple_of(width)];
    for start in (0..len).step_by(height) {
        let count = height.min(len - start);
        let place = Place::panels::<S>(height);
        simd.vectorize(Decode::<BITS> {
            rows: values,
            start,
            count,
            out: &mut panels,
            place,
            grids,
        });
        for (j, panel) in panels.chunks_exact(width * height).enumerate() {
            let mut product = Product {
                a: &p[start..],
                a_stride: stride,
                depth: count,
                panel,
                c: &mut acc[j * width..],
                c_stride: head_dim,
                columns: width.min(head_dim - j * width),
                add: true,
            };
            product.all(simd, queries);
        }
    }
}

/// Turns `rows` rows into panels of two vectors of rows; a line is one channel.
struct Transpose<'a> {
    head_dim: usize,
    rows: usize,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Transpose<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            head_dim,
            rows,
            from,
            to,
        } = self;
        let width = 2 * S::LANES;
        // Rows are moved by eight; those after the last one are never looked at.
        assert!(from.len() >= rows.next_multiple_of(8) * head_dim);
        assert!(to.len() >= rows.next_multiple_of(width) * head_dim);
        for t in (0..rows).step_by(8) {
            let panel = t / width * width * head_dim + t % width;
            for j in (0..head_dim).step_by(8) {
                // SAFETY: rows `t .. t + 8` and channels `j .. j + 8` lie within both buffers.
                unsafe {
                    let from = from.as_ptr().add(t * head_dim + j);
                    let to = to.as_mut_ptr().add(panel + j * width);
                    simd.transpose8(from, head_dim, to, width);
                }
            }
        }
    }
}

/// `c[i][..columns] = Σ_k a[i][k] · panel[k]`, added to `c` if `add`.
struct Product<'a> {
    a: &'a [f32],
    a_stride: usize,
    depth: usize,
    panel: &'a [f32],
    c: &'a mut [f32],
    c_stride: usize,
    columns: usize,
    add: bool,
}

impl Product<'_> {
    /// All `m` rows, as many at a time as fit in registers.
    fn all<S: Simd>(&mut self, simd: S, m: usize) {
        for (i, count) in parts(m, S::TILE_QUERIES) {
            match count {
                1 => simd.vectorize(Block::<1> { of: self, i }),
                2 => simd.vectorize(Block::<2> { of: self, i }),
                3 => simd.vectorize(Block::<3> { of: self, i }),
                4 => simd.vectorize(Block::<4> { of: self, i }),
                5 => simd.vectorize(Block::<5> { of: self, i }),
                6 => simd.vectorize(Block::<6> { of: self, i }),
                7 => simd.vectorize(Block::<7> { of: self, i }),
                _ => simd.vectorize(Block::<8> { of: self, i }),
            }
        }
    }
}

/// The rows `i .. i + M` of a product.
struct Block<'a, 'b, const M: usize> {
    of: &'a mut Product<'b>,
    i: usize,
}

impl<const M: usize> Kernel for Block<'_, '_, M> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Product {
            a,
            a_stride,
            depth,
            panel,
            ref mut c,
            c_stride,
            columns,
            add,
        } = *self.of;
        let (a, c) = (&a[self.i * a_stride..], &mut c[self.i * c_stride..]);
        let width = 2 * S::LANES;
        assert!(depth > 0 && columns <= width);
        assert!(
            a.len() >= (M - 1) * a_stride + depth,
            "left matrix: too short"
        );
        assert!(panel.len() >= depth * width, "panel: too short");
        assert!(
            c.len() >= (M - 1) * c_stride + columns,
            "product: too short"
        );
        let mut sums = [[simd.splat(0.0); 2]; M];
        // SAFETY: every index is within the lengths just checked.
        unsafe {
            for k in 0..depth {
                let line = panel.as_ptr().add(k * width);
                let b = [simd.load(line), simd.load(line.add(S::LANES))];
                for (i, sum) in sums.iter_mut().enumerate() {
                    let a = simd.splat(*a.get_unchecked(i * a_stride + k));
                    sum[0] = simd.fma(a, b[0], sum[0]);
                    sum[1] = simd.fma(a, b[1], sum[1]);
                }
            }
            for (i, sum) in sums.iter().enumerate() {
                let row = c.as_mut_ptr().add(i * c_stride);
                for (half, &sum) in sum.iter().enumerate() {
                    let count = columns.saturating_sub(half * S::LANES).min(S::LANES);
                    let at = row.add(half * S::LANES.min(columns));
                    if add && count == S::LANES {
                        simd.store(at, simd.add(simd.load(at), sum));
                    } else if add {
                        let mut all = [0.0; MAX_LANES];
                        simd.store(all.as_mut_ptr(), sum);
                        for (j, value) in all[..count].iter().enumerate() {
                            *at.add(j) += value;
                        }
                    } else {
                        simd.store_first(at, sum, count);
                    }
                }
            }
        }
    }
}
