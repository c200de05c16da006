//! Pages of rows with bounds of their keys, so that a query can pass over those that matter least.
//!
//! The score of a query against any key of a page is at most `Σ_j max(q_j · least_j, q_j · most_j)`
//! (`Quest`, arXiv 2406.10774). With `least` and `most` side by side as one long key, and the query
//! split into its negative and its positive part, that is one dot product: the kernels of attention
//! compute it.

use crate::format::Format;
use crate::kernels::{Digits, Kernels};
use crate::layout::Pages;
use crate::packed::{PackedRows, Role};
use half::f16;
use std::ops::Range;

/// Bounds of the whole pages of one segment, in the order of its rows.
#[derive(Debug, Clone)]
pub(super) struct PageBounds {
    pages: Pages,
    /// A row a page: least, then most of each channel.
    bounds: PackedRows,
}

impl PageBounds {
    pub(super) fn new(pages: Pages, head_dim: usize) -> Self {
        Self {
            pages,
            bounds: PackedRows::new(Format::F16, Role::Keys, 2 * head_dim),
        }
    }

    /// Number of pages that are bounded.
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Bounds the pages that `keys` have filled since the last call.
    pub(super) fn extend(&mut self, kernels: &dyn Kernels, keys: &PackedRows) {
        let head_dim = keys.head_dim();
        let mut page = Vec::with_capacity(self.pages.rows * head_dim);
        while (self.bounds.len() + 1) * self.pages.rows <= keys.len() {
            let first = self.bounds.len() * self.pages.rows;
            page.clear();
            for row in first..first + self.pages.rows {
                keys.gather(kernels, row, &mut page);
            }
            let bound = |pick: fn(f32, f32) -> f32, outward: fn(f32) -> f32| {
                let column = |j: usize| page[j..].iter().step_by(head_dim).copied().reduce(pick);
                let bounds = (0..head_dim).filter_map(column).map(outward);
                bounds.collect::<Vec<f32>>()
            };
            let bounds = [bound(f32::min, below), bound(f32::max, above)].concat();
            self.bounds.push(kernels, &bounds);
        }
    }

    /// Forgets the pages that a change of row `row` reaches, and all after them: their rows count
    /// as those of a page that is not full.
    pub(super) fn forget_from(&mut self, row: usize) {
        self.bounds.truncate(row / self.pages.rows);
    }

    pub(super) fn clear(&mut self) {
        self.bounds.clear();
    }

    /// Bytes held, and bytes allocated for them.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.bounds.payload_bytes(), self.bounds.allocated_bytes())
    }

    /// The rows, of `len`, that the queries of one token `[group, head_dim]` attend to, as ranges:
    /// the pages with the largest bounds over any of the queries, and all rows after the last whole
    /// page. None when that is all of them.
    pub(super) fn select(
        &self,
        kernels: &dyn Kernels,
        q: &[f32],
        len: usize,
        runs: &mut Vec<Range<usize>>,
    ) {
        let (pages, width) = (self.bounds.len(), self.bounds.head_dim());
        let keep = self.pages.tokens / self.pages.rows;
        runs.clear();
        if pages <= keep {
            return;
        }
        let halves = q.chunks_exact(width / 2).flat_map(|q| {
            let negative = q.iter().map(|x| x.min(0.0));
            negative.chain(q.iter().map(|x| x.max(0.0)))
        });
        let halves: Vec<f32> = halves.collect();
        let group = halves.len() / width;
        let mut scores = vec![0.0; group * pages];
        let queries = Digits::NONE.rows(&halves, width, 0..group);
        let all = 0..pages;
        self.bounds
            .scores(kernels, all, queries, &mut scores, pages);
        let (best, others) = scores.split_at_mut(pages);
        for other in others.chunks_exact(pages) {
            best.iter_mut()
                .zip(other)
                .for_each(|(best, x)| *best = best.max(*x));
        }
        let mut order: Vec<usize> = (0..pages).collect();
        let better = |a: &usize, b: &usize| best[*b].total_cmp(&best[*a]).then(a.cmp(b));
        if keep > 0 {
            order.select_nth_unstable_by(keep - 1, better);
        }
        order.truncate(keep);
        order.sort_unstable();
        let rows = self.pages.rows;
        let chosen = order.into_iter().map(|page| page * rows..(page + 1) * rows);
        for next in chosen.chain(std::iter::once(pages * rows..len)) {
            match runs.last_mut() {
                Some(last) if last.end == next.start => last.end = next.end,
                _ => runs.push(next),
            }
        }
    }
}

/// The largest f16 that is not above `x`.
fn below(x: f32) -> f32 {
    let near = f16::from_f32(x);
    if near.to_f32() <= x {
        return near.to_f32();
    }
    // Neighbours have neighbouring bits, sign and magnitude apart.
    let bits = near.to_bits();
    let next = match bits {
        0 | 0x8000 => 0x8001,
        _ if near.is_sign_negative() => bits + 1,
        _ => bits - 1,
    };
    f16::from_bits(next).to_f32()
}

/// The smallest f16 that is not below `x`.
fn above(x: f32) -> f32 {
    -below(-x)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "rounded numbers are exact")]
#[allow(clippy::single_range_in_vec_init, reason = "a list of ranges")]
mod tests {
    use super::*;
    use crate::kernels::Reference;
    use crate::{Bits, Tier};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_outward_and_to_a_neighbour(x in -60_000.0f32..60_000.0, small: bool) {
            let x = if small { x * 1e-9 } else { x };
            let (low, high) = (below(x), above(x));
            prop_assert!(low <= x && x <= high);
            let near = f16::from_f32(x).to_f32();
            prop_assert!(near.to_bits() == low.to_bits() || near == low || near == high);
            prop_assert!(f16::from_f32(low).to_f32() == low && f16::from_f32(high).to_f32() == high);
        }

        #[test]
        fn no_score_is_above_the_bound_of_its_page(
            keys in prop::collection::vec(-4.0f32..4.0, 40 * 32),
            query in prop::collection::vec(-3.0f32..3.0, 2 * 32),
            bits in prop::sample::select(vec![Bits::B2, Bits::B4, Bits::F16]),
        ) {
            let format = if bits == Bits::F16 { Format::F16 } else { Format::asymmetric(bits, 32) };
            let mut stored = PackedRows::new(Tier::same(format).k, Role::Keys, 32);
            stored.push(&Reference, &keys);
            let pages = Pages { rows: 16, tokens: 16, full_layers: 0 };
            let mut bounds = PageBounds::new(pages, 32);
            bounds.extend(&Reference, &stored);
            prop_assert_eq!(bounds.bounds.len(), 2);
            let mut decoded = vec![0.0; 40 * 32];
            stored.decode(&Reference, &mut decoded);
            let mut held = vec![0.0; 2 * 64];
            bounds.bounds.decode(&Reference, &mut held);
            for (page, held) in decoded.chunks_exact(16 * 32).zip(held.chunks_exact(64)) {
                for key in page.chunks_exact(32) {
                    for (j, x) in key.iter().enumerate() {
                        prop_assert!(held[j] <= *x && *x <= held[32 + j]);
                    }
                }
            }
            // The one page of two with the larger bound over both queries, and the rest.
            let bound = |page: usize| {
                let of = |q: &[f32]| -> f32 {
                    let h = &held[page * 64..][..64];
                    (0..32).map(|j| (q[j] * h[j]).max(q[j] * h[32 + j])).sum()
                };
                query.chunks_exact(32).map(of).fold(f32::NEG_INFINITY, f32::max)
            };
            let mut runs = Vec::new();
            bounds.select(&Reference, &query, 43, &mut runs);
            let (first, second) = (bound(0), bound(1));
            prop_assume!((first - second).abs() > 1e-3);
            let expected = if first > second { vec![0..16, 32..43] } else { vec![16..43] };
            prop_assert_eq!(runs, expected);
        }
    }
}
