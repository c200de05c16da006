//! Longest common subsequence of long sequences, bit-parallel.
//!
//! Row `i` of the dynamic programme is kept as one bit a column: 0 where the length grows from
//! column `j - 1` to `j`. A row follows from the one above by an addition with carry (Crochemore
//! et al. 2001, Hyyrö 2004). Lengths need one row; which items are matched is read back from
//! rows recomputed block by block, so memory grows as `m * sqrt(n) / 8` bytes, never as `n * m`.

use std::collections::HashMap;
use std::hash::Hash;

/// Length of the longest common subsequence.
#[must_use]
pub fn lcs_len<T: Eq + Hash>(a: &[T], b: &[T]) -> usize {
    let columns = Columns::of(b);
    let mut row = columns.first_row();
    for item in a {
        columns.advance(&mut row, item);
    }
    row.iter().map(|word| word.count_zeros() as usize).sum()
}

/// Index pairs of one longest common subsequence, ascending.
///
/// There may be several: reading back from the end, equal items match at once, and otherwise a
/// row is left only when the column cannot be. Published ROUGE values depend on this rule.
pub(super) fn lcs_pairs<T: Eq + Hash>(rows: &[T], columns: &[T]) -> Vec<(usize, usize)> {
    let lookup = Columns::of(columns);
    let block = rows.len().isqrt().max(1);
    let mut row = lookup.first_row();
    let mut block_starts = Vec::with_capacity(rows.len() / block + 1);
    for chunk in rows.chunks(block) {
        block_starts.push(row.clone());
        chunk.iter().for_each(|item| lookup.advance(&mut row, item));
    }

    let mut pairs = Vec::new();
    let mut j = columns.len();
    for (index, mut row) in block_starts.into_iter().enumerate().rev() {
        let first = index * block;
        let chunk = &rows[first..(first + block).min(rows.len())];
        let below: Vec<Vec<u64>> = chunk
            .iter()
            .map(|item| {
                lookup.advance(&mut row, item);
                row.clone()
            })
            .collect();
        for (i, bits) in below.iter().enumerate().rev() {
            while j > 0 && rows[first + i] != columns[j - 1] && !grows(bits, j - 1) {
                j -= 1;
            }
            if j > 0 && rows[first + i] == columns[j - 1] {
                pairs.push((first + i, j - 1));
                j -= 1;
            }
        }
    }
    pairs.reverse();
    pairs
}

/// Whether the length grows at this column.
fn grows(row: &[u64], column: usize) -> bool {
    row[column / 64] >> (column % 64) & 1 == 0
}

/// Where each item stands in the sequence along the columns.
struct Columns<'a, T> {
    places: HashMap<&'a T, Vec<usize>>,
    words: usize,
}

impl<'a, T: Eq + Hash> Columns<'a, T> {
    fn of(items: &'a [T]) -> Self {
        let mut places: HashMap<&T, Vec<usize>> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            places.entry(item).or_default().push(place);
        }
        Self {
            places,
            words: items.len().div_ceil(64),
        }
    }

    fn first_row(&self) -> Vec<u64> {
        vec![u64::MAX; self.words]
    }

    /// The row after one more item: `v = (v + (v & m)) | (v & !m)`, `m` the item's columns.
    fn advance(&self, row: &mut [u64], item: &T) {
        let Some(places) = self.places.get(item) else {
            return;
        };
        let mut places = places.iter().copied().peekable();
        let mut carry = false;
        for (index, word) in row.iter_mut().enumerate() {
            let mut mask = 0_u64;
            while let Some(place) = places.next_if(|place| place / 64 == index) {
                mask |= 1 << (place % 64);
            }
            let (sum, over) = word.overflowing_add(*word & mask);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            carry = over || over_by_carry;
            *word = sum | (*word & !mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook table, read back by the same rule.
    fn table(a: &[u8], b: &[u8]) -> Vec<(usize, usize)> {
        let mut length = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                length[i][j] = if a[i - 1] == b[j - 1] {
                    length[i - 1][j - 1] + 1
                } else {
                    length[i - 1][j].max(length[i][j - 1])
                };
            }
        }
        let (mut i, mut j, mut pairs) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                pairs.push((i, j));
            } else if length[i - 1][j] > length[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        pairs.reverse();
        pairs
    }

    proptest! {
        #[test]
        fn rows_of_bits_equal_the_table(
            a in prop::collection::vec(0_u8..5, 0..200),
            b in prop::collection::vec(0_u8..5, 0..200),
        ) {
            let pairs = table(&a, &b);
            prop_assert_eq!(lcs_len(&a, &b), pairs.len());
            prop_assert_eq!(lcs_pairs(&a, &b), pairs);
        }
    }

    #[test]
    fn long_sequences_fit() {
        let a: Vec<u32> = (0..20_000).map(|i| i * 7919 % 1009).collect();
        let b: Vec<u32> = (0..20_000).map(|i| i * 104_729 % 1013).collect();
        let pairs = lcs_pairs(&a, &b);
        assert_eq!(pairs.len(), lcs_len(&a, &b));
        assert!(pairs.iter().all(|&(i, j)| a[i] == b[j]));
        assert!(pairs.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1));
    }
}
