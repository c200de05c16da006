//! Which queries of a step are observed, and how many of them could see each row.

use crate::strategy::Watch;
use std::ops::Range;

/// Tokens of a step whose attention is observed: the newest, and some before them.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// Tokens of the step.
    step: usize,
    /// Newest tokens that are observed.
    newest: usize,
    /// Others, ascending; few trackers ask for any.
    others: Vec<usize>,
}

impl Watched {
    /// Chooses among `tokens` tokens of which the first is at `position`. Which tokens are drawn
    /// depends on `seed` and positions only.
    pub(super) fn choose(
        &mut self,
        watch: Option<Watch>,
        seed: u64,
        position: usize,
        tokens: usize,
    ) {
        self.step = tokens;
        self.newest = 0;
        self.others.clear();
        let Some(watch) = watch.filter(|_| tokens > 0) else {
            return;
        };
        self.newest = watch.prompt_queries.clamp(1, tokens);
        let (older, spread) = (position..position + tokens - self.newest, watch.spread);
        if spread == 0 || older.is_empty() {
            return;
        }
        let stretches = older.start / spread..=(older.end - 1) / spread;
        let drawn = stretches.map(|stretch| stretch * spread + lot(seed, stretch, spread));
        let here = drawn.filter(|at| older.contains(at));
        self.others.extend(here.map(|at| at - position));
    }

    /// Number of tokens that are observed.
    pub(super) fn len(&self) -> usize {
        self.others.len() + self.newest
    }

    /// Those of them that the newest are not, within `tile`.
    pub(super) fn others_in(&self, tile: &Range<usize>) -> &[usize] {
        let before = |end: usize| self.others.partition_point(|token| *token < end);
        &self.others[before(tile.start)..before(tile.end)]
    }

    /// The newest of them, within `tile`.
    pub(super) fn newest_in(&self, tile: &Range<usize>) -> Range<usize> {
        tile.end.min(tile.start.max(self.step - self.newest))..tile.end
    }

    /// The `index`-th of them, ascending.
    fn token(&self, index: usize) -> usize {
        let newest = || self.step - self.newest + (index - self.others.len());
        self.others.get(index).copied().unwrap_or_else(newest)
    }

    /// Calls `part(rows, queries)` for runs of `rows` that the same number of observed queries
    /// could see. The step's own tokens are the last of `len` rows.
    pub(super) fn runs(
        &self,
        rows: Range<usize>,
        len: usize,
        mut part: impl FnMut(Range<usize>, usize),
    ) {
        // A token is seen by the queries from its own on, a row before the step by all.
        let first = len - self.step;
        let mut before = 0;
        let mut row = rows.start;
        while row < rows.end && before < self.len() {
            let end = rows.end.min(first + self.token(before) + 1);
            if row < end {
                part(row..end, self.len() - before);
                row = end;
            }
            before += 1;
        }
    }

    /// Positions of the observed tokens, when the first of the step is at `position`.
    pub(super) fn positions(&self, position: usize) -> impl Iterator<Item = usize> {
        (0..self.len()).map(move |index| position + self.token(index))
    }
}

/// A number below `below` that depends on the others only.
fn lot(seed: u64, stretch: usize, below: usize) -> usize {
    // The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
    let mut x = seed ^ (stretch as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((x ^ (x >> 31)) % below as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(newest: usize, spread: usize, position: usize, tokens: usize) -> Watched {
        let watch = Watch {
            prompt_queries: newest,
            spread,
        };
        let mut watched = Watched::default();
        watched.choose(Some(watch), 5, position, tokens);
        watched
    }

    #[test]
    fn one_token_of_every_stretch_is_drawn_whatever_the_chunks() {
        let whole: Vec<usize> = watched(1, 10, 0, 501).positions(0).collect();
        assert_eq!(whole.len(), 51);
        for (stretch, at) in whole[..50].iter().enumerate() {
            assert_eq!(at / 10, stretch);
        }
        assert!(whole.windows(2).any(|pair| pair[1] - pair[0] != 10));
        let mut parts: Vec<usize> = watched(1, 10, 0, 237).positions(0).collect();
        parts.extend(watched(1, 10, 237, 264).positions(237));
        parts.retain(|at| *at != 236 || whole.contains(at));
        assert_eq!(parts, whole);
    }

    #[test]
    fn runs_count_the_queries_from_each_token_on() {
        for (newest, spread, tokens) in [(1, 0, 1), (3, 0, 9), (2, 4, 30), (40, 4, 30), (1, 1, 8)] {
            let watched = watched(newest, spread, 100, tokens);
            let len = 50 + tokens;
            let observed: Vec<usize> = watched.positions(50).collect();
            for start in [0, 20, 51] {
                let mut counts = Vec::new();
                watched.runs(start.min(len)..len, len, |rows, queries| {
                    counts.extend(rows.map(|_| queries));
                });
                let naive = |row| observed.iter().filter(|at| **at >= row).count();
                let expected: Vec<usize> = (start.min(len)..len).map(naive).collect();
                assert_eq!(counts, expected);
            }
        }
    }
}
