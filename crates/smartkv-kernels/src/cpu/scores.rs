//! Scores of a few queries: every key is unpacked in registers and shared by the queries.

use super::packed::{Codes, Grids, MAX_HEAD_DIM, Packed};
use super::simd::{Kernel, MAX_LANES, Simd, width};
use std::mem::MaybeUninit;

/// Arguments of [`Scores`]: the queries' rows, and scores that begin at the row of the first.
pub(super) struct ScoresCall<'a> {
    pub(super) keys: &'a Packed<'a>,
    pub(super) q: &'a [f32],
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
}

/// Scores of `NQ` queries. `PAIRS` when the vectors of a group are even in number, so that two
/// are decoded at once.
pub(super) struct Scores<'a, const BITS: usize, const NQ: usize, const PAIRS: bool>(
    pub(super) ScoresCall<'a>,
);

/// Vectors of partial sums, one for each key of a block.
#[repr(align(64))]
struct Partial([f32; MAX_LANES * MAX_LANES]);

impl<const BITS: usize, const NQ: usize, const PAIRS: bool> Kernel for Scores<'_, BITS, NQ, PAIRS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // As many keys at a time as leave registers for their sums with four queries.
        if S::LANES == 16 && NQ < 4 {
            self.by_keys::<S, 4>(simd)
        } else {
            self.by_keys::<S, 2>(simd)
        }
    }
}

impl<const BITS: usize, const NQ: usize, const PAIRS: bool> Scores<'_, BITS, NQ, PAIRS> {
    /// All scores, `KEYS` keys at a time.
    #[inline(always)]
    fn by_keys<S: Simd, const KEYS: usize>(self, simd: S) {
        let ScoresCall {
            keys,
            q,
            out,
            stride,
        } = self.0;
        let (len, head_dim) = (keys.rows.len, keys.rows.head_dim);
        assert_eq!(q.len(), NQ * head_dim, "queries");
        assert!(out.len() >= (NQ - 1) * stride + len, "scores: too short");
        assert!(
            !PAIRS || keys.group.is_multiple_of(2 * S::LANES),
            "groups of odd vectors"
        );
        let mut ordered = [[const { MaybeUninit::<f32>::uninit() }; MAX_HEAD_DIM]; NQ];
        let mut queries = [q.as_ptr(); NQ];
        for (i, (query, ordered)) in queries.iter_mut().zip(&mut ordered).enumerate() {
            *query = q[i * head_dim..].as_ptr();
            if PAIRS && S::reorders::<BITS>() {
                let vectors = head_dim / S::LANES;
                // SAFETY: both hold `head_dim` values, an even number of vectors.
                unsafe { in_order::<S, BITS>(simd, *query, vectors, ordered.as_mut_ptr().cast()) };
                *query = ordered.as_ptr().cast();
            }
        }
        let mut grids = Grids::new(keys.groups);
        let mut partial = [const { Partial([0.0; MAX_LANES * MAX_LANES]) }; NQ];
        let block = Dots::<NQ> {
            queries,
            codes: keys.codes(),
            groups: keys.groups,
            per_group: keys.group / S::LANES,
        };
        let step = keys.grid_rows();
        for first in (0..len).step_by(step) {
            let some = step.min(len - first);
            grids.fill::<S, BITS>(simd, &keys.rows, first, some);
            for start in (0..some).step_by(S::LANES) {
                let count = S::LANES.min(some - start);
                for r in (0..count).step_by(KEYS) {
                    // SAFETY: the keys exist, but for those cut off by `last`, and their scales
                    // were taken in; the queries hold `head_dim` values; `KEYS` divides `LANES`.
                    unsafe {
                        let (at, last) = (start + r, start + count - 1);
                        let dots =
                            block.dots::<S, BITS, KEYS, PAIRS>(simd, &grids, first, at, last);
                        for (sums, partial) in dots.iter().zip(&mut partial) {
                            for (k, &sum) in sums.iter().enumerate() {
                                simd.store(partial.0.as_mut_ptr().add((r + k) * S::LANES), sum);
                            }
                        }
                    }
                }
                for (i, sums) in partial.iter().enumerate() {
                    // SAFETY: a block of partial sums is `LANES * LANES` values; `out` has
                    // `len` values at `i * stride`.
                    unsafe {
                        let sums = simd.row_sums(sums.0.as_ptr());
                        let at = out.as_mut_ptr().add(i * stride + first + start);
                        simd.store_first(at, sums, count);
                    }
                }
            }
        }
    }
}

/// Puts a query into the order of [`Simd::decode_pair`].
///
/// # Safety
/// `from` must be valid for reading and `to` for writing `vectors` vectors, an even number.
#[inline(always)]
unsafe fn in_order<S: Simd, const BITS: usize>(
    simd: S,
    from: *const f32,
    vectors: usize,
    to: *mut f32,
) {
    for v in (0..vectors).step_by(2) {
        // SAFETY: promised by the caller.
        unsafe {
            let from = from.add(v * S::LANES);
            let pair = simd.in_order::<BITS>([simd.load(from), simd.load(from.add(S::LANES))]);
            simd.store(to.add(v * S::LANES), pair[0]);
            simd.store(to.add((v + 1) * S::LANES), pair[1]);
        }
    }
}

/// What the innermost loops need, in registers.
struct Dots<'a, const NQ: usize> {
    queries: [*const f32; NQ],
    codes: Codes<'a>,
    groups: usize,
    per_group: usize,
}

impl<const NQ: usize> Dots<'_, NQ> {
    /// Partial sums of the queries with `KEYS` keys, whose scales were taken in as `at` and
    /// following. Instead of a key after `last`, that one is taken again.
    ///
    /// # Safety
    /// The keys `first + at .. first + last` must exist, `grids` hold their scales, and the
    /// queries be valid for reading a row.
    #[expect(clippy::needless_range_loop, reason = "one index into several arrays")]
    #[inline(always)]
    unsafe fn dots<S: Simd, const BITS: usize, const KEYS: usize, const PAIRS: bool>(
        &self,
        simd: S,
        grids: &Grids,
        first: usize,
        at: usize,
        last: usize,
    ) -> [[S::V; KEYS]; NQ] {
        let mut sums = [[simd.splat(0.0); KEYS]; NQ];
        let mut rows = [std::ptr::null(); KEYS];
        // SAFETY: promised by the caller; the vectors of all groups are those of the row.
        unsafe {
            for (k, row) in rows.iter_mut().enumerate() {
                *row = self.codes.row(first + (at + k).min(last));
            }
            let mut v = 0;
            for g in 0..self.groups {
                let mut grid = [simd.grid::<BITS>(0.0, 0.0); KEYS];
                for (k, grid) in grid.iter_mut().enumerate() {
                    *grid = grids.grid::<S, BITS>(simd, (at + k).min(last), g);
                }
                let end = v + self.per_group;
                while v < end {
                    let mut decoded = [[simd.splat(0.0); 2]; KEYS];
                    for k in 0..KEYS {
                        let at = rows[k].add(v * S::LANES * width(BITS) / 8);
                        if PAIRS {
                            decoded[k] = simd.decode_pair::<BITS>(at, grid[k]);
                        } else {
                            decoded[k][0] = simd.decode::<BITS>(at, grid[k]);
                        }
                    }
                    for half in 0..1 + usize::from(PAIRS) {
                        for i in 0..NQ {
                            let query = simd.load(self.queries[i].add((v + half) * S::LANES));
                            for k in 0..KEYS {
                                sums[i][k] = simd.fma(query, decoded[k][half], sums[i][k]);
                            }
                        }
                    }
                    v += 1 + usize::from(PAIRS);
                }
            }
        }
        sums
    }
}
