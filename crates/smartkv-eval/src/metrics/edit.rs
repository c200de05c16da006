//! Edit distances and the similarities that packages make of them.

use super::lcs::lcs_len;
use crate::stats::float;

/// Insertions and deletions that turn one string into the other, in characters.
#[must_use]
pub fn indel_distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
    a.len() + b.len() - 2 * lcs_len(&a, &b)
}

/// Indel similarity in `0..=1`: `1 - distance / (len a + len b)`; 1 for two empty strings.
///
/// `ratio` of python-Levenshtein, and a hundredth of `fuzz.ratio` of rapidfuzz.
#[must_use]
pub fn indel_ratio(a: &str, b: &str) -> f64 {
    let most = a.chars().count() + b.chars().count();
    similarity(indel_distance(a, b), most)
}

/// Insertions, deletions and substitutions that turn one string into the other, in characters.
#[must_use]
pub fn levenshtein_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, own) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &other) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(own != other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Levenshtein similarity in `0..=1`: `1 - distance / max(len a, len b)`; 1 for two empty strings.
#[must_use]
pub fn levenshtein_similarity(a: &str, b: &str) -> f64 {
    let most = a.chars().count().max(b.chars().count());
    similarity(levenshtein_distance(a, b), most)
}

fn similarity(distance: usize, most: usize) -> f64 {
    if most == 0 {
        return 1.0;
    }
    1.0 - float(distance) / float(most)
}
