//! Keeping the best rows and evicting the others: what score-based evictors share.

use super::{LaneRows, PlanCx};
use crate::budget::GRACE_TOKENS;
use crate::error::{Error, Result};
use crate::place::{Place, Plan};
use rayon::prelude::*;
use std::fmt::Debug;

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
    /// Rows that each lane keeps: one entry a lane, together at most `rows`, none above the rows
    /// the lane has.
    fn share(&self, lanes: &Lanes<'_>, rows: usize) -> Vec<usize>;
}

impl Lanes<'_> {
    /// Gives lane `i` `weights[i]` parts of `rows`, none more than it has; what one cannot use
    /// goes to the others in the same proportions.
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
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of rows, not negative"
            )]
            let wanted = |lane: usize| (rest as f64 * weights[lane] / total).floor() as usize;
            let full: Vec<usize> = open
                .iter()
                .copied()
                .filter(|&lane| wanted(lane) >= self.scores[lane].len())
                .collect();
            if full.is_empty() {
                for &lane in &open {
                    shares[lane] = wanted(lane);
                }
                return shares;
            }
            for &lane in &full {
                shares[lane] = self.scores[lane].len();
                rest -= shares[lane];
            }
            open.retain(|lane| !full.contains(lane));
        }
    }
}

impl PlanCx<'_> {
    /// Rows of tier 0 that the budget pays for, over all lanes of the sequence.
    #[must_use]
    pub fn affordable(&self) -> usize {
        let price = self.layout.tiers[0].row_bytes(self.shape.head_dim) + self.column_bytes;
        self.budget.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes / price as u64).unwrap_or(usize::MAX)
        })
    }

    /// Of `rows` rows a lane in tier 0 or 1, how many the budget allows in tier 0, when all lanes
    /// have as many.
    #[must_use]
    pub fn affordable_upgrades(&self, rows: usize) -> usize {
        let menu = self.menu();
        let (Some(budget), [better, worse, ..]) = (self.budget, menu.as_slice()) else {
            return rows;
        };
        let lanes = (self.shape.layers * self.shape.kv_heads) as u64;
        // A short sequence is granted what it will need later: only its share is spent now.
        let later = (rows + GRACE_TOKENS.saturating_sub(self.seen)) as u64;
        let spare = (budget / lanes).saturating_sub(later * u64::from(worse.bytes));
        let extra = u64::from(better.bytes.saturating_sub(worse.bytes)).max(1);
        let allowed = (spare / extra).min(later) * rows as u64 / later.max(1);
        usize::try_from(allowed).unwrap_or(rows)
    }

    /// Keeps as many rows in tier 0 as the budget pays for, the best of each lane by `score`
    /// (higher is better; one value a row), as many a lane as `split` gives it, and evicts the
    /// others. Of rows worth the same the one that was offered first goes.
    ///
    /// # Errors
    /// Scores that are NaN or too few, or a split that gives more than there is.
    pub fn keep_best(
        &self,
        split: &dyn Split,
        score: impl Fn(&LaneRows<'_>) -> Vec<f32> + Sync,
    ) -> Result<Plan> {
        let table = self.rows();
        let lanes: Vec<LaneRows<'_>> = (0..table.lane_ends.len())
            .map(|lane| self.lane(&table, lane))
            .collect();
        let scores: Vec<Vec<f32>> = lanes.par_iter().map(|rows| score(rows)).collect();
        self.keep_scored(split, &lanes, &scores)
    }

    /// The same with scores that look beyond one lane: one vector for each of `lanes`.
    ///
    /// # Errors
    /// As [`keep_best`](Self::keep_best).
    pub fn keep_scored(
        &self,
        split: &dyn Split,
        lanes: &[LaneRows<'_>],
        scores: &[Vec<f32>],
    ) -> Result<Plan> {
        for (rows, scores) in lanes.iter().zip(scores) {
            if let Some(reason) = unsound(scores, rows.len()) {
                let (layer, head) = (rows.layer, rows.kv_head);
                return Err(Error::Policy(format!(
                    "scores of layer {layer}, kv head {head}: {reason}"
                )));
            }
        }
        let (layers, kv_heads) = (self.shape.layers, self.shape.kv_heads);
        let all = Lanes {
            layers,
            kv_heads,
            scores,
        };
        let held: usize = scores.iter().map(Vec::len).sum();
        let affordable = self.affordable().min(held);
        let shares = split.share(&all, affordable);
        let fits = shares.len() == scores.len()
            && shares.iter().sum::<usize>() <= affordable
            && shares
                .iter()
                .zip(scores)
                .all(|(share, rows)| *share <= rows.len());
        if !fits {
            return Err(Error::Policy(format!(
                "split `{}` shares {affordable} rows of {} lanes as {shares:?}",
                split.typetag_name(),
                scores.len()
            )));
        }
        let places: Vec<Vec<Place>> = lanes
            .par_iter()
            .zip(scores)
            .zip(shares)
            .map(|((rows, scores), share)| best(rows.place, scores, share))
            .collect();
        Ok(Plan::Assign(places.concat()))
    }
}

/// What makes scores unusable.
fn unsound(scores: &[f32], rows: usize) -> Option<String> {
    if scores.len() != rows {
        return Some(format!("{} for {rows} rows", scores.len()));
    }
    let nan = scores.iter().position(|score| score.is_nan())?;
    Some(format!("that of row {nan} is NaN"))
}

/// Places of the rows of a lane of which `keep` stay.
fn best(place: &[Place], scores: &[f32], keep: usize) -> Vec<Place> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let better = |&a: &usize, &b: &usize| scores[b].total_cmp(&scores[a]).then(b.cmp(&a));
    if keep > 0 && keep < order.len() {
        order.select_nth_unstable_by(keep - 1, better);
    }
    let mut places = vec![Place::Evicted; scores.len()];
    for &row in &order[..keep] {
        places[row] = place[row].max(Place::Tier(0));
    }
    places
}
