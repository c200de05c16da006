//! Looking at a cache says where its tokens are, and changes nothing.

use super::{Scatter, cache};
use crate::contract::Inputs;
use crate::hook::{KvHook, MeasuredHook};
use crate::{
    Bits, Cache, CacheShape, Format, Layout, Move, Place, Plan, PlanCx, PlanWork, Reference,
    Result, Strategy, Tier, config, strategy,
};
use std::sync::Arc;

const WINDOW: usize = 4;

/// Puts tokens of even position into the first tier, the others into the second, and keeps no
/// positions.
#[config]
struct Parity;

#[strategy("test-parity", family = "test")]
impl Strategy for Parity {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let tiers = [Bits::B8, Bits::B4].map(|bits| Tier::same(Format::asymmetric(bits, 16)));
        Ok(Layout {
            tiers: tiers.to_vec(),
            window: WINDOW,
            sinks: 1,
            ..Layout::constant(tiers[0])
        })
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        assert!(cx.runs.iter().all(|run| run.position.is_empty()));
        let leaving = cx.runs.iter().filter(|run| run.place == Place::Window);
        let moves = leaving.flat_map(|run| {
            let oldest = cx.seen - WINDOW - run.len();
            (0..run.len()).map(move |row| Move {
                row: (run.first + row) as u32,
                to: Place::Tier(((oldest + row) % 2) as u8),
            })
        });
        Ok(Plan::Move(moves.collect()))
    }
}

fn parity(inspected: bool) -> Cache {
    let shape = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let builder = Cache::builder(shape, Arc::new(Parity {})).kernels(&Reference);
    builder.inspected(inspected).build().unwrap()
}

#[test]
fn places_are_those_of_the_plans() {
    let mut cache = parity(true);
    let inputs = Inputs::new(cache.shape, 40, 5);
    inputs.step(&mut cache, 0, 21, false);
    for token in 21..40 {
        inputs.step(&mut cache, token, 1, false);
        let seen = token + 1;
        for (layer, lane) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut places = cache.places(layer, lane).unwrap();
            assert_eq!(places.len(), seen);
            let census = cache.lane_census(layer, lane);
            for (place, rows) in [Place::Tier(0), Place::Tier(1), Place::Window]
                .iter()
                .zip(census)
            {
                assert_eq!(places.iter().filter(|(_, p)| p == place).count(), rows);
            }
            places.sort_unstable();
            for (at, (position, place)) in places.into_iter().enumerate() {
                assert_eq!(position as usize, at);
                let expected = match at {
                    0 => Place::Window,
                    at if at + WINDOW >= seen => Place::Window,
                    at => Place::Tier((at % 2) as u8),
                };
                assert_eq!(place, expected, "token {at} of {seen}");
            }
        }
    }
    let work = cache.plan_work();
    assert_eq!(work.plans, 20);
    assert_eq!(work.flushed, 4 * (40 - 1 - WINDOW as u64));
    assert_eq!(work.lowered, 0);
    cache.reset();
    assert_eq!(cache.plan_work(), PlanWork::default());
}

#[test]
fn an_inspected_cache_is_as_any_other() {
    let (mut plain, mut inspected) = (parity(false), parity(true));
    let inputs = Inputs::new(plain.shape, 40, 6);
    for (start, len) in [(0, 20), (20, 1), (21, 9), (30, 1)] {
        let outputs = [&mut plain, &mut inspected].map(|c| inputs.step(c, start, len, false));
        assert!(outputs[0] == outputs[1]);
        assert_eq!(plain.memory(), inspected.memory());
    }
    assert_eq!(plain.places(0, 0), None);
    assert!(plain.positions(0, 0).is_empty());
}

#[test]
fn rows_that_sink_further_are_counted() {
    let mut cache = cache(
        Scatter {
            seed: 3,
            evict: true,
            ..Scatter::default()
        },
        None,
    );
    let inputs = Inputs::new(cache.shape, 60, 3);
    inputs.step(&mut cache, 0, 30, false);
    assert_eq!(cache.plan_work().lowered, 0);
    let mut total = 0;
    for token in 30..60 {
        let before = (cache.plan_work(), places(&cache));
        inputs.step(&mut cache, token, 1, false);
        let work = cache.plan_work().since(before.0);
        let after = places(&cache);
        let stored = |place: &Place| matches!(place, Place::Tier(_));
        let moved = before.1.iter().filter(|(row, place)| {
            let now = after.binary_search_by_key(row, |entry| entry.0);
            stored(place) && now.map_or(true, |at| after[at].1 != *place)
        });
        assert_eq!(work.lowered, moved.count() as u64, "token {token}");
        total += work.lowered;
    }
    assert!(total > 0);
}

/// A row: layer, lane and position.
type Row = (usize, usize, u32);

/// Where every token of every lane is, sorted.
fn places(cache: &Cache) -> Vec<(Row, Place)> {
    let mut all = Vec::new();
    for (layer, lane) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let lane_places = cache.places(layer, lane).unwrap();
        all.extend(
            lane_places
                .iter()
                .map(|&(position, place)| ((layer, lane, position), place)),
        );
    }
    all.sort_unstable();
    all
}
