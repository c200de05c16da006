//! Question answering: `SQuAD`'s normalisation, exact match and token F1.
//!
//! Sources: the official evaluation script of `SQuAD` 2.0 (Rajpurkar et al. 2018) and
//! `metrics.py` of `LongBench` (Bai et al. 2024), which differ in what an empty answer scores.

use super::Overlap;
use super::python::words;
use std::collections::HashMap;
use std::hash::Hash;

/// Lower case, without ASCII punctuation, without the words a, an, the, with single spaces.
///
/// Punctuation is dropped, not replaced: `U.S.` becomes `us` and `52-48` becomes `5248`.
#[must_use]
pub fn normalise(text: &str) -> String {
    let bare: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    let kept = without_articles(&bare);
    words(&kept).collect::<Vec<_>>().join(" ")
}

/// Replaces the articles by spaces: `re.sub(r"\b(a|an|the)\b", " ", text)`.
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let letters = first.is_alphanumeric();
        let end = rest
            .find(|c: char| c.is_alphanumeric() != letters)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        kept.push_str(if matches!(run, "a" | "an" | "the") {
            " "
        } else {
            run
        });
        rest = after;
    }
    kept
}

/// Official exact match: equal after [`normalise`].
#[must_use]
pub fn exact_match(prediction: &str, reference: &str) -> bool {
    normalise(prediction) == normalise(reference)
}

/// Token F1 of `LongBench` (`qa_f1_score`): 0 when nothing is shared, two empty answers included.
#[must_use]
pub fn qa_f1(prediction: &str, reference: &str) -> f64 {
    let (prediction, reference) = (normalise(prediction), normalise(reference));
    let split = |text| words(text).collect::<Vec<_>>();
    token_f1(&split(&prediction), &split(&reference)).f1
}

/// Token F1 of `SQuAD` 2.0: 1 when both answers are empty, otherwise as [`qa_f1`].
#[must_use]
pub fn squad_f1(prediction: &str, reference: &str) -> f64 {
    if normalise(prediction).is_empty() && normalise(reference).is_empty() {
        return 1.0;
    }
    qa_f1(prediction, reference)
}

/// Overlap of two bags of tokens; all 0 when they share none.
#[must_use]
pub fn token_f1<T: Eq + Hash>(prediction: &[T], reference: &[T]) -> Overlap {
    let mut left: HashMap<&T, usize> = HashMap::new();
    for token in reference {
        *left.entry(token).or_default() += 1;
    }
    let hits = prediction
        .iter()
        .filter(|token| match left.get_mut(token) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
        .count();
    Overlap::of(hits, prediction.len(), reference.len())
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small fractions")]
mod tests {
    use super::*;

    #[test]
    fn articles_go_only_as_whole_words() {
        assert_eq!(normalise("The  theatre, an Ant; A."), "theatre ant");
        assert_eq!(normalise("a-b"), "ab");
        assert_eq!(
            normalise("L'a \u{e9}a \u{201c}the\u{201d}"),
            "la \u{e9}a \u{201c} \u{201d}"
        );
    }

    #[test]
    fn empty_answers_divide_the_scripts() {
        assert_eq!((qa_f1("the", "a"), squad_f1("the", "a")), (0.0, 1.0));
        assert_eq!((qa_f1("the", "x"), squad_f1("the", "x")), (0.0, 0.0));
        assert!(exact_match("The.", ""));
    }

    #[test]
    fn repeated_tokens_count_as_often_as_they_are_shared() {
        assert_eq!(token_f1(&["x", "x", "x"], &["x", "x"]).precision, 2.0 / 3.0);
        assert_eq!(token_f1::<&str>(&[], &[]), Overlap::default());
    }
}
