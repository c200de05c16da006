//! A lane of one's own making, to see what a tracker or an evictor makes of it.

use crate::place::Place;
use crate::shape::CacheShape;
use crate::strategy::{Half, LaneRows, Side};

/// What one lane holds at a planning point, for tests of formulas. Fields that a formula does not
/// read may stay empty.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Shape of the cache the lane is from.
    pub shape: CacheShape,
    /// Layer of the lane.
    pub layer: usize,
    /// Kv head of the lane.
    pub kv_head: usize,
    /// Tokens seen.
    pub seen: usize,
    /// First tokens that stay in the window.
    pub sinks: usize,
    /// Seed of the cache.
    pub seed: u64,
    /// Where each row is.
    pub place: Vec<Place>,
    /// Position of each row.
    pub position: Vec<u32>,
    /// Number of the newest tokens whose queries were observed.
    pub observed: usize,
    /// Score column.
    pub score: Vec<f32>,
    /// What the tracker remembers of the rows.
    pub memory: Vec<f32>,
    /// Tokens seen since the plan before.
    pub since: Option<usize>,
    /// Keys of the rows, `[rows, head_dim]`.
    pub keys: Vec<f32>,
    /// Values of the rows.
    pub values: Vec<f32>,
    /// Keys of the rows that stay in the window.
    pub staying_keys: Vec<f32>,
    /// Values of the same.
    pub staying_values: Vec<f32>,
}

impl Probe {
    /// A lane of `rows` consecutive tokens that leave the window, all scores 0, with heads of 8
    /// channels.
    ///
    /// # Panics
    /// Beyond `u32::MAX` rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        let shape = CacheShape::new(1, 1, 1, 1, 8).expect("a shape");
        let last = u32::try_from(rows).expect("few rows");
        Self {
            shape,
            layer: 0,
            kv_head: 0,
            seen: rows,
            sinks: 0,
            seed: 0,
            place: vec![Place::Window; rows],
            position: (0..last).collect(),
            observed: rows,
            score: vec![0.0; rows],
            memory: Vec::new(),
            since: None,
            keys: vec![0.0; rows * shape.head_dim],
            values: vec![0.0; rows * shape.head_dim],
            staying_keys: Vec::new(),
            staying_values: Vec::new(),
        }
    }

    /// Shows the lane to `look`.
    pub fn look<R>(&self, look: impl FnOnce(&LaneRows<'_>) -> R) -> R {
        let stored = |_: usize, half: Half, side: Side| match (half, side) {
            (Half::Keys, Side::Offered) => self.keys.clone(),
            (Half::Values, Side::Offered) => self.values.clone(),
            (Half::Keys, Side::Staying) => self.staying_keys.clone(),
            (Half::Values, Side::Staying) => self.staying_values.clone(),
        };
        let observers = |positions: &[u32]| {
            let later = |&at: &u32| self.seen.saturating_sub(at as usize).min(self.observed);
            let counts = positions.iter().map(later);
            counts
                .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
                .collect()
        };
        look(&LaneRows {
            shape: &self.shape,
            layer: self.layer,
            kv_head: self.kv_head,
            seen: self.seen,
            sinks: self.sinks,
            seed: self.seed,
            place: &self.place,
            position: &self.position,
            score: &self.score,
            memory: &self.memory,
            since: self.since,
            trace: None,
            observers: &observers,
            queries: None,
            rope: None,
            lane: 0,
            stored: &stored,
        })
    }
}
