//! Plugins that do everything wrong: each mistake is an error with the plugin's name.

use serde_json::json;
use smartkv_core::contract::Inputs;
use smartkv_core::registry;
use smartkv_core::{
    Allocator, Bits, Budget, Cache, CacheShape, Error, Format, Infeasible, Layout, Place, Plan,
    PlanCx, Problem, Result, Seen, Strategy, Tier, Tracker, Watch, allocator, config, strategy,
    tracker,
};

/// What to do wrong.
#[config]
enum Mistake {
    /// Nothing.
    #[default]
    None,
    /// Panic.
    Panic,
    /// Panic while building.
    PanicEarly,
    /// Fewer entries than rows.
    Short,
    /// More than there is.
    Overspend,
    /// Something that is not on offer.
    Unknown,
    /// Better than before.
    Raise,
    /// NaN.
    Nan,
    /// Infinity.
    Infinite,
}

/// Makes the mistakes of a strategy.
#[config]
struct BadStrategy {
    /// Its own mistake.
    mistake: Mistake,
    /// Tracker, with its mistake.
    #[default(Box::new(BadTracker::default()))]
    tracker: Box<dyn Tracker>,
    /// Allocator, with its mistake.
    #[default(Box::new(BadAllocator::default()))]
    allocator: Box<dyn Allocator>,
}

#[strategy("bad-strategy", family = "test", storage = "simulated")]
impl Strategy for BadStrategy {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        assert!(
            !matches!(self.mistake, Mistake::PanicEarly),
            "no layout today"
        );
        let tiers = [Bits::B8, Bits::B4].map(|bits| Tier::same(Format::asymmetric(bits, 0)));
        Ok(Layout {
            tiers: tiers.to_vec(),
            window: 4,
            ..Layout::constant(tiers[0])
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let rows = cx.rows();
        let places = |place| Ok(Plan::Assign(vec![place; rows.len()]));
        match self.mistake {
            Mistake::Panic => panic!("row {} is odd", rows.len()),
            Mistake::Short => return Ok(Plan::Assign(vec![Place::Tier(1)])),
            Mistake::Overspend => return places(Place::Tier(0)),
            Mistake::Unknown => return places(Place::Tier(7)),
            _ => {}
        }
        // A strategy that trips over scores that are not numbers.
        let sum: f32 = rows.score.iter().sum();
        assert!(sum.is_finite(), "cannot sort");
        let best: Vec<u8> = rows
            .place
            .iter()
            .map(|place| u8::from(*place == Place::Tier(1)))
            .collect();
        let problem = Problem {
            key_damage: &rows.key_spread,
            value_damage: &rows.value_spread,
            best: &best,
            menu: &cx.menu(),
            budget: cx.budget.unwrap_or(u64::MAX),
            seed: 0,
            ..Problem::default()
        };
        let offers = cx.allocate(self.allocator.as_ref(), &problem)?;
        Ok(Plan::Assign(offers.into_iter().map(Place::Tier).collect()))
    }
}

/// Makes the mistakes of a tracker.
#[config]
struct BadTracker {
    /// Its mistake.
    mistake: Mistake,
    /// A number with a range.
    #[default(0.5)]
    #[range(above 0.0..1.0)]
    decay: f64,
}

#[tracker("bad-tracker")]
impl Tracker for BadTracker {
    fn watch(&self) -> Option<Watch> {
        assert!(
            !matches!(self.mistake, Mistake::PanicEarly),
            "nothing to see"
        );
        Some(Watch::newest(4))
    }

    fn fold(&self, seen: &Seen<'_>, score: &mut [f32]) {
        let last = score.len() - 1;
        match self.mistake {
            Mistake::Panic => panic!("{} rows", seen.mass.len()),
            Mistake::Nan => score[last] = f32::NAN,
            Mistake::Infinite => score[last] = f32::INFINITY,
            _ => {}
        }
    }
}

/// Makes the mistakes of an allocator.
#[config]
struct BadAllocator {
    /// Its mistake.
    mistake: Mistake,
}

#[allocator("bad-allocator")]
impl Allocator for BadAllocator {
    fn allocate(&self, problem: &Problem<'_>) -> std::result::Result<Vec<u8>, Infeasible> {
        let rows = problem.best.len();
        let all = |offer| Ok(vec![offer; rows]);
        match self.mistake {
            Mistake::Panic => panic!("out of luck"),
            Mistake::Short => Ok(vec![1; rows - 1]),
            Mistake::Overspend => all(problem.best.iter().copied().min().unwrap_or(0)),
            Mistake::Unknown => all(9),
            Mistake::Raise => Ok(problem.best.iter().map(|b| 1 - b).collect()),
            _ => all(1),
        }
    }
}

fn run(config: &serde_json::Value) -> Result<()> {
    let shape = CacheShape::new(2, 1, 2, 1, 32)?;
    let strategy = registry::strategy(config)?;
    let mut cache = Cache::builder(shape, strategy)
        .budget(Some(Budget::Ratio(0.4)))
        .build()?;
    let inputs = Inputs::new(shape, 300, 1);
    let chunks = [200, 60, 1, 1, 1, 1, 1, 1];
    let mut at = 0;
    for tokens in chunks {
        inputs.try_step(&mut cache, at, tokens, false)?;
        at += tokens;
    }
    Ok(())
}

#[track_caller]
fn refused(config: &serde_json::Value, parts: &[&str]) -> Error {
    let error = run(config).expect_err("a mistake went unnoticed");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    error
}

#[test]
fn without_a_mistake_it_runs() {
    run(&json!({"type": "bad-strategy"})).unwrap();
}

#[test]
fn a_strategy_is_blamed_for_its_mistakes() {
    for (mistake, what) in [
        ("panic", "panicked in `plan`: row "),
        ("panic_early", "panicked in `layout`: no layout today"),
        ("short", "has 1 places for "),
        ("overspend", "bytes, the budget grants "),
        ("unknown", "to Tier(7)"),
    ] {
        let config = json!({"type": "bad-strategy", "mistake": mistake});
        let error = refused(&config, &["strategy `bad-strategy`", what]);
        let hints = error.hints().join("\n");
        assert!(hints.contains("from the crate `smartkv-core`"), "{hints}");
    }
}

#[test]
fn a_tracker_is_blamed_for_its_mistakes() {
    for (mistake, what) in [
        ("panic", "panicked in `fold`: "),
        ("nan", "gave a token the score NaN"),
        ("infinite", "gave a token the score inf"),
    ] {
        let tracker = json!({"type": "bad-tracker", "mistake": mistake});
        let config = json!({"type": "bad-strategy", "tracker": tracker});
        refused(&config, &["tracker `bad-tracker`", what]);
    }
    let tracker = json!({"type": "bad-tracker", "mistake": "panic_early"});
    let config = json!({"type": "bad-strategy", "tracker": tracker});
    refused(&config, &["panicked in `tracker`: nothing to see"]);
}

#[test]
fn an_allocator_is_blamed_for_its_mistakes() {
    for (mistake, what) in [
        ("panic", "panicked in `allocate`: out of luck"),
        ("short", " offers for "),
        ("overspend", "bytes, the budget grants "),
        ("unknown", "gave offer 9 to a row that may have 0 to 1"),
        ("raise", "gave offer 0 to a row that may have 1 to 1"),
    ] {
        let allocator = json!({"type": "bad-allocator", "mistake": mistake});
        let config = json!({"type": "bad-strategy", "allocator": allocator});
        refused(&config, &["allocator `bad-allocator`", what]);
    }
}

#[test]
fn numbers_out_of_range_are_named_with_their_path() {
    for decay in [0.0, 1.0, -3.0] {
        let tracker = json!({"type": "bad-tracker", "decay": decay});
        let config = json!({"type": "bad-strategy", "tracker": tracker});
        refused(
            &config,
            &[&format!(
                "tracker.decay = {decay:?}: expected above 0 to below 1"
            )],
        );
    }
    // What was built in code is checked when a cache is made of it.
    let strategy = BadStrategy {
        tracker: Box::new(BadTracker {
            decay: f64::NAN,
            ..BadTracker::default()
        }),
        ..BadStrategy::default()
    };
    let shape = CacheShape::new(2, 1, 2, 1, 32).unwrap();
    let error = Cache::builder(shape, std::sync::Arc::new(strategy))
        .build()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("tracker.decay = not a finite number"),
        "{text}"
    );
}

#[test]
fn choices_are_words_and_their_comments_the_manual() {
    let entry = registry::find(registry::Kind::Strategy, "bad-strategy").unwrap();
    assert_eq!(entry.storage, Some(registry::Storage::Simulated));
    let mistake = entry.fields.iter().find(|f| f.name == "mistake").unwrap();
    assert!((mistake.type_name)().starts_with("one of none, panic, panic_early, "));
    let schema = (mistake.schema)();
    assert_eq!(
        schema["oneOf"][1],
        json!({"const": "panic", "description": "Panic."})
    );
    let text = refused(
        &json!({"type": "bad-strategy", "mistake": "panik"}),
        &["panic_early"],
    );
    assert!(matches!(text, Error::Parameter { .. }), "{text}");
}

#[test]
fn schemas_define_each_plugin_once_and_bound_numbers() {
    let schema = smartkv_core::schema::document(None).unwrap();
    let definitions = &schema["$defs"];
    let decay = &definitions["tracker.bad-tracker"]["properties"]["decay"];
    assert_eq!(decay["exclusiveMinimum"], json!(0.0));
    assert_eq!(decay["exclusiveMaximum"], json!(1.0));
    assert_eq!(decay["default"], json!(0.5));
    let tracker = &definitions["strategy.bad-strategy"]["properties"]["tracker"];
    assert_eq!(tracker["allOf"], json!([{"$ref": "#/$defs/tracker"}]));
    let only = registry::find(registry::Kind::Tracker, "bad-tracker").unwrap();
    let only = smartkv_core::schema::document(Some(only)).unwrap();
    assert_eq!(only["$defs"].as_object().unwrap().len(), 1);
}

/// Has a default that it does not take.
#[config]
struct BadDefault {
    /// A share.
    #[default(1.5)]
    #[range(0.0..=1.0)]
    share: f64,
}

#[allocator("bad-default")]
impl Allocator for BadDefault {
    fn allocate(&self, _: &Problem<'_>) -> std::result::Result<Vec<u8>, Infeasible> {
        Ok(vec![u8::from(self.share > 1.0)])
    }
}

#[test]
fn a_default_out_of_its_range_is_found_at_the_start() {
    let error = registry::check().unwrap_err().to_string();
    let expected = "allocator `bad-default` has a default outside its range: share = 1.5: \
                    expected 0 to 1";
    assert_eq!(error, expected);
}
