//! Mix of values by the weights of a few queries: every value is unpacked in registers and
//! shared by the queries.

use super::packed::{Grids, Packed};
use super::simd::{Kernel, Simd, width};

/// Arguments of [`Mix`]: weights that begin at the row of the first query, and the queries' sums.
pub(super) struct MixCall<'a> {
    pub(super) values: &'a Packed<'a>,
    pub(super) p: &'a [f32],
    pub(super) stride: usize,
    pub(super) acc: &'a mut [f32],
}

/// Mix for `NQ` queries. `PAIRS` when the vectors of a group are even in number, so that two are
/// decoded at once.
pub(super) struct Mix<'a, const BITS: usize, const NQ: usize, const PAIRS: bool>(
    pub(super) MixCall<'a>,
);

impl<const BITS: usize, const NQ: usize, const PAIRS: bool> Kernel for Mix<'_, BITS, NQ, PAIRS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // As many vectors of channels at a time as there are registers for.
        if S::LANES == 16 || NQ < 3 {
            self.by_vectors::<S, 4>(simd);
        } else {
            self.by_vectors::<S, 2>(simd);
        }
    }
}

impl<const BITS: usize, const NQ: usize, const PAIRS: bool> Mix<'_, BITS, NQ, PAIRS> {
    /// The whole mix, `WIDTH` vectors of channels at a time.
    #[inline(always)]
    fn by_vectors<S: Simd, const WIDTH: usize>(self, simd: S) {
        let MixCall {
            values,
            p,
            stride,
            acc,
        } = self.0;
        let len = values.rows.len;
        assert_eq!(acc.len(), NQ * values.rows.head_dim, "accumulators");
        assert!(p.len() >= (NQ - 1) * stride + len, "weights: too short");
        assert!(
            !PAIRS || values.group.is_multiple_of(2 * S::LANES),
            "groups of odd vectors"
        );
        let mut grids = Grids::new(values.groups);
        let vectors = values.rows.head_dim / S::LANES;
        let per_group = values.group / S::LANES;
        let step = values.grid_rows();
        for first in (0..len).step_by(step) {
            let count = step.min(len - first);
            grids.fill::<S, BITS>(simd, &values.rows, first, count);
            let part = Part {
                values,
                grids: &grids,
                first,
                count,
                p: &p[first..],
                stride,
            };
            let mut v = 0;
            while v < vectors {
                let one_group = v / per_group == (v + WIDTH - 1) / per_group;
                // SAFETY: the vectors belong to the row, and are even in number if `PAIRS`;
                // everything else was checked above.
                unsafe {
                    if v + WIDTH <= vectors && one_group {
                        part.add::<S, BITS, NQ, WIDTH, PAIRS, true>(simd, v, acc);
                        v += WIDTH;
                    } else if v + WIDTH <= vectors {
                        part.add::<S, BITS, NQ, WIDTH, PAIRS, false>(simd, v, acc);
                        v += WIDTH;
                    } else if PAIRS {
                        part.add::<S, BITS, NQ, 2, true, true>(simd, v, acc);
                        v += 2;
                    } else {
                        part.add::<S, BITS, NQ, 1, false, true>(simd, v, acc);
                        v += 1;
                    }
                }
            }
        }
    }
}

/// Rows whose scales were taken in, and their weights.
struct Part<'a> {
    values: &'a Packed<'a>,
    grids: &'a Grids,
    first: usize,
    count: usize,
    p: &'a [f32],
    stride: usize,
}

impl Part<'_> {
    /// Adds the channels of the vectors `v .. v + WIDTH`, all of one group if `ONE_GROUP`.
    ///
    /// # Safety
    /// The rows and vectors must exist, `grids` hold the rows' scales, `p` the weights of `NQ`
    /// queries and `acc` their accumulators. If `PAIRS`, `v`, `WIDTH` and the vectors of a group
    /// must be even.
    #[inline(always)]
    unsafe fn add<
        S: Simd,
        const BITS: usize,
        const NQ: usize,
        const WIDTH: usize,
        const PAIRS: bool,
        const ONE_GROUP: bool,
    >(
        &self,
        simd: S,
        v: usize,
        acc: &mut [f32],
    ) {
        let Self {
            values,
            grids,
            first,
            count,
            p,
            stride,
        } = *self;
        let codes = values.codes();
        let head_dim = values.rows.head_dim;
        let per_group = values.group / S::LANES;
        let acc = acc.as_mut_ptr();
        let mut sums = [[simd.splat(0.0); WIDTH]; NQ];
        // SAFETY: promised by the caller.
        unsafe {
            for t in 0..count {
                let row = codes.row(first + t).add(v * S::LANES * width(BITS) / 8);
                let mut grid = grids.grid::<S, BITS>(simd, t, v / per_group);
                let mut weight = [simd.splat(0.0); NQ];
                for (i, w) in weight.iter_mut().enumerate() {
                    *w = simd.splat(*p.get_unchecked(i * stride + t));
                }
                let mut j = 0;
                while j < WIDTH {
                    if !ONE_GROUP && j > 0 {
                        grid = grids.grid::<S, BITS>(simd, t, (v + j) / per_group);
                    }
                    let at = row.add(j * S::LANES * width(BITS) / 8);
                    if PAIRS {
                        let value = simd.decode_pair::<BITS>(at, grid);
                        for (sum, &w) in sums.iter_mut().zip(&weight) {
                            sum[j] = simd.fma(w, value[0], sum[j]);
                            sum[j + 1] = simd.fma(w, value[1], sum[j + 1]);
                        }
                        j += 2;
                    } else {
                        let value = simd.decode::<BITS>(at, grid);
                        for (sum, &w) in sums.iter_mut().zip(&weight) {
                            sum[j] = simd.fma(w, value, sum[j]);
                        }
                        j += 1;
                    }
                }
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                if PAIRS {
                    for pair in sum.as_chunks_mut::<2>().0 {
                        *pair = simd.natural::<BITS>(*pair);
                    }
                }
                for (j, &sum) in sum.iter().enumerate() {
                    let at = acc.add(i * head_dim + (v + j) * S::LANES);
                    simd.store(at, simd.add(simd.load(at), sum));
                }
            }
        }
    }
}
