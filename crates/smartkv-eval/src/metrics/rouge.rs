//! ROUGE as Google's Python package `rouge_score` 0.1.2 computes it.
//!
//! Words are the runs of `a-z0-9` in the lower-cased text, so an accent splits a word. The scores
//! follow Lin (2004), `ROUGE: A Package for Automatic Evaluation of Summaries`, with clipped
//! counts in the summary-level variant as in ROUGE 1.5.5.

use super::Overlap;
use super::best_of;
use super::lcs::{lcs_len, lcs_pairs};
use super::porter::stem;
use super::squad::token_f1;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// What is done to a word before it is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stemmer {
    /// Nothing.
    #[default]
    None,
    /// Porter's stemmer, on words of more than three letters (`use_stemmer=True`).
    Porter,
}

/// ROUGE-N: overlap of the bags of n-grams.
#[must_use]
pub fn rouge_n(prediction: &str, reference: &str, n: usize, stemmer: Stemmer) -> Overlap {
    if n == 0 {
        return Overlap::default();
    }
    let [prediction, reference] = [prediction, reference].map(|text| tokens(text, stemmer));
    let predicted: Vec<&[String]> = prediction.windows(n).collect();
    let referred: Vec<&[String]> = reference.windows(n).collect();
    token_f1(&predicted, &referred)
}

/// ROUGE-L: longest common subsequence of the whole texts.
#[must_use]
pub fn rouge_l(prediction: &str, reference: &str, stemmer: Stemmer) -> Overlap {
    let [prediction, reference] = [prediction, reference].map(|text| tokens(text, stemmer));
    let hits = lcs_len(&reference, &prediction);
    Overlap::of(hits, prediction.len(), reference.len())
}

/// ROUGE-Lsum: union of the longest common subsequences of every line of the reference with the
/// lines of the prediction, each word counted at most as often as either text has it.
///
/// Lines are the sentences: to follow SCROLLS, put a line break after each sentence first.
#[must_use]
pub fn rouge_lsum(prediction: &str, reference: &str, stemmer: Stemmer) -> Overlap {
    let [prediction, reference] = [prediction, reference].map(|text| {
        let lines = text.split('\n').map(|line| tokens(line, stemmer));
        lines.collect::<Vec<_>>()
    });
    let mut left_predicted = counts(&prediction);
    let mut left_reference = counts(&reference);
    let mut hits = 0;
    for own in &reference {
        // Read back along the prediction: ties fall as in the package.
        let matched: BTreeSet<usize> = prediction
            .iter()
            .flat_map(|other| lcs_pairs(other, own))
            .map(|(_, place)| place)
            .collect();
        for place in matched {
            let word = own[place].as_str();
            let left = [&mut left_predicted, &mut left_reference].map(|left| left.get_mut(word));
            if let [Some(predicted), Some(referred)] = left
                && *predicted > 0
                && *referred > 0
            {
                *predicted -= 1;
                *referred -= 1;
                hits += 1;
            }
        }
    }
    let length = |lines: &[Vec<String>]| lines.iter().map(Vec::len).sum();
    Overlap::of(hits, length(&prediction), length(&reference))
}

/// ROUGE-1, ROUGE-2 and ROUGE-L as SCROLLS takes them of a summary: F1 without stemmer, each the
/// best of the references. L-Eval follows it.
#[must_use]
pub fn scrolls<S: AsRef<str>>(prediction: &str, references: &[S]) -> [f64; 3] {
    let best = |score: fn(&str, &str) -> Overlap| {
        best_of(references, |reference| {
            score(prediction, reference.as_ref()).f1
        })
    };
    [
        best(|a, b| rouge_n(a, b, 1, Stemmer::None)),
        best(|a, b| rouge_n(a, b, 2, Stemmer::None)),
        best(|a, b| rouge_l(a, b, Stemmer::None)),
    ]
}

/// Geometric mean of ROUGE-1, ROUGE-2 and ROUGE-L, the score of a summary in SCROLLS and
/// `ZeroSCROLLS`, which take it of the means over all samples.
///
/// Not a mean of three: one score of 0 makes all 0. Negative or NaN scores count as 0.
#[must_use]
pub fn geometric_mean(rouge_1: f64, rouge_2: f64, rouge_l: f64) -> f64 {
    [rouge_1, rouge_2, rouge_l]
        .map(|score| score.max(0.0).cbrt())
        .iter()
        .product()
}

/// The words of a text.
fn tokens(text: &str, stemmer: Stemmer) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !matches!(c, 'a'..='z' | '0'..='9'))
        .filter(|word| !word.is_empty())
        .map(|word| match stemmer {
            Stemmer::Porter if word.len() > 3 => stem(word),
            _ => word.to_owned(),
        })
        .collect()
}

fn counts(lines: &[Vec<String>]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for word in lines.iter().flatten() {
        *counts.entry(word.as_str()).or_default() += 1;
    }
    counts
}
