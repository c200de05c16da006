//! What a strategy sees when it plans: the rows of one sequence, where they lie or as flat columns.

use crate::budget::Budget;
use crate::format::Format;
use crate::kernels::Kernels;
use crate::layout::{Layout, Tier};
use crate::packed::PackedRows;
use crate::place::Place;
use crate::rope::Ropes;
use crate::shape::CacheShape;
use crate::strategy::lane_rows::{Observers, Stored};
use crate::strategy::{LaneRows, Offer, QueryStatistics};
use crate::trace::Trace;
use rayon::prelude::*;
use std::ops::Range;

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
    /// Bytes of a row in each tier, columns included.
    pub prices: &'a [u32],
    /// A number that depends on the cache's seed and the tokens seen, for drawing lots.
    pub seed: u64,
    /// Importance has hardly moved since stored rows were last placed ([`Layout::drift`]): only
    /// rows that leave the window need a place, as far as the budget allows. Never without such a
    /// threshold.
    pub steady: bool,
    /// The rows that a plan may move, where they lie: nothing is copied. In the order of
    /// [`rows`](Self::rows).
    pub runs: &'a [Run<'a>],
    /// A number that depends on the cache's seed only.
    pub(crate) cache_seed: u64,
    /// First tokens that stay in the window.
    pub(crate) sinks: usize,
    /// Tokens seen since the last plan, if there was one.
    pub(crate) since: Option<usize>,
    pub(crate) trace: Option<&'a Trace>,
    pub(crate) stored: &'a Stored<'a>,
    pub(crate) observers: &'a Observers<'a>,
    /// Of each lane, where the layout asks for them.
    pub(crate) queries: &'a [Option<&'a QueryStatistics>],
    pub(crate) ropes: &'a Ropes,
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
    /// The rows that a plan may move, as flat columns. Collecting them costs one pass over the
    /// cache's columns and scales: a strategy that treats all rows alike should not ask, and one
    /// that plans often looks at [`runs`](Self::runs).
    #[must_use]
    pub fn rows(&self) -> RowTable {
        RowTable::of(self.runs, self.shape.layers * self.shape.kv_heads)
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
            score: table.score.get(rows.clone()).unwrap_or_default(),
            memory: table.memory_of(rows),
            since: self.since,
            trace: self.trace,
            observers: self.observers,
            queries: self.queries[lane],
            rope: self.ropes.layer(lane / self.shape.kv_heads),
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
        self.layout
            .tiers
            .iter()
            .zip(self.prices)
            .map(|(tier, &bytes)| Offer {
                bytes,
                key_loss: tier.k.loss(),
                value_loss: tier.v.loss(),
            })
            .collect()
    }
}

/// Rows of one lane in one place.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// Number of the first row in the [`RowTable`]; the others follow.
    pub first: usize,
    /// The lane, `layer * kv_heads + kv_head`.
    pub lane: usize,
    /// Where the rows are now; [`Place::Window`] for rows that must leave the window.
    pub place: Place,
    /// Positions of the tokens; empty unless the layout keeps positions.
    pub position: &'a [u32],
    /// Scores of the tracker; empty without one, and in a tier that no row can leave.
    pub score: &'a [f32],
    /// What is remembered of the rows; empty in a tier that no row can leave.
    pub(crate) memory: &'a [f32],
    /// Of the lane: mean over queries of `Σ_j (scale · q_j)²`, the gain from key errors to scores.
    pub query_energy: f32,
    /// Of the lane: mean squared value element.
    pub value_energy: f32,
    pub(crate) keys: &'a PackedRows,
    pub(crate) values: &'a PackedRows,
    /// The rows of `keys` and `values`.
    pub(crate) rows: Range<usize>,
    pub(crate) kernels: &'a dyn Kernels,
}

impl Run<'_> {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Mean squared range of the scale groups of each key and each value.
    ///
    /// # Panics
    /// When there is not one entry for each row.
    pub fn spreads(&self, key: &mut [f32], value: &mut [f32]) {
        self.keys.spreads(self.kernels, self.rows.clone(), key);
        self.values.spreads(self.kernels, self.rows.clone(), value);
    }

    /// Mean squared error of an element of each key and each value once stored in each of `tiers`:
    /// the rows are encoded and decoded, which costs that much. `[tiers, rows]`.
    ///
    /// # Panics
    /// When there is not one entry for each row of each tier, or a tier keeps rows in blocks that
    /// these rows do not fill.
    pub fn errors(&self, tiers: &[Tier], key: &mut [f32], value: &mut [f32]) {
        let formats = |half: fn(&Tier) -> Format| tiers.iter().map(half).collect::<Vec<_>>();
        let (rows, kernels) = (&self.rows, self.kernels);
        self.keys
            .errors(kernels, rows.clone(), &formats(|t| t.k), key);
        self.values
            .errors(kernels, rows.clone(), &formats(|t| t.v), value);
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
    /// Score of the tracker, 0 of rows that cannot move; empty without one.
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
    /// What the tracker remembers of each row: as many numbers for each.
    pub(crate) memory: Vec<f32>,
}

impl RowTable {
    /// No rows, of this many lanes.
    pub(crate) fn empty(lanes: usize) -> Self {
        Self::of(&[], lanes)
    }

    /// The rows of `runs`, which lie in `lanes` lanes.
    fn of(runs: &[Run<'_>], lanes: usize) -> Self {
        let mut table = Self {
            lane_ends: vec![0; lanes],
            query_energy: vec![0.0; lanes],
            value_energy: vec![0.0; lanes],
            ..Self::default()
        };
        for run in runs {
            table.place.resize(run.first + run.len(), run.place);
            table.position.extend_from_slice(run.position);
            if !run.score.is_empty() {
                // Rows that cannot move have none.
                table.score.resize(run.first, 0.0);
                table.score.extend_from_slice(run.score);
            }
            table.lane_ends[run.lane..].fill(run.first + run.len());
            table.query_energy[run.lane] = run.query_energy;
            table.value_energy[run.lane] = run.value_energy;
        }
        if !table.score.is_empty() {
            table.score.resize(table.place.len(), 0.0);
        }
        table.key_spread.resize(table.place.len(), 0.0);
        table.value_spread.resize(table.place.len(), 0.0);
        let (mut keys, mut values) = (&mut table.key_spread[..], &mut table.value_spread[..]);
        let mut parts = Vec::with_capacity(runs.len());
        for run in runs {
            let key = keys.split_off_mut(..run.len()).expect("as many as rows");
            let value = values.split_off_mut(..run.len()).expect("as many as rows");
            parts.push((run, key, value));
        }
        let fill = |(run, key, value): (&Run<'_>, &mut [f32], &mut [f32])| run.spreads(key, value);
        parts.into_par_iter().for_each(fill);
        table
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

    /// What the tracker remembers of some rows.
    fn memory_of(&self, rows: Range<usize>) -> &[f32] {
        let width = self.memory.len().checked_div(self.len()).unwrap_or(0);
        &self.memory[rows.start * width..rows.end * width]
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
