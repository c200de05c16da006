//! The innermost step: lines times digits.
#![expect(
    clippy::needless_range_loop,
    reason = "unrolled, and held in registers"
)]

use super::Integers;

/// Where the digits of the queries of a block lie.
pub(super) trait Source: Copy {
    /// The four high and the four low digits of a query with the `line`-th line.
    ///
    /// # Safety
    /// The query and the line must exist; so do the digits then.
    unsafe fn digits(self, query: usize, line: usize) -> (*const i8, *const i8);
}

/// Products of `NQ` queries with `T` rows of lanes, so far.
pub(super) struct Sums<S: Integers, const NQ: usize, const T: usize> {
    high: [[S::Sums; T]; NQ],
    low: [[S::Sums; T]; NQ],
}

impl<S: Integers, const NQ: usize, const T: usize> Sums<S, NQ, T> {
    /// Zeros.
    #[inline(always)]
    pub(super) fn new(simd: S) -> Self {
        let zero = [[simd.splat_int(0); T]; NQ];
        Self {
            high: zero,
            low: zero,
        }
    }

    /// Adds the products of `lines` with the digits of their channels, or rows.
    ///
    /// # Safety
    /// The source must have `NQ` queries and this line.
    #[inline(always)]
    pub(super) unsafe fn add<Q: Source>(
        &mut self,
        simd: S,
        lines: [S::Codes; T],
        source: Q,
        line: usize,
    ) {
        for i in 0..NQ {
            // SAFETY: promised by the caller.
            let (high, low) = unsafe {
                let (high, low) = source.digits(i, line);
                (simd.spread(high), simd.spread(low))
            };
            for t in 0..T {
                self.high[i][t] = simd.dot(self.high[i][t], lines[t], high);
                self.low[i][t] = simd.dot(self.low[i][t], lines[t], low);
            }
        }
    }

    /// The exact sums. By value: the compiler keeps what it was made from in registers, even if
    /// the loop that takes the sums apart is not unrolled.
    #[inline(always)]
    pub(super) fn whole(self, simd: S) -> [[S::Sums; T]; NQ] {
        let mut whole = self.low;
        for i in 0..NQ {
            for t in 0..T {
                whole[i][t] = simd.whole(self.high[i][t], self.low[i][t]);
            }
        }
        whole
    }
}
