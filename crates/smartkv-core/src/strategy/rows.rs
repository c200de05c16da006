//! What a strategy sees when it plans: the rows of one sequence, as flat columns.

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Place;
use crate::shape::CacheShape;
use crate::strategy::lane_rows::Stored;
use crate::strategy::{LaneRows, Offer, Tracker};
use rayon::prelude::*;

/// The state of one sequence at a planning point.
pub struct PlanCx<'a> {
    /// Shape of the cache.
    pub shape: &'a CacheShape,
    /// Layout of the strategy that plans.
    pub layout: &'a Layout,
    /// Tokens the sequence has seen.
    pub seen: usize,
    /// The user's budget, or the strategy's default.
    pub limit: Option<Budget>,
    /// Bytes that the rows of the table may take together, columns included; the window, sinks
    /// and statistics are already paid for. `None` without a budget.
    pub budget: Option<u64>,
    /// Bytes of the columns of one row.
    pub column_bytes: usize,
    /// A number that depends on the cache's seed and the tokens seen, for drawing lots.
    pub seed: u64,
    /// A number that depends on the cache's seed only.
    pub(crate) cache_seed: u64,
    /// First tokens that stay in the window.
    pub(crate) sinks: usize,
    /// Refines the score column of a table.
    pub(crate) tracker: Option<&'a dyn Tracker>,
    pub(crate) rows: &'a dyn Fn() -> RowTable,
    pub(crate) stored: &'a Stored<'a>,
}

impl std::fmt::Debug for PlanCx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanCx")
            .field("seen", &self.seen)
            .field("limit", &self.limit)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl PlanCx<'_> {
    /// The rows that a plan may move. Collecting them costs one pass over the columns, so a
    /// strategy that treats all rows alike should not ask.
    ///
    /// # Errors
    /// Scores of the tracker that are NaN, or not one a row.
    pub fn rows(&self) -> Result<RowTable> {
        let mut table = (self.rows)();
        let Some(tracker) = self.tracker else {
            return Ok(table);
        };
        let refined: Vec<Option<Vec<f32>>> = self
            .lanes(&table)
            .par_iter()
            .map(|rows| tracker.refine(rows))
            .collect();
        for (lane, refined) in refined.into_iter().enumerate() {
            let Some(refined) = refined else { continue };
            let rows = table.lane_rows(lane);
            if refined.len() != rows.len() {
                return Err(Error::Policy(format!(
                    "tracker `{}` gives {} scores for {} rows",
                    tracker.typetag_name(),
                    refined.len(),
                    rows.len()
                )));
            }
            // Without a column there is none yet.
            table.score.resize(table.place.len(), 0.0);
            table.score[rows].copy_from_slice(&refined);
        }
        if let Some(row) = table.score.iter().position(|score| score.is_nan()) {
            return Err(Error::Policy(format!(
                "tracker `{}`: the score of row {row} is NaN",
                tracker.typetag_name()
            )));
        }
        Ok(table)
    }

    /// Lane `lane` of a table: its columns, and its keys and values for those who ask.
    ///
    /// # Panics
    /// When the table has no such lane.
    #[must_use]
    pub fn lane<'t>(&'t self, table: &'t RowTable, lane: usize) -> LaneRows<'t> {
        let rows = table.lane_rows(lane);
        LaneRows {
            shape: self.shape,
            layer: lane / self.shape.kv_heads,
            kv_head: lane % self.shape.kv_heads,
            seen: self.seen,
            sinks: self.sinks,
            seed: self.cache_seed,
            place: &table.place[rows.clone()],
            position: table.position.get(rows.clone()).unwrap_or_default(),
            score: table.score.get(rows).unwrap_or_default(),
            lane,
            stored: self.stored,
        }
    }

    /// All lanes of a table.
    #[must_use]
    pub fn lanes<'t>(&'t self, table: &'t RowTable) -> Vec<LaneRows<'t>> {
        let lanes = 0..table.lane_ends.len();
        lanes.map(|lane| self.lane(table, lane)).collect()
    }

    /// The tiers as offers: price of a row, and mean squared rounding error of an element per
    /// unit of squared range ([`Format::loss`](crate::Format::loss)).
    #[must_use]
    pub fn menu(&self) -> Vec<Offer> {
        let head_dim = self.shape.head_dim;
        self.layout
            .tiers
            .iter()
            .map(|tier| Offer {
                bytes: u32::try_from(tier.row_bytes(head_dim) + self.column_bytes)
                    .unwrap_or(u32::MAX),
                key_loss: tier.k.loss(),
                value_loss: tier.v.loss(),
            })
            .collect()
    }
}

/// One entry per row of one sequence, ordered by layer, then kv head, then place: first the rows
/// that leave the window (oldest first), then tier 0, tier 1, ….
///
/// A row is one token of one lane. All columns have the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowTable {
    /// Where the row is now; [`Place::Window`] for rows that must leave the window.
    pub place: Vec<Place>,
    /// Position of the token; empty unless the layout keeps positions.
    pub position: Vec<u32>,
    /// Score of the tracker; empty without one.
    pub score: Vec<f32>,
    /// Mean squared range of the key's scale groups.
    pub key_spread: Vec<f32>,
    /// Mean squared range of the value's scale groups.
    pub value_spread: Vec<f32>,
    /// End of each lane's rows; `layers * kv_heads` entries.
    pub lane_ends: Vec<usize>,
    /// Per lane: mean over queries of `Σ_j (scale · q_j)²`, the gain from key errors to scores.
    pub query_energy: Vec<f32>,
    /// Per lane: mean squared value element.
    pub value_energy: Vec<f32>,
}

/// Some rows of a [`RowTable`], to be filled in.
#[derive(Debug)]
pub(crate) struct RowColumns<'a> {
    pub(crate) place: &'a mut [Place],
    /// Empty unless the layout keeps positions.
    pub(crate) position: &'a mut [u32],
    /// Empty without a tracker.
    pub(crate) score: &'a mut [f32],
    pub(crate) key_spread: &'a mut [f32],
    pub(crate) value_spread: &'a mut [f32],
}

impl<'a> RowColumns<'a> {
    /// The first `rows` rows, which are taken off.
    pub(crate) fn take(&mut self, rows: usize) -> RowColumns<'a> {
        /// The first rows of a column that may be empty; the others stay in it.
        macro_rules! first {
            ($column:ident) => {{
                let count = rows.min(self.$column.len());
                let (first, rest) = std::mem::take(&mut self.$column).split_at_mut(count);
                self.$column = rest;
                first
            }};
        }
        RowColumns {
            place: first!(place),
            position: first!(position),
            score: first!(score),
            key_spread: first!(key_spread),
            value_spread: first!(value_spread),
        }
    }
}

impl RowTable {
    /// A table of lanes with this many rows, all columns still to be filled in.
    pub(crate) fn blank(lanes: &[usize], positions: bool, scores: bool) -> Self {
        let lane_ends: Vec<usize> = lanes
            .iter()
            .scan(0, |end, rows| {
                *end += rows;
                Some(*end)
            })
            .collect();
        let rows = lane_ends.last().copied().unwrap_or(0);
        Self {
            place: vec![Place::Window; rows],
            position: vec![0; if positions { rows } else { 0 }],
            score: vec![0.0; if scores { rows } else { 0 }],
            key_spread: vec![0.0; rows],
            value_spread: vec![0.0; rows],
            query_energy: vec![0.0; lanes.len()],
            value_energy: vec![0.0; lanes.len()],
            lane_ends,
        }
    }

    /// All rows.
    pub(crate) fn columns(&mut self) -> RowColumns<'_> {
        RowColumns {
            place: &mut self.place,
            position: &mut self.position,
            score: &mut self.score,
            key_spread: &mut self.key_spread,
            value_spread: &mut self.value_spread,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.place.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.place.is_empty()
    }

    /// Row range of one lane.
    ///
    /// # Panics
    /// When there is no such lane.
    #[must_use]
    pub fn lane_rows(&self, lane: usize) -> std::ops::Range<usize> {
        let start = if lane == 0 {
            0
        } else {
            self.lane_ends[lane - 1]
        };
        start..self.lane_ends[lane]
    }

    /// Row ranges of the lanes, in order.
    pub fn lanes(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.lane_ends.iter().copied());
        starts.zip(&self.lane_ends).map(|(start, &end)| start..end)
    }
}
