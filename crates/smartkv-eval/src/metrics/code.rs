//! Code completion: similarity of the next line.

use super::{difflib, edit};
use smartkv_core::config;

/// Which `ratio` of `fuzzywuzzy` is meant: it depends on what is installed beside it.
#[config]
pub enum CodeSimilarity {
    /// Indel similarity: `fuzzywuzzy` with python-Levenshtein, and rapidfuzz.
    #[default]
    Indel,
    /// `SequenceMatcher`: `fuzzywuzzy` alone, with its unstable score above 200 characters.
    Difflib,
}

/// `code_sim_score` of `LongBench`: similarity of the first line of code with the reference,
/// rounded to whole percent.
///
/// The first line of code is the first without a backtick, `#` or `//`; an empty line counts, but
/// not at the start. Source: `metrics.py` of `LongBench`.
#[must_use]
pub fn code_similarity(prediction: &str, reference: &str, similarity: CodeSimilarity) -> f64 {
    let line = first_line_of_code(prediction);
    let ratio = match similarity {
        CodeSimilarity::Indel => edit::indel_ratio(line, reference),
        CodeSimilarity::Difflib => difflib::ratio(line, reference),
    };
    // Python rounds ties to even.
    (100.0 * ratio).round_ties_even() / 100.0
}

/// The line that is scored; empty if every line has a comment or a fence.
#[must_use]
pub fn first_line_of_code(prediction: &str) -> &str {
    prediction
        .trim_start_matches('\n')
        .split('\n')
        .find(|line| !line.contains(['`', '#']) && !line.contains("//"))
        .unwrap_or("")
}
