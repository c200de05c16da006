//! What every allocator must keep, for any problem: and how close they come to the optimum.

use proptest::prelude::*;
use smartkv_core::registry::{self, Kind};
use smartkv_core::{Allocator, Offer, Problem};
use smartkv_strategies as _;
use smartkv_strategies::allocators::dynamic_programming::DynamicProgramming;
use smartkv_strategies::allocators::marginal::Marginal;
use smartkv_strategies::allocators::rate_distortion::RateDistortion;

/// Every registered allocator with its default configuration.
fn allocators() -> Vec<Box<dyn Allocator>> {
    let entries = registry::entries(Kind::Allocator);
    let build = |entry: &&registry::Entry| {
        serde_json::from_value((entry.example)().expect("an example")).expect("an allocator")
    };
    entries.iter().map(build).collect()
}

#[test]
fn the_shipped_allocators_are_registered() {
    let names: Vec<&str> = allocators().iter().map(|a| a.typetag_name()).collect();
    let expected = [
        "dynamic_programming",
        "fixed",
        "greedy",
        "layer_aware",
        "marginal",
        "random",
        "rate_distortion",
        "uniform_bits",
    ];
    assert_eq!(names, expected);
}

/// A problem that owns its columns.
#[derive(Debug, Clone)]
struct Owned {
    key: Vec<f32>,
    value: Vec<f32>,
    best: Vec<u8>,
    menu: Vec<Offer>,
    budget: u64,
    lane_ends: Vec<usize>,
    settled: Vec<u64>,
    damages: Vec<f32>,
}

impl Owned {
    fn problem(&self) -> Problem<'_> {
        Problem {
            key_damage: &self.key,
            value_damage: &self.value,
            best: &self.best,
            menu: &self.menu,
            budget: self.budget,
            seed: 5,
            damages: &self.damages,
            lane_ends: &self.lane_ends,
            kv_heads: 2,
            settled: &self.settled,
        }
    }
}

/// Offers that get cheaper and worse; the last may be eviction.
fn menus() -> impl Strategy<Value = Vec<Offer>> {
    let steps = prop::collection::vec((1u32..20, 0.0f32..3.0, 0.0f32..3.0), 1..6);
    (steps, 0u32..30).prop_map(|(steps, cheapest)| {
        let mut bytes = cheapest + steps.iter().map(|step| step.0).sum::<u32>();
        let (mut key_loss, mut value_loss) = (0.0, 0.0);
        let mut menu = vec![Offer {
            bytes,
            key_loss,
            value_loss,
        }];
        for (step, key, value) in steps {
            bytes -= step;
            (key_loss, value_loss) = (2.0 * key_loss + key, 2.0 * value_loss + value);
            menu.push(Offer {
                bytes,
                key_loss,
                value_loss,
            });
        }
        menu
    })
}

/// Problems of these many rows: damages of very different magnitudes, some none at all.
fn problems(rows: std::ops::Range<usize>) -> impl Strategy<Value = Owned> {
    let damage = prop_oneof![
        1 => Just(0.0f32),
        9 => (0.0f32..1.0, -8i32..8).prop_map(|(x, e)| x * 2f32.powi(e)),
    ];
    let rows = prop::collection::vec((damage.clone(), damage, 0usize..64, 0usize..5), rows);
    (menus(), rows, 0.0f64..1.1, any::<bool>()).prop_map(|(menu, rows, share, measured)| {
        let best: Vec<u8> = rows
            .iter()
            .map(|r| u8::try_from(r.2.saturating_sub(50) % menu.len()).expect("a few offers"))
            .collect();
        let (first, last) = (
            f64::from(menu[0].bytes),
            f64::from(menu[menu.len() - 1].bytes),
        );
        #[expect(clippy::cast_precision_loss, reason = "a few rows")]
        let budget = (rows.len() as f64 * (last + share * (first - last))).ceil();
        let (mut lane_ends, mut at) = (Vec::new(), 0);
        for row in rows.iter().take(5) {
            at += row.3;
            lane_ends.push(at.min(rows.len()));
        }
        lane_ends.push(rows.len());
        let mut owned = Owned {
            key: rows.iter().map(|r| r.0).collect(),
            value: rows.iter().map(|r| r.1).collect(),
            best,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bytes"
            )]
            budget: budget as u64,
            settled: lane_ends.iter().map(|&end| 10 * (end as u64 % 3)).collect(),
            lane_ends,
            menu,
            damages: Vec::new(),
        };
        if measured {
            // Not quite the product, as a measurement would be.
            let problem = owned.problem();
            let mut damages = Vec::new();
            for row in 0..problem.rows() {
                for offer in 0..problem.menu.len() {
                    let factor = if (row * 7 + offer * 3) % 5 == 0 {
                        1.5
                    } else {
                        0.9
                    };
                    damages.push(problem.damage(row, offer) * factor);
                }
            }
            owned.damages = damages;
        }
        owned
    })
}

fn bytes(problem: &Problem<'_>, offers: &[u8]) -> u64 {
    offers.iter().map(|&offer| problem.price(offer)).sum()
}

fn damage(problem: &Problem<'_>, offers: &[u8]) -> f64 {
    let rows = offers.iter().enumerate();
    rows.map(|(row, &offer)| f64::from(problem.damage(row, usize::from(offer))))
        .sum()
}

/// Largest damage of a row under its offers.
fn worst_row(problem: &Problem<'_>) -> f64 {
    let offers = 0..problem.menu.len();
    let damages = (0..problem.rows()).flat_map(|r| offers.clone().map(move |o| (r, o)));
    damages
        .map(|(row, offer)| f64::from(problem.damage(row, offer)))
        .fold(0.0, f64::max)
}

/// Least damage over every assignment.
fn exhaustive(problem: &Problem<'_>, row: usize, left: u64) -> f64 {
    if row == problem.rows() {
        return 0.0;
    }
    let offers = problem.best[row]..u8::try_from(problem.menu.len()).expect("a few offers");
    offers
        .filter(|&offer| problem.price(offer) <= left)
        .map(|offer| {
            f64::from(problem.damage(row, usize::from(offer)))
                + exhaustive(problem, row + 1, left - problem.price(offer))
        })
        .fold(f64::INFINITY, f64::min)
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads")
        .install(work)
}

proptest! {
    #[test]
    fn budgets_hold_rows_only_fall_and_threads_do_not_matter(owned in problems(0..60)) {
        let problem = owned.problem();
        for allocator in allocators() {
            let name = allocator.typetag_name();
            let offers = on_threads(1, || allocator.allocate(&problem)).unwrap();
            prop_assert_eq!(offers.len(), problem.rows(), "{}", name);
            let spent = bytes(&problem, &offers);
            prop_assert!(spent <= problem.budget, "{name}: {spent} of {}", problem.budget);
            prop_assert!(offers.iter().zip(problem.best).all(|(o, best)| o >= best), "{}", name);
            let again = on_threads(3, || allocator.allocate(&problem)).unwrap();
            prop_assert_eq!(offers, again, "{}", name);
        }
    }

    #[test]
    fn what_cannot_be_met_is_refused_by_all(owned in problems(1..20)) {
        let cheapest = owned.menu.last().map_or(0, |offer| offer.bytes);
        prop_assume!(cheapest > 0);
        let problem = owned.problem();
        let needed = problem.rows() as u64 * u64::from(cheapest);
        let problem = Problem { budget: needed - 1, ..problem };
        for allocator in allocators() {
            let error = allocator.allocate(&problem).unwrap_err();
            prop_assert_eq!((error.needed, error.budget), (needed, needed - 1));
        }
    }

    #[test]
    fn the_exact_one_is_exact_and_others_are_within_a_row_of_it(owned in problems(1..7)) {
        let problem = owned.problem();
        let optimum = exhaustive(&problem, 0, problem.budget);
        let close = 1e-4 * (1.0 + optimum);
        let exact = DynamicProgramming::default().allocate(&problem).unwrap();
        let exact = damage(&problem, &exact);
        prop_assert!((exact - optimum).abs() < close, "{exact} for {optimum}");
        let row = worst_row(&problem);
        let relaxed: [Box<dyn Allocator>; 2] =
            [Box::new(Marginal::default()), Box::new(RateDistortion::default())];
        for allocator in relaxed {
            let offers = allocator.allocate(&problem).unwrap();
            let loss = damage(&problem, &offers);
            prop_assert!(loss <= optimum + row + close, "{loss} for {optimum}, a row {row}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_small_table_of_choices_loses_little(owned in problems(100..400)) {
        let problem = owned.problem();
        let exact = DynamicProgramming::default().allocate(&problem).unwrap();
        let small = DynamicProgramming { cells: 1 << 14 }.allocate(&problem).unwrap();
        let (exact, small) = (damage(&problem, &exact), damage(&problem, &small));
        let row = worst_row(&problem);
        prop_assert!(exact <= small * (1.0 + 1e-6) + 1e-6, "{exact} {small}");
        // Blocks are of up to a dozen rows here; those of most damage are few.
        prop_assert!(small <= 1.5 * exact + 30.0 * row, "{exact} {small} {row}");
        let marginal = damage(&problem, &Marginal::default().allocate(&problem).unwrap());
        prop_assert!(marginal <= exact + row + 1e-4 * exact, "{exact} {marginal} {row}");
    }
}
