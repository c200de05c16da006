//! The needle of the original test, and what of it is in an answer.

use crate::metrics::needle::{DOLORES_PARK, keyword_recall};
use crate::metrics::pltrdy;
use crate::task::Score;

/// What is hidden.
pub(super) const NEEDLE: &str = "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.";

/// The system prompt, which stands before the haystack.
pub(super) const OPENING: &str = "You are a helpful AI bot that answers questions for a user. \
    Keep your response short and direct\n";

/// What is asked.
pub(super) const QUESTION: &str = "What is the best thing to do in San Francisco? Don't give \
    information outside the document or repeat your findings";

/// The share of the needle's key words in the answer; beside it the ROUGE-1 recall of the needle,
/// as kvpress takes it.
pub(super) fn score(answer: &str) -> Score {
    let recall = pltrdy::rouge_n(answer, NEEDLE, 1).recall;
    Score::from(keyword_recall(answer, &DOLORES_PARK)).with("rouge_1_recall", recall)
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
