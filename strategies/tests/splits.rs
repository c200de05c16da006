//! What every split must keep, for any lanes and any number of rows.

use proptest::prelude::*;
use smartkv_core::registry::{self, Kind};
use smartkv_core::{Lanes, Split};
use smartkv_strategies as _;

/// Every registered split with its default configuration.
fn splits() -> Vec<Box<dyn Split>> {
    let entries = registry::entries(Kind::Split);
    let build = |entry: &&registry::Entry| {
        serde_json::from_value((entry.example)().expect("an example")).expect("a split")
    };
    entries.iter().map(build).collect()
}

#[test]
fn the_shipped_splits_are_registered() {
    let names: Vec<&str> = splits().iter().map(|split| split.typetag_name()).collect();
    assert_eq!(names, ["adaptive", "equal", "global", "pyramid"]);
    assert!(splits().iter().all(|split| split.check().is_ok()));
}

proptest! {
    #[test]
    fn shares_never_exceed_what_is_given_or_held_and_leave_nothing_unused(
        layers in 1usize..6, kv_heads in 1usize..4,
        lengths in prop::collection::vec(0usize..40, 18),
        scores in prop::collection::vec(prop::sample::select(vec![0.0f32, 0.1, 0.5, 0.7, 3.0]), 64),
        rows in 0usize..400,
    ) {
        let held: Vec<Vec<f32>> = (0..layers * kv_heads)
            .map(|lane| (0..lengths[lane]).map(|row| scores[(lane * 7 + row) % 64]).collect())
            .collect();
        let all: usize = held.iter().map(Vec::len).sum();
        let lanes = Lanes { layers, kv_heads, scores: &held };
        for split in splits() {
            let shares = split.share(&lanes, rows);
            prop_assert_eq!(shares.len(), held.len());
            for (share, lane) in shares.iter().zip(&held) {
                prop_assert!(*share <= lane.len(), "{:?} of {:?}", shares, lengths);
            }
            prop_assert_eq!(shares.iter().sum::<usize>(), rows.min(all), "{}", split.typetag_name());
        }
    }
}
