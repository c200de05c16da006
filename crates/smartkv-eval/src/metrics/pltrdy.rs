//! ROUGE as the Python package `rouge` 1.0.1 (pltrdy) computes it: the ROUGE of `LongBench`.
//!
//! It is not the ROUGE of Lin (2004), and its values must not be compared with [`super::rouge`]:
//! nothing is lower-cased, punctuation stays on the words, sentences end at every `.` (that of
//! `3.14` too), and each word counts once however often it occurs. ROUGE-L is the summary-level
//! one: of every pair of sentences the longest common subsequence, then the set of all words in
//! any of them.
//!
//! One failure is not followed: the package recurses once a word, and Python gives up at about a
//! thousand words without a `.`, which `LongBench` scores 0. Here such a sentence has its score.

use super::Overlap;
use super::lcs::lcs_pairs;
use super::python::words;
use crate::stats::float;
use std::collections::HashSet;
use std::hash::Hash;

/// ROUGE-N of distinct n-grams, which may span sentences. An empty side scores 0.
///
/// The needle task of kvpress reports the recall of `n = 1`.
#[must_use]
pub fn rouge_n(prediction: &str, reference: &str, n: usize) -> Overlap {
    let [prediction, reference] = [prediction, reference].map(|text| sentences(text).concat());
    if n == 0 || prediction.is_empty() || reference.is_empty() {
        return Overlap::default();
    }
    shared(
        &prediction.windows(n).collect(),
        &reference.windows(n).collect(),
    )
}

/// Summary-level union ROUGE-L. An empty side scores 0.
///
/// `LongBench` reports its `f1`.
#[must_use]
pub fn rouge_l(prediction: &str, reference: &str) -> Overlap {
    let [prediction, reference] = [prediction, reference].map(sentences);
    let mut union: HashSet<&str> = HashSet::new();
    for own in &reference {
        for other in &prediction {
            union.extend(lcs_pairs(own, other).into_iter().map(|(i, _)| own[i]));
        }
    }
    let distinct = |text: &[Vec<&str>]| text.iter().flatten().collect::<HashSet<_>>().len();
    smoothed(union.len(), distinct(&prediction), distinct(&reference))
}

/// Cut at every full stop, then at white space. A sentence of white space only is one empty word,
/// as in the package: `"a. "` has two distinct words.
fn sentences(text: &str) -> Vec<Vec<&str>> {
    text.split('.')
        .filter(|sentence| !sentence.is_empty())
        .map(|sentence| {
            let found: Vec<&str> = words(sentence).collect();
            if found.is_empty() { vec![""] } else { found }
        })
        .collect()
}

fn shared<T: Eq + Hash>(prediction: &HashSet<T>, reference: &HashSet<T>) -> Overlap {
    let hits = prediction.intersection(reference).count();
    smoothed(hits, prediction.len(), reference.len())
}

/// The package's F has 1e-8 in its denominator: identical texts score 0.999999995.
fn smoothed(hits: usize, prediction: usize, reference: usize) -> Overlap {
    let precision = float(hits) / float(prediction.max(1));
    let recall = float(hits) / float(reference.max(1));
    Overlap {
        precision,
        recall,
        f1: 2.0 * ((precision * recall) / (precision + recall + 1e-8)),
    }
}
