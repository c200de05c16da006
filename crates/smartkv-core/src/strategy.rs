//! What a plugin writes: strategies, trackers and allocators.
//!
//! All three are immutable, serialisable values. They return data; the cache executes it.

mod allocate;
mod keep;
mod lane_rows;
mod problem;
mod queries;
mod rows;
mod split;

pub use lane_rows::LaneRows;
pub(crate) use lane_rows::{Half, Side};
pub use queries::QueryStatistics;
pub use rows::{PlanCx, RowTable, Run};
pub use split::{Lanes, Split};

use crate::budget::Budget;
use crate::calibration::Calibration;
use crate::error::Result;
use crate::layout::Layout;
use crate::place::{Place, Plan};
use crate::shape::CacheShape;
use crate::simulation::Simulation;
use std::fmt::Debug;

/// A way to store and attend to keys and values.
///
/// [`layout`](Strategy::layout) is the one required method: a strategy that only says how rows
/// are packed is complete. Everything that follows a token (position, score) is a column of the
/// cache and moves with it, so a strategy has no state of its own.
#[typetag::serde(tag = "type")]
pub trait Strategy: Debug + Send + Sync {
    /// The tiers, window and columns this strategy needs for a cache of `shape`.
    ///
    /// # Errors
    /// A parameter that does not fit the shape.
    fn layout(&self, shape: &CacheShape) -> Result<Layout>;

    /// What watches attention for this strategy. `None` costs nothing.
    fn tracker(&self) -> Option<&dyn Tracker> {
        None
    }

    /// Budget used when the user gives none. `None` means that the layout alone decides.
    fn default_budget(&self) -> Option<Budget> {
        None
    }

    /// What changes rows in the place of a storage of their own, for methods that are simulated:
    /// their rows stay in f16, and tables of memory leave them out.
    fn simulation(&self) -> Option<&dyn Simulation> {
        None
    }

    /// What learns parameters from samples of a model, for methods that are calibrated.
    fn calibration(&self) -> Option<&dyn Calibration> {
        None
    }

    /// Decides where rows go, once every [`Layout::period`] tokens and at the end of a prompt.
    ///
    /// # Errors
    /// Whatever makes a decision impossible; an infeasible budget for one.
    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let _ = cx;
        Ok(Plan::FlushTo(Place::Tier(0)))
    }
}

/// What a tracker asks the attention kernels to observe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Newest queries of each prompt chunk whose attention is observed, at least 1. While decoding
    /// every query is.
    pub prompt_queries: usize,
    /// Of every so many tokens of a prompt one more is observed, drawn by lot; 0 is none.
    pub spread: usize,
}

impl Watch {
    /// Only the newest queries of each prompt chunk.
    #[must_use]
    pub const fn newest(prompt_queries: usize) -> Self {
        Self {
            prompt_queries,
            spread: 0,
        }
    }
}

/// Attention observed in one step for rows of one lane that the same queries could see.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Per row: attention probability, averaged over the query heads of the lane and over the
    /// observed queries that could see the row (`ZipCache`'s normalisation, arXiv 2405.14256).
    pub mass: &'a [f32],
    /// Observed queries that could see these rows; at least 1.
    pub queries: u32,
}

/// Scores every (layer, lane, token): higher is more important.
///
/// A score can come from attention that is observed as it happens, folded into a column of the
/// cache that moves with its token; or from what is known when a plan is made (position, keys,
/// values); or from both.
#[typetag::serde(tag = "type")]
pub trait Tracker: Debug + Send + Sync {
    /// Checks parameters that a type cannot.
    ///
    /// # Errors
    /// A parameter outside its domain.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// What to observe; only that is paid for. `None` needs no column and no attention.
    fn watch(&self) -> Option<Watch> {
        None
    }

    /// Updates the score column of the rows of `seen`. New rows start at 0. Rows of one step may
    /// come in several calls.
    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        let _ = (seen, score);
    }

    /// The scores that a plan sees, where they are not the column itself: one a row.
    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let _ = rows;
        None
    }

    /// Whether [`refine`](Self::refine) reads positions: then the cache keeps them.
    fn positions(&self) -> bool {
        false
    }

    /// Numbers that the cache keeps of each row from plan to plan, for trackers that look at how
    /// a score changes. They move with the row and cost 4 bytes each.
    fn memory(&self) -> usize {
        0
    }

    /// Updates these numbers, `[rows, memory]`, before [`refine`](Self::refine) reads them: at
    /// every plan, for every row it may move. Those of a row that no plan has seen are NaN, and
    /// those of a row that cannot move any more are forgotten.
    fn remember(&self, rows: &LaneRows<'_>, memory: &mut [f32]) {
        let _ = (rows, memory);
    }

    /// Whether it reads the attention of tokens to come ([`LaneRows::future`]). Then only
    /// measurements that know these tokens can use it; a tracker that wraps another says what
    /// that one says.
    fn needs_trace(&self) -> bool {
        false
    }
}

impl dyn Tracker {
    /// The scores that a plan sees: refined ones, or else the column. For trackers that wrap
    /// another.
    #[must_use]
    pub fn scores(&self, rows: &LaneRows<'_>) -> Vec<f32> {
        self.refine(rows).unwrap_or_else(|| rows.score.to_vec())
    }
}

/// One way to store a row, with its price and its expected damage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// Bytes of the row, columns included; 0 for eviction.
    pub bytes: u32,
    /// Factor on a row's `key_damage`.
    pub key_loss: f32,
    /// Factor on a row's `value_damage`.
    pub value_loss: f32,
}

/// Choose one offer for every row, spending at most `budget` bytes.
///
/// The damage of giving row `i` offer `o` is
/// `key_damage[i] * menu[o].key_loss + value_damage[i] * menu[o].value_loss`, or an entry of
/// `damages`: [`damage`](Self::damage) tells. Rows are ordered by layer, then kv head.
#[derive(Debug, Clone, Copy, Default)]
pub struct Problem<'a> {
    /// Weight of key errors, per row; finite and not negative.
    pub key_damage: &'a [f32],
    /// Weight of value errors, per row; finite and not negative.
    pub value_damage: &'a [f32],
    /// Best offer each row may still have (an index into `menu`); it may take this or a later one.
    pub best: &'a [u8],
    /// Offers in the order of the tiers, strictly cheaper from one to the next.
    pub menu: &'a [Offer],
    /// Bytes for all rows together.
    pub budget: u64,
    /// For allocators that draw lots.
    pub seed: u64,
    /// Where damages are not the product: that of every row under every offer,
    /// `[rows, menu.len()]`. Empty where they are.
    pub damages: &'a [f32],
    /// End of each lane's rows. Empty when nobody knows: then all rows are of one layer.
    pub lane_ends: &'a [usize],
    /// Lanes of a layer.
    pub kv_heads: usize,
    /// Bytes of each lane's rows that cannot change any more: they are not among these rows, nor
    /// are their bytes part of `budget`. Empty when there are none.
    pub settled: &'a [u64],
}

/// A budget that not even the cheapest offers meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cheapest places of {rows} rows take {needed} bytes, the budget grants {budget}")]
pub struct Infeasible {
    /// Rows to place.
    pub rows: usize,
    /// Bytes of all rows at their cheapest.
    pub needed: u64,
    /// Bytes granted.
    pub budget: u64,
}

/// Solves a [`Problem`]: a pure function, never over budget.
#[typetag::serde(tag = "type")]
pub trait Allocator: Debug + Send + Sync {
    /// The chosen offer of every row.
    ///
    /// # Errors
    /// [`Infeasible`] when the cheapest offers exceed the budget.
    fn allocate(&self, problem: &Problem<'_>) -> std::result::Result<Vec<u8>, Infeasible>;
}
