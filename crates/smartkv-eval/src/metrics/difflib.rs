//! `SequenceMatcher` of Python's `difflib`: the similarity that `fuzzywuzzy` falls back to.
//!
//! The longest common block is found, then the same left and right of it (Ratcliff and Obershelp
//! 1988). In a second string of 200 characters or more, characters that make up more than 1% of
//! it cannot start a block ("autojunk"), so long similar strings can score close to 0.

use crate::stats::float;
use std::collections::HashMap;

/// Strings this long lose their popular characters.
const AUTOJUNK: usize = 200;

/// `SequenceMatcher(None, a, b).ratio()`: twice the matched characters over all; 1 for two empty
/// strings. Not symmetric.
#[must_use]
pub fn ratio(a: &str, b: &str) -> f64 {
    let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
    if a.len() + b.len() == 0 {
        return 1.0;
    }
    2.0 * float(matched(&a, &b)) / float(a.len() + b.len())
}

fn matched(a: &[char], b: &[char]) -> usize {
    let mut places: HashMap<char, Vec<usize>> = HashMap::new();
    for (j, &c) in b.iter().enumerate() {
        places.entry(c).or_default().push(j);
    }
    if b.len() >= AUTOJUNK {
        places.retain(|_, at| at.len() <= b.len() / 100 + 1);
    }
    let mut total = 0;
    let mut parts = vec![(0, a.len(), 0, b.len())];
    while let Some((a_low, a_high, b_low, b_high)) = parts.pop() {
        let ranges = (&a[a_low..a_high], b_low..b_high);
        let (mut i, mut j, mut size) = longest(ranges.0, ranges.1, &places);
        i += a_low;
        // Grow over popular characters, which could not be part of the search.
        while i > a_low && j > b_low && a[i - 1] == b[j - 1] {
            (i, j, size) = (i - 1, j - 1, size + 1);
        }
        while i + size < a_high && j + size < b_high && a[i + size] == b[j + size] {
            size += 1;
        }
        if size > 0 {
            total += size;
            parts.push((a_low, i, b_low, j));
            parts.push((i + size, a_high, j + size, b_high));
        }
    }
    total
}

/// Start in `a`, start in the other string and size of the longest block, the earliest of equals.
fn longest(
    a: &[char],
    b: std::ops::Range<usize>,
    places: &HashMap<char, Vec<usize>>,
) -> (usize, usize, usize) {
    let mut best = (0, b.start, 0);
    // Size of the block that ends at a place, for the character of `a` before and for this one.
    let mut before: HashMap<usize, usize> = HashMap::new();
    for (i, c) in a.iter().enumerate() {
        let mut here = HashMap::new();
        for &j in places.get(c).into_iter().flatten() {
            if !b.contains(&j) {
                continue;
            }
            let reached = |j: usize| before.get(&j).copied();
            let size = 1 + j.checked_sub(1).and_then(reached).unwrap_or(0);
            here.insert(j, size);
            if size > best.2 {
                best = (i + 1 - size, j + 1 - size, size);
            }
        }
        before = here;
    }
    best
}
