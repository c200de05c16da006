//! The same for every lane.

use smartkv_core::{Lanes, Split, config, split};

/// The same number of rows for every layer and kv head.
#[config]
pub struct Equal;

#[split("equal")]
impl Split for Equal {
    fn share(&self, lanes: &Lanes<'_>, rows: usize) -> Vec<usize> {
        lanes.proportional(rows, &vec![1.0; lanes.scores.len()])
    }
}
