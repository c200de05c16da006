//! The scores of the next token, for the rows that were asked for.

/// Which rows of a step get logits; the head's matmul is paid for those only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitsFor {
    /// No row.
    None,
    /// The last token of every sequence.
    Last,
    /// Every token of every sequence.
    All,
}

/// Logits in f32, sequence after sequence, rows in the order of the tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// Row-major `[sum of rows, vocab]`.
    pub data: Vec<f32>,
    /// Rows of each sequence; `batch` entries.
    pub rows: Vec<usize>,
    /// Scores in one row.
    pub vocab: usize,
}

impl Logits {
    /// Row `index` of `sequence`: `vocab` scores.
    ///
    /// # Panics
    /// When the sequence or the row was not computed, like indexing a slice.
    #[must_use]
    pub fn row(&self, sequence: usize, index: usize) -> &[f32] {
        let rows = self.rows[sequence];
        assert!(
            index < rows,
            "row {index} of sequence {sequence}, which has {rows} rows"
        );
        let first: usize = self.rows[..sequence].iter().sum();
        &self.data[(first + index) * self.vocab..][..self.vocab]
    }

    /// The last row of `sequence`, or `None` when none was computed.
    #[must_use]
    pub fn last(&self, sequence: usize) -> Option<&[f32]> {
        let rows = *self.rows.get(sequence)?;
        (rows > 0).then(|| self.row(sequence, rows - 1))
    }
}

/// Collects the logits of consecutive chunks into one [`Logits`].
pub(crate) struct Collector {
    sequences: Vec<Vec<f32>>,
    vocab: usize,
}

impl Collector {
    pub(crate) fn new(batch: usize, vocab: usize) -> Self {
        Self {
            sequences: vec![Vec::new(); batch],
            vocab,
        }
    }

    /// Appends the rows `chunk` has for each sequence.
    pub(crate) fn push(&mut self, chunk: &Logits) {
        let mut rest = chunk.data.as_slice();
        for (sequence, &rows) in self.sequences.iter_mut().zip(&chunk.rows) {
            let (mine, others) = rest.split_at(rows * self.vocab);
            sequence.extend_from_slice(mine);
            rest = others;
        }
    }

    pub(crate) fn finish(self) -> Logits {
        let rows = self
            .sequences
            .iter()
            .map(|sequence| sequence.len() / self.vocab)
            .collect();
        Logits {
            data: self.sequences.concat(),
            rows,
            vocab: self.vocab,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_ragged_batches() {
        let logits = Logits {
            data: (0..8u8).map(f32::from).collect(),
            rows: vec![1, 0, 3],
            vocab: 2,
        };
        assert_eq!(logits.row(0, 0), [0.0, 1.0]);
        assert_eq!(logits.row(2, 1), [4.0, 5.0]);
        assert_eq!(logits.last(2), Some(&[6.0, 7.0][..]));
        assert_eq!(logits.last(1), None);
        assert_eq!(logits.last(3), None);
    }

    #[test]
    fn chunks_are_joined_per_sequence() {
        let mut collector = Collector::new(2, 1);
        collector.push(&Logits {
            data: vec![1.0, 10.0],
            rows: vec![1, 1],
            vocab: 1,
        });
        collector.push(&Logits {
            data: vec![2.0],
            rows: vec![1, 0],
            vocab: 1,
        });
        let all = collector.finish();
        assert_eq!((all.data, all.rows), (vec![1.0, 2.0, 10.0], vec![2, 1]));
    }
}
