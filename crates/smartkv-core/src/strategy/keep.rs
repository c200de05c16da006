//! Keeping the best rows and evicting the others: what score-based evictors share.

use super::{LaneRows, Lanes, PlanCx, Split};
use crate::budget::GRACE_TOKENS;
use crate::error::{Error, Result};
use crate::place::{Place, Plan};
use rayon::prelude::*;

impl PlanCx<'_> {
    /// Rows of tier 0 that the budget pays for, over all lanes of the sequence.
    #[must_use]
    pub fn affordable(&self) -> usize {
        let Some(&price) = self.prices.first() else {
            return 0;
        };
        self.budget.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes / u64::from(price)).unwrap_or(usize::MAX)
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
        let lanes = self.lanes(&table);
        let scores: Vec<Vec<f32>> = lanes.par_iter().map(&score).collect();
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
        check_scores(lanes, scores)?;
        let all = Lanes {
            layers: self.shape.layers,
            kv_heads: self.shape.kv_heads,
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
        self.keep_shares(lanes, scores, &shares)
    }

    /// The same where the caller says how many rows each lane keeps; more than it has is all.
    ///
    /// # Errors
    /// Scores that are NaN or too few.
    pub fn keep_shares(
        &self,
        lanes: &[LaneRows<'_>],
        scores: &[Vec<f32>],
        shares: &[usize],
    ) -> Result<Plan> {
        check_scores(lanes, scores)?;
        let places: Vec<Vec<Place>> = lanes
            .par_iter()
            .zip(scores)
            .zip(shares)
            .map(|((rows, scores), &share)| best(rows.place, scores, share))
            .collect();
        Ok(Plan::Assign(places.concat()))
    }
}

/// Refuses scores that are NaN or not one a row.
fn check_scores(lanes: &[LaneRows<'_>], scores: &[Vec<f32>]) -> Result<()> {
    for (rows, scores) in lanes.iter().zip(scores) {
        if let Some(reason) = unsound(scores, rows.len()) {
            let (layer, head) = (rows.layer, rows.kv_head);
            return Err(Error::Policy(format!(
                "scores of layer {layer}, kv head {head}: {reason}"
            )));
        }
    }
    Ok(())
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
    let keep = keep.min(scores.len());
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
