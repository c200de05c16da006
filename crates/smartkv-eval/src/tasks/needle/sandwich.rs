//! The needle of the original test, and what of it is in an answer.

use crate::stats::float;
use crate::task::Score;
use std::collections::BTreeSet;

/// What is hidden.
pub(super) const NEEDLE: &str = "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.";

/// The system prompt, which stands before the haystack.
pub(super) const OPENING: &str = "You are a helpful AI bot that answers questions for a user. \
    Keep your response short and direct\n";

/// What is asked.
pub(super) const QUESTION: &str = "What is the best thing to do in San Francisco? Don't give \
    information outside the document or repeat your findings";

/// What an answer must have of the needle.
const KEY_WORDS: [&str; 5] = ["eat", "sandwich", "dolores", "park", "sunny"];

/// The share of key words that stand in the answer as whole words, case ignored; beside it the
/// ROUGE-1 recall of the needle, in which words are what white space parts and case matters.
pub(super) fn score(answer: &str) -> Score {
    let lower = answer.to_lowercase();
    let words: BTreeSet<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let found = KEY_WORDS
        .iter()
        .filter(|word| words.contains(*word))
        .count();
    let needle: BTreeSet<&str> = NEEDLE.split_whitespace().collect();
    let answer: BTreeSet<&str> = answer.split_whitespace().collect();
    let recall = float(needle.intersection(&answer).count()) / float(needle.len());
    Score::from(float(found) / float(KEY_WORDS.len())).with("rouge_1_recall", recall)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "counts over counts")]
mod tests {
    use super::*;

    #[test]
    fn key_words_are_whole_words() {
        let whole = score(NEEDLE);
        assert_eq!((whole.value, whole.details["rouge_1_recall"]), (1.0, 1.0));
        assert_eq!(score("EAT a Sandwich: Dolores Park, sunny!").value, 1.0);
        assert_eq!(score("Great weather to eat.").value, 0.2);
        assert_eq!(score("").value, 0.0);
        // 19 different words, of which `sit` and `in` are two.
        let recall = score("sit in in").details["rouge_1_recall"];
        assert_eq!(recall, 2.0 / 19.0);
    }
}
