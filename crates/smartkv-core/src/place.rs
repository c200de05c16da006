//! Where a cached token may be, and the moves a strategy asks for.

use serde::{Deserialize, Serialize};

/// Where a token of a lane is stored. The order is the rule: a plan may only move a token to a
/// greater place, because bits once dropped cannot come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// Full precision, with the sinks and the newest tokens.
    Window,
    /// Packed, in the tier with this index of the layout.
    Tier(u8),
    /// Gone.
    Evicted,
}

/// What a strategy wants done with the rows offered in a [`PlanCx`](crate::strategy::PlanCx).
///
/// All three say the same thing in different words; a plan costs what has to be said. Rows are
/// numbered as in [`RowTable`](crate::strategy::RowTable).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Every row that leaves the window goes to this place; all others stay.
    FlushTo(Place),
    /// The same with a place for each lane, ordered by layer, then kv head.
    FlushEach(Vec<Place>),
    /// One place for every row.
    Assign(Vec<Place>),
    /// These rows move, in ascending order; all others stay. Every row that leaves the window must
    /// be among them.
    Move(Vec<Move>),
}

/// One row that a plan moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Number of the row.
    pub row: u32,
    /// Where it goes.
    pub to: Place,
}
