//! Needle in a haystack: what of the needle is in the answer, without a judge model.
//!
//! The original test (Kamradt 2023) asks a language model for a grade of 1 to 10, which cannot be
//! repeated. These scores can. A third one is the recall of
//! [`pltrdy::rouge_n`](super::pltrdy::rouge_n) with `n = 1`, which kvpress reports.

use crate::stats::float;

/// Key words of the original needle, `eat a sandwich and sit in Dolores Park on a sunny day`.
pub const DOLORES_PARK: [&str; 5] = ["eat", "sandwich", "Dolores", "Park", "sunny"];

/// Share of the key words that the answer has as whole words, case ignored; 0 without key words.
///
/// A key of several words must stand in the answer as such. Parts of words do not count: `comb`
/// is not in `combiner`.
#[must_use]
pub fn keyword_recall<S: AsRef<str>>(answer: &str, keywords: &[S]) -> f64 {
    if keywords.is_empty() {
        return 0.0;
    }
    let answer = words(answer);
    let found = keywords.iter().filter(|keyword| {
        let keyword = words(keyword.as_ref());
        !keyword.is_empty() && answer.windows(keyword.len()).any(|part| part == keyword)
    });
    float(found.count()) / float(keywords.len())
}

/// Whether the value stands anywhere in the answer, case ignored; never for an empty value.
///
/// For values that cannot be part of a word by chance: numbers, identifiers.
#[must_use]
pub fn contains_value(answer: &str, value: &str) -> bool {
    let value = value.trim().to_lowercase();
    !value.is_empty() && answer.to_lowercase().contains(&value)
}

/// Whether the first number of the answer is the key (passkey of `InfiniteBench`).
#[must_use]
pub fn first_number_is(answer: &str, key: &str) -> bool {
    super::python::numbers(answer).next() == Some(key.trim())
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "counts over counts")]
mod tests {
    use super::*;

    #[test]
    fn key_words_are_whole_words() {
        let answer = "Eat a SANDWICH in Dolores Park, on a sunny day.";
        assert_eq!(keyword_recall(answer, &DOLORES_PARK), 1.0);
        assert_eq!(keyword_recall("Great weather to eat.", &DOLORES_PARK), 0.2);
        assert_eq!(keyword_recall("a combiner", &["comb"]), 0.0);
        assert_eq!(keyword_recall("goat, and cheese", &["goat cheese"]), 0.0);
        assert_eq!(keyword_recall("Goat-cheese!", &["goat cheese"]), 1.0);
        assert_eq!(keyword_recall("x", &[""]), 0.0);
        assert_eq!(keyword_recall::<&str>("x", &[]), 0.0);
    }

    #[test]
    fn values_stand_anywhere() {
        assert!(contains_value("is:8231947.", "8231947"));
        assert!(!contains_value("8231 947", "8231947"));
        assert!(!contains_value("x", " "));
        assert!(first_number_is("the key is 71432, not 5", "71432"));
        assert!(!first_number_is("5 or 71432", "71432"));
    }
}
