//! Sequences of different lengths: packed without padding for the matmuls, padded for the hook.

use std::borrow::Cow;

/// The lengths of a step's sequences.
#[derive(Debug)]
pub(crate) struct Ragged {
    lens: Vec<usize>,
    tokens: usize,
}

impl Ragged {
    pub(crate) fn new(lens: Vec<usize>) -> Self {
        let tokens = lens.iter().copied().max().unwrap_or(0);
        Self { lens, tokens }
    }

    /// Valid tokens of each sequence.
    pub(crate) fn lens(&self) -> &[usize] {
        &self.lens
    }

    /// Tokens of each sequence with padding.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Valid tokens of all sequences: rows of the packed layout.
    pub(crate) fn rows(&self) -> usize {
        self.lens.iter().sum()
    }

    /// The packed row of the first token of `sequence`.
    pub(crate) fn first_row(&self, sequence: usize) -> usize {
        self.lens[..sequence].iter().sum()
    }

    /// Whether packed and padded are the same.
    pub(crate) fn is_dense(&self) -> bool {
        self.lens.iter().all(|&len| len == self.tokens)
    }

    /// Packed rows of any width, laid out `[batch, tokens, width]`; padding is zero.
    pub(crate) fn pad<'a>(&self, packed: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_dense() {
            return Cow::Borrowed(packed);
        }
        let width = packed.len() / self.rows();
        let mut padded = Vec::with_capacity(self.lens.len() * self.tokens * width);
        let mut rest = packed;
        for (sequence, &len) in self.lens.iter().enumerate() {
            let (rows, others) = rest.split_at(len * width);
            padded.extend_from_slice(rows);
            padded.resize((sequence + 1) * self.tokens * width, 0.0);
            rest = others;
        }
        Cow::Owned(padded)
    }

    /// The inverse of [`pad`](Self::pad).
    pub(crate) fn unpad(&self, padded: &[f32], packed: &mut [f32]) {
        let width = packed.len() / self.rows();
        let mut rest = packed;
        for (rows, &len) in padded.chunks_exact(self.tokens * width).zip(&self.lens) {
            let (mine, others) = rest.split_at_mut(len * width);
            mine.copy_from_slice(&rows[..len * width]);
            rest = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_comes_and_goes() {
        let ragged = Ragged::new(vec![1, 0, 2]);
        let packed = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let padded = ragged.pad(&packed);
        assert_eq!(
            *padded,
            [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 6.0]
        );
        let mut back = [f32::NAN; 6];
        ragged.unpad(&padded, &mut back);
        assert_eq!(back, packed);
        assert_eq!(
            (ragged.rows(), ragged.first_row(2), ragged.tokens()),
            (3, 1, 2)
        );
    }

    #[test]
    fn equal_lengths_are_not_copied() {
        assert!(matches!(
            Ragged::new(vec![2, 2]).pad(&[0.0; 8]),
            Cow::Borrowed(_)
        ));
    }
}
