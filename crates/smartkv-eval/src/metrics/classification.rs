//! Few-shot classification: which labels an answer names.

use crate::stats::float;

/// `classification_score` of `LongBench`: one over the number of labels named, if the reference
/// is among them.
///
/// Labels that are part of the reference are meant to be dropped from the count, but the program
/// removes them from the list it walks through and so skips the one after each. A second such
/// label survives and halves the score; this is kept, for the published numbers have it. Source:
/// `metrics.py` of `LongBench`.
#[must_use]
pub fn classification<S: AsRef<str>>(prediction: &str, reference: &str, classes: &[S]) -> f64 {
    let mut named: Vec<&str> = classes
        .iter()
        .map(AsRef::as_ref)
        .filter(|class| prediction.contains(class))
        .collect();
    let mut at = 0;
    while let Some(&class) = named.get(at) {
        if class != reference && reference.contains(class) {
            // The first equal label goes, which is an earlier one if the labels repeat.
            let first = named.iter().position(|other| *other == class);
            named.remove(first.unwrap_or(at));
        }
        at += 1;
    }
    if named.contains(&reference) {
        1.0 / float(named.len())
    } else {
        0.0
    }
}
