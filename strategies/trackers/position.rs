//! Position alone, blind to what tokens say.

use serde::{Deserialize, Serialize};
use smartkv_core::{LaneRows, Tracker, config, tracker};

/// Scores tokens by position only: the first, the newest, or both ends of the sequence.
///
/// The score is `1 / (1 + distance)` from the favoured end: with `both` the middle goes first,
/// `last` is a sliding window. Costs a position a row.
#[config]
pub struct Position {
    /// Which end is favoured: `first`, `last` or `both`.
    pub favour: Favour,
}

/// An end of the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Favour {
    /// The first tokens.
    First,
    /// The newest tokens.
    Last,
    /// Whichever end is nearer.
    #[default]
    Both,
}

#[tracker("position")]
impl Tracker for Position {
    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let score = |&position: &u32| {
            let age = rows.seen.saturating_sub(1 + position as usize);
            let distance = match self.favour {
                Favour::First => position as usize,
                Favour::Last => age,
                Favour::Both => age.min(position as usize),
            };
            #[expect(clippy::cast_precision_loss, reason = "order survives up to 2^12 and beyond")]
            let distance = distance as f32;
            1.0 / (1.0 + distance)
        };
        Some(rows.position.iter().map(score).collect())
    }

    fn positions(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    #[test]
    fn the_favoured_end_scores_highest() {
        let lane = Probe::new(5);
        let scores = |favour| lane.look(|rows| Position { favour }.refine(rows)).unwrap();
        let (half, third) = (1.0 / 2.0, 1.0 / 3.0);
        assert_eq!(scores(Favour::First), [1.0, half, third, 0.25, 0.2]);
        assert_eq!(scores(Favour::Last), [0.2, 0.25, third, half, 1.0]);
        assert_eq!(scores(Favour::Both), [1.0, half, third, half, 1.0]);
    }
}
