//! Frequent words extraction: the three most frequent words of a coded text.

use super::Maker;
use super::spec::Spec;
use crate::stats::float;
use crate::task::TaskCx;
use crate::tasks::fit::{Units, fill};
use std::collections::BTreeSet;

/// Stands in the place of the most frequent word.
const DOTS: &str = "...";

/// Letters of a word.
const LETTERS: usize = 6;

const OPENING: &str = "Read the following coded text and track the frequency of each coded word. \
    Find the three most frequently appeared coded words. ";
const QUESTION: &str = "Question: Do not provide any explanation. Please ignore the dots '....'. \
    What are the three most frequently appeared words in the above coded text?";
const ANSWER: &str = " Answer: According to the coded text above, the three most frequently \
    appeared words are:";

/// How often the word of `rank`, from 1, stands in a text of about `size` words: the zeta
/// distribution with an exponent of 2, rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that is not negative and no more than `size`"
)]
fn count(size: usize, rank: usize) -> usize {
    let zeta = std::f64::consts::PI * std::f64::consts::PI / 6.0;
    (float(size) / (float(rank) * float(rank)) / zeta) as usize
}

pub(super) fn maker<'a>(spec: &'a Spec, cx: &'a TaskCx<'a>) -> Maker<'a> {
    let words = (cx.context_tokens.saturating_sub(spec.new_tokens()) / 50).max(4);
    Box::new(move |key| {
        let mut draws = key.draws(0);
        let mut taken = BTreeSet::new();
        let mut vocabulary = vec![DOTS.to_owned()];
        while vocabulary.len() < words {
            let letter = |_| char::from(b"abcdefghijklmnopqrstuvwxyz"[draws.below(26)]);
            let word: String = (0..LETTERS).map(letter).collect();
            if taken.insert(word.clone()) {
                vocabulary.push(word);
            }
        }
        // Below that many words the third and the fourth coded word could tie.
        let units = Units {
            least: 73,
            most: usize::MAX,
            step: 64,
        };
        fill(cx, "a sample of fwe", units, |n| {
            let ranked = vocabulary.iter().enumerate();
            let mut text: Vec<&str> = ranked
                .flat_map(|(rank, word)| std::iter::repeat_n(word.as_str(), count(n, rank + 1)))
                .collect();
            key.draws(1).shuffle(&mut text);
            Ok(spec.sample(
                format!("{OPENING}{}\n", text.join(" ")),
                QUESTION.to_owned(),
                ANSWER.to_owned(),
                vocabulary[1..4].to_vec(),
            ))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_fourth_coded_word_is_always_rarer_than_the_third() {
        for size in 73..20_000 {
            let counts: Vec<usize> = (2..=5).map(|rank| count(size, rank)).collect();
            assert!(counts.is_sorted_by(|a, b| a > b), "{size}: {counts:?}");
        }
    }
}
