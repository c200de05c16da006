//! Passage retrieval and counting: the numbers in an answer.
//!
//! Sources: `retrieval_score`, `retrieval_zh_score` and `count_score` in `metrics.py` of
//! `LongBench`. Numbers are compared as they are written: `07` is not `7`.

use super::python::{is_digit, numbers};
use crate::stats::float;

/// The word before the number of a passage in `passage_retrieval_en`.
pub const PARAGRAPH: &str = "Paragraph ";
/// The word before the number of a passage in `passage_retrieval_zh`.
pub const PARAGRAPH_ZH: &str = "\u{6bb5}\u{843d}";

/// Share of the numbers in the prediction that are the reference's passage; 0 without numbers.
///
/// `label` is [`PARAGRAPH`] or [`PARAGRAPH_ZH`]. `None` if the reference has no label followed by
/// a number: the sample is malformed.
#[must_use]
pub fn retrieval(prediction: &str, reference: &str, label: &str) -> Option<f64> {
    let passage = reference.match_indices(label).find_map(|(at, _)| {
        let after = &reference[at + label.len()..];
        let end = after.find(|c| !is_digit(c)).unwrap_or(after.len());
        (end > 0).then(|| &after[..end])
    })?;
    Some(count(prediction, passage))
}

/// Share of the numbers in the prediction that are the reference; 0 without numbers.
#[must_use]
pub fn count(prediction: &str, reference: &str) -> f64 {
    let (all, right) = numbers(prediction).fold((0, 0), |(all, right), number| {
        (all + 1, right + usize::from(number == reference))
    });
    if all == 0 {
        return 0.0;
    }
    float(right) / float(all)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "counts over counts")]
mod tests {
    use super::*;

    #[test]
    fn the_reference_must_name_a_passage() {
        assert_eq!(retrieval("7", "passage 7", PARAGRAPH), None);
        assert_eq!(
            retrieval("7", "Paragraph x, Paragraph 7", PARAGRAPH),
            Some(1.0)
        );
        let zh = "\u{6bb5}\u{843d}12";
        assert_eq!(retrieval("12 or 3", zh, PARAGRAPH_ZH), Some(0.5));
        assert_eq!(count("\u{ff17} 7", "7"), 0.5);
    }
}
