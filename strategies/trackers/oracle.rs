//! The attention that is still to come.

use smartkv_core::{LaneRows, Tracker, config, tracker};

/// Mean attention that each token will receive: an upper bound on what tracking may gain.
///
/// Not a method: the score is the attention of the queries *after* the plan, which no cache can know
/// while it generates. An evaluation that teacher-forces its text can: it runs the tokens of a
/// window through the f16 cache first, sums the attention to each (layer, kv head, token) from the
/// queries from the plan to the end of the window, and hands the sums over. What another tracker
/// loses against this one is its regret; what this one loses against f16 no tracker wins back by
/// ranking tokens by mean attention. It works in `smartkv eval` (needles apart) and `compare`;
/// `generate` and `bench` refuse it. Costs a position a row.
#[config]
pub struct Oracle;

#[tracker("oracle")]
impl Tracker for Oracle {
    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        Some(rows.future())
    }

    fn positions(&self) -> bool {
        true
    }

    fn needs_trace(&self) -> bool {
        true
    }
}
