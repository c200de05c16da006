//! A look at a cache from outside: where its tokens are, and what its plans did.

use super::Cache;
use super::lane::Lane;
use super::segment::Segment;
use crate::place::Place;
use serde::{Deserialize, Serialize};

/// What plans did since a cache was emptied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanWork {
    /// Plans that were asked for and carried out.
    pub plans: u64,
    /// Rows that left the window.
    pub flushed: u64,
    /// Rows that were stored already and moved to a lower place: a reallocation.
    pub lowered: u64,
}

impl PlanWork {
    /// What was done after `before`, an earlier state of the same count.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            plans: self.plans.saturating_sub(before.plans),
            flushed: self.flushed.saturating_sub(before.flushed),
            lowered: self.lowered.saturating_sub(before.lowered),
        }
    }
}

impl Cache {
    /// What its plans did since the cache was emptied.
    #[must_use]
    pub fn plan_work(&self) -> PlanWork {
        self.work
    }

    /// Where one lane keeps each token: position and place, in attention order (tiers, then
    /// window). Evicted tokens are not there. `None` unless positions are kept: build the cache
    /// with [`inspected`](super::CacheBuilder::inspected).
    ///
    /// # Panics
    /// When `layer` or `lane` is out of range.
    #[must_use]
    pub fn places(&self, layer: usize, lane: usize) -> Option<Vec<(u32, Place)>> {
        let lane = self.lane(layer, lane);
        let tiers = (0u8..).map(Place::Tier).zip(&lane.tiers);
        let window = std::iter::once((Place::Window, &lane.window));
        let mut places = Vec::with_capacity(lane.len());
        for (place, segment) in tiers.chain(window) {
            if segment.positions().len() < segment.len() {
                return None;
            }
            places.extend(
                segment
                    .positions()
                    .iter()
                    .map(|&position| (position, place)),
            );
        }
        Some(places)
    }

    /// Rows that one lane holds in each place: one entry a tier, then the window.
    ///
    /// # Panics
    /// When `layer` or `lane` is out of range.
    #[must_use]
    pub fn lane_census(&self, layer: usize, lane: usize) -> Vec<usize> {
        self.lane(layer, lane)
            .segments()
            .map(Segment::len)
            .collect()
    }

    fn lane(&self, layer: usize, lane: usize) -> &Lane {
        let lanes = self.shape.lanes();
        assert!(lane < lanes, "lane {lane} of {lanes}");
        &self.lanes[layer * lanes + lane]
    }
}
