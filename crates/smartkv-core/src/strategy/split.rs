//! Sharing the rows that a budget can keep among lanes.

use crate::error::Result;
use std::fmt::Debug;
use std::ops::Range;

/// The lanes of one sequence, ordered by layer, then kv head, and what their rows are worth.
#[derive(Debug, Clone, Copy)]
pub struct Lanes<'a> {
    /// Decoder layers.
    pub layers: usize,
    /// Kv heads of a layer.
    pub kv_heads: usize,
    /// Scores of the rows of each lane, `layers * kv_heads` entries. Higher is better.
    pub scores: &'a [Vec<f32>],
}

/// Shares the rows that a budget can keep among lanes: a pure function.
#[typetag::serde(tag = "type")]
pub trait Split: Debug + Send + Sync {
    /// Checks parameters that a type cannot.
    ///
    /// # Errors
    /// A parameter outside its domain.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Rows that each lane keeps: one entry a lane, together at most `rows`, none above the rows
    /// the lane has.
    fn share(&self, lanes: &Lanes<'_>, rows: usize) -> Vec<usize>;
}

impl Lanes<'_> {
    /// Gives lane `i` `weights[i]` parts of `rows`, none more than it has; what one cannot use
    /// goes to the others in the same proportions. All rows are given away while a lane with a
    /// positive weight has room.
    #[must_use]
    pub fn proportional(&self, rows: usize, weights: &[f64]) -> Vec<usize> {
        let mut shares = vec![0; self.scores.len()];
        let mut open: Vec<usize> = (0..shares.len()).collect();
        let mut rest = rows;
        loop {
            let total: f64 = open.iter().map(|&lane| weights[lane]).sum();
            if open.is_empty() || total <= 0.0 {
                return shares;
            }
            #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
            let wanted = |lane: usize| rest as f64 * weights[lane] / total;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of rows, not negative"
            )]
            let whole = |lane: usize| wanted(lane).floor() as usize;
            let full: Vec<usize> = open
                .iter()
                .copied()
                .filter(|&lane| whole(lane) >= self.scores[lane].len())
                .collect();
            if full.is_empty() {
                let mut left = rest;
                for &lane in &open {
                    shares[lane] = whole(lane).min(left);
                    left -= shares[lane];
                }
                // The largest fractions get one row more.
                let fraction = |lane: usize| wanted(lane).fract();
                open.sort_by(|&a, &b| fraction(b).total_cmp(&fraction(a)).then(a.cmp(&b)));
                open.retain(|&lane| weights[lane] > 0.0);
                for &lane in open.iter().take(left) {
                    shares[lane] += 1;
                }
                return shares;
            }
            for &lane in &full {
                shares[lane] = self.scores[lane].len().min(rest);
                rest -= shares[lane];
            }
            open.retain(|lane| !full.contains(lane));
        }
    }

    /// Lets the rows of some lanes compete for `rows` places: first every lane keeps its best
    /// rows up to `floor` of an equal share, then the best of all others are kept, wherever they
    /// are. Of equals, those of earlier lanes stay.
    ///
    /// # Panics
    /// When there are no such lanes, or `floor` is not within `[0, 1]`.
    #[must_use]
    pub fn compete(&self, lanes: Range<usize>, rows: usize, floor: f64) -> Vec<usize> {
        assert!((0.0..=1.0).contains(&floor), "floor {floor} of a share");
        let scores = &self.scores[lanes];
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of rows, not negative"
        )]
        let least = (floor * rows as f64 / scores.len().max(1) as f64).floor() as usize;
        let mut shares: Vec<usize> = scores.iter().map(|lane| lane.len().min(least)).collect();
        let mut others: Vec<(f32, usize)> = Vec::new();
        for (lane, (scores, &safe)) in scores.iter().zip(&shares).enumerate() {
            let mut scores = scores.clone();
            if safe > 0 && safe < scores.len() {
                scores.select_nth_unstable_by(safe - 1, |a, b| b.total_cmp(a));
            }
            others.extend(scores[safe..].iter().map(|&score| (score, lane)));
        }
        let places = (rows - shares.iter().sum::<usize>()).min(others.len());
        if places > 0 && places < others.len() {
            let better =
                |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            others.select_nth_unstable_by(places - 1, better);
        }
        for (_, lane) in &others[..places] {
            shares[*lane] += 1;
        }
        shares
    }
}
