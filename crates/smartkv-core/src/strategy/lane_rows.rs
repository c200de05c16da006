//! What a tracker or an evictor may look at in one lane: more than columns, for those who ask.

use super::QueryStatistics;
use crate::place::Place;
use crate::rope::Rope;
use crate::shape::CacheShape;
use crate::trace::Trace;
use std::fmt;
use std::ops::Range;

/// Which half of a cached token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Keys,
    Values,
}

/// Rows of a lane on one side of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those that the plan places.
    Offered,
    /// Those that stay in the window whatever the plan.
    Staying,
}

/// The rows of one lane that a plan may move, in the order of [`RowTable`](super::RowTable):
/// first those that leave the window (oldest first), then tier 0, tier 1, ….
#[derive(Clone, Copy)]
pub struct LaneRows<'a> {
    /// Shape of the cache.
    pub shape: &'a CacheShape,
    /// Layer of the lane.
    pub layer: usize,
    /// Kv head of the lane.
    pub kv_head: usize,
    /// Tokens the sequence has seen.
    pub seen: usize,
    /// First tokens of the sequence that stay in the window.
    pub sinks: usize,
    /// A number that depends on the cache's seed only.
    pub seed: u64,
    /// Where each row is now.
    pub place: &'a [Place],
    /// Position of each token; empty unless the layout keeps positions.
    pub position: &'a [u32],
    /// Score of each row; empty without a tracker that watches.
    pub score: &'a [f32],
    /// What the tracker remembers of each row, `[len, memory]`; empty where it is none.
    pub memory: &'a [f32],
    /// Tokens seen since the plan before, if there was one.
    pub since: Option<usize>,
    pub(crate) trace: Option<&'a Trace>,
    pub(crate) observers: &'a Observers<'a>,
    pub(crate) queries: Option<&'a QueryStatistics>,
    pub(crate) rope: Option<&'a Rope>,
    /// Index of the lane in its sequence.
    pub(crate) lane: usize,
    pub(crate) stored: &'a Stored<'a>,
}

/// Decoded keys or values of the rows of a lane on one side of a plan.
pub(crate) type Stored<'a> = dyn Fn(usize, Half, Side) -> Vec<f32> + Sync + 'a;

/// How many observed queries there were from each position on.
pub(crate) type Observers<'a> = dyn Fn(&[u32]) -> Vec<u32> + Sync + 'a;

impl fmt::Debug for LaneRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneRows")
            .field("layer", &self.layer)
            .field("kv_head", &self.kv_head)
            .field("rows", &self.len())
            .finish_non_exhaustive()
    }
}

impl LaneRows<'_> {
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

    /// The rows that leave the window now: consecutive tokens, oldest first.
    #[must_use]
    pub fn leaving(&self) -> Range<usize> {
        let leaving = self.place.iter().take_while(|p| **p == Place::Window);
        0..leaving.count()
    }

    /// Keys after `RoPE` as they are stored now, `[len, head_dim]`: exact to f16 in the window,
    /// decoded from their tier otherwise. Costs a pass over the lane.
    #[must_use]
    pub fn keys(&self) -> Vec<f32> {
        (self.stored)(self.lane, Half::Keys, Side::Offered)
    }

    /// Values as they are stored now, `[len, head_dim]`. Costs a pass over the lane.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        (self.stored)(self.lane, Half::Values, Side::Offered)
    }

    /// Keys of the rows that stay in the window whatever the plan: the [`sinks`](Self::sinks),
    /// then the newest tokens, oldest first. All of them are exact to f16.
    #[must_use]
    pub fn staying_keys(&self) -> Vec<f32> {
        (self.stored)(self.lane, Half::Keys, Side::Staying)
    }

    /// Values of the same rows.
    #[must_use]
    pub fn staying_values(&self) -> Vec<f32> {
        (self.stored)(self.lane, Half::Values, Side::Staying)
    }

    /// Of each row, the queries so far that could see it and were observed. Needs
    /// [`position`](Self::position).
    #[must_use]
    pub fn observers(&self) -> Vec<u32> {
        (self.observers)(self.position)
    }

    /// Mean attention that each row will receive from the queries still to come, as far as they
    /// are traced. Needs [`position`](Self::position).
    ///
    /// # Panics
    /// Unless the tracker [needs the trace](crate::Tracker::needs_trace).
    #[must_use]
    pub fn future(&self) -> Vec<f32> {
        let trace = self.trace.expect("a tracker that needs the trace");
        trace.future(self.layer, self.kv_head, self.seen, self.position)
    }

    /// What is known of the lane's queries before `RoPE`, and the host's rotation.
    ///
    /// # Panics
    /// Unless the layout asks for [`queries`](crate::Layout::queries).
    #[must_use]
    pub fn queries(&self) -> (&QueryStatistics, &Rope) {
        let known = self.queries.zip(self.rope);
        known.expect("a layout that asks for queries")
    }
}
