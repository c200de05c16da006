//! Text metrics of the long-context benchmarks, as pure functions of strings.
//!
//! Each metric follows the program that defined its benchmark, quirks included: a score is only
//! comparable with published ones when an answer is cut, counted and rounded in the same way.
//! Where two programs disagree under one name, both are here under their own:
//!
//! | benchmark | functions |
//! |---|---|
//! | `SQuAD`, and question answering in `LongBench`, `ZeroSCROLLS` | [`squad`] |
//! | summaries in `LongBench` (the package `rouge`) | [`pltrdy`] |
//! | summaries in `ZeroSCROLLS`, fidelity of texts (the package `rouge_score`) | [`rouge`] |
//! | `LongBench` classification, retrieval, counting, code | [`classification`], [`retrieval`], [`code`] |
//! | RULER | [`ruler`] |
//! | needle in a haystack | [`needle`] |
//! | `ZeroSCROLLS` orderings, shares and choices | [`ordering`], [`choice`] |
//!
//! A function scores one prediction against one reference, mostly in `0..=1`; [`best_of`] takes
//! the best of several references, [`aggregate`] makes the percentage a table prints. No function
//! panics, returns NaN, or needs memory beyond a small multiple of its input.
//!
//! Strings are compared by Unicode scalar value, as Python compares them. One difference stays:
//! `\w` is [`char::is_alphanumeric`] here, which counts a few combining vowel signs as letters.

pub mod aggregate;
#[cfg(feature = "chinese")]
pub mod chinese;
pub mod choice;
pub mod classification;
pub mod code;
pub mod difflib;
pub mod edit;
pub mod lcs;
pub mod needle;
pub mod ordering;
pub mod pltrdy;
pub mod porter;
pub mod prefix;
mod python;
pub mod retrieval;
pub mod rouge;
pub mod ruler;
pub mod squad;

pub use aggregate::{best_of, first_line};
pub use prefix::{common_prefix, first_divergence};

use serde::{Deserialize, Serialize};

/// Precision, recall and their harmonic mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Share of the prediction that is in the reference.
    pub precision: f64,
    /// Share of the reference that is in the prediction.
    pub recall: f64,
    /// Harmonic mean of both; 0 when both are.
    pub f1: f64,
}

impl Overlap {
    /// `hits` units in common, out of so many in the prediction and in the reference.
    pub(crate) fn of(hits: usize, prediction: usize, reference: usize) -> Self {
        use crate::stats::float;
        let precision = float(hits) / float(prediction.max(1));
        let recall = float(hits) / float(reference.max(1));
        let sum = precision + recall;
        Self {
            precision,
            recall,
            f1: if sum > 0.0 {
                2.0 * precision * recall / sum
            } else {
                0.0
            },
        }
    }
}
