//! What seeds do to intervals and rankings: windows drawn under several are one population, rows
//! that lack one are not ranked, and what has no common window is not compared.
#![expect(clippy::float_cmp, reason = "exact where it is exact")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod common;

use common::{Filled, printed};
use serde_json::{Value, json};
use smartkv_analysis::Study;
use smartkv_analysis::compare::{Comparison, Contribution, compare};
use smartkv_analysis::front::fronts;
use smartkv_analysis::group::{Row, rows};
use smartkv_analysis::pairing::unpaired;
use smartkv_analysis::pooled::Pooled;
use smartkv_analysis::summary::{Estimate, Summary, summarise};
use smartkv_analysis::table::{Entry, Number, Table};
use smartkv_analysis::tables::{Kind, Options, tables};
use smartkv_stats::{Bootstrap, Interval, bca_interval, mean};

const HOW: Bootstrap = Bootstrap {
    resamples: 2000,
    level: 0.95,
    seed: 0,
};

/// What the program prints of `count` of the eight windows of a run, from the first on.
fn part_of(file: &str, first: usize, count: usize) -> Value {
    let mut result = printed(file);
    let all = result["samples"]["windows"].as_array().unwrap().clone();
    let kept = &all[first..first + count];
    let of = |field: &str| -> f64 {
        let values: Vec<f64> = kept
            .iter()
            .map(|one| one["fidelity"][field].as_f64().unwrap())
            .collect();
        mean(&values).unwrap()
    };
    result["quality"]["kl_mean"] = of("mean_kl_nats").into();
    result["quality"]["perplexity"] = of("mean_nll_nats").exp().into();
    result["samples"]["windows"] = kept.into();
    result
}

/// Strategies with the eight windows of their run dealt out to as many seeds as it takes.
fn dealt(strategies: &[(&str, &str, Value)], each: usize) -> Filled {
    let mut filled = Filled::new();
    for (strategy, file, budget) in strategies {
        for seed in 0..8 / each {
            let labels = json!({"strategy": strategy, "budget": budget, "seed": seed});
            let id = format!("{strategy}-{budget}-{seed}");
            let result = part_of(file, seed * each, each);
            filled.cell(&id, &labels, result, seed as u64);
        }
    }
    let axes = ["strategy", "budget", "seed"];
    filled.plan("p", &axes, &json!({"strategy": strategies[0].0}));
    filled
}

fn windows(file: &str, field: &str) -> Vec<f64> {
    let record = printed(file);
    let windows = record["samples"]["windows"].as_array().unwrap().iter();
    windows
        .map(|one| one["fidelity"][field].as_f64().unwrap())
        .collect()
}

fn estimate(study: &Study, row: &Row<'_>, metric: &str) -> Estimate {
    match summarise(row, &study.metric(metric).unwrap(), &HOW).unwrap() {
        Summary::Estimate(estimate) => estimate,
        other => panic!("{other:?}"),
    }
}

fn compared(study: &Study, metric: &str) -> Comparison {
    let (rows, metric) = (rows(study), study.metric(metric).unwrap());
    let found = compare(&rows[0], &rows[1], &metric, &HOW).unwrap();
    found.expect("common windows")
}

fn close(found: Option<Interval>, expected: Option<Interval>) {
    let (found, expected) = (found.unwrap(), expected.unwrap());
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * b.abs().max(1e-3);
    assert!(
        near(found.low, expected.low) && near(found.high, expected.high),
        "{found:?}, expected {expected:?}"
    );
}

/// However windows are dealt out to seeds, they are the same evidence.
#[test]
fn windows_of_all_seeds_are_one_population() {
    let kl = windows("random-0.3-s0", "mean_kl_nats");
    let mut of_one_seed = None;
    for each in [8, 4, 2, 1] {
        let study = dealt(&[("x", "random-0.3-s0", json!(0.3))], each).study("p");
        let rows = rows(&study);
        let own = estimate(&study, &rows[0], "kl_mean");
        assert_eq!((own.seeds, own.units), (8 / each, Some(8)));
        close(own.interval, bca_interval(&kl, &HOW).unwrap());
        // As a factor on the mean over seeds, which is another for each deal.
        let own = estimate(&study, &rows[0], "perplexity");
        let factors = own.interval.map(|ends| ends.map(|end| end / own.mean));
        of_one_seed = of_one_seed.or(factors);
        close(factors, of_one_seed);
        assert!(factors.unwrap().low < 0.99 && factors.unwrap().high > 1.01);
    }
}

/// Windows that two seeds of unequal size share in part: the number stays the mean over seeds, and
/// a resample without any window of a seed is a number too.
#[test]
fn seeds_may_overlap() {
    let mut filled = Filled::new();
    let mut means = Vec::new();
    for (seed, first, count) in [(0_u64, 0, 3), (1, 2, 5)] {
        let result = part_of("random-0.3-s0", first, count);
        means.push(result["quality"]["kl_mean"].as_f64().unwrap());
        let labels = json!({"strategy": "x", "seed": seed});
        filled.cell(&format!("{seed}"), &labels, result, seed);
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let rows = rows(&study);
    let metric = study.metric("kl_mean").unwrap();
    let pooled = Pooled::of(&[&rows[0]], &metric).unwrap();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a}, expected {b}");
    assert_eq!(pooled.len(), 7);
    let expected = mean(&means).unwrap();
    near(pooled.metric(&pooled.places())[0], expected);
    let weighted = pooled.units(0).into_iter().zip(pooled.weights());
    let weighted: Vec<f64> = weighted.map(|(value, weight)| value * weight).collect();
    near(mean(&weighted).unwrap(), expected);
    near(pooled.metric(&[0, 0])[0], pooled.units(0)[0]);
    let own = estimate(&study, &rows[0], "kl_mean");
    assert!(own.interval.unwrap().contains(own.mean));
}

#[test]
fn differences_of_one_window_a_seed_have_an_interval() {
    let (from, to) = ("smartkv-0.3-s0", "random-0.3-s0");
    let strategies = [("whole", from, json!(0.3)), ("random", to, json!(0.3))];
    let (a, b) = (windows(from, "mean_kl_nats"), windows(to, "mean_kl_nats"));
    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
    for each in [1, 4] {
        let found = compared(&dealt(&strategies, each).study("p"), "kl_mean");
        close(found.interval, bca_interval(&differences, &HOW).unwrap());
        let change = found.relative_interval.unwrap();
        assert!(change.low < change.high, "{change:?}");
    }
}

#[test]
fn one_window_has_no_interval_and_no_verdict() {
    let mut filled = Filled::new();
    for (strategy, file) in [("whole", "smartkv-0.3-s0"), ("random", "random-0.3-s0")] {
        let labels = json!({"strategy": strategy, "seed": 0});
        filled.cell(strategy, &labels, part_of(file, 0, 1), 0);
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let found = compared(&study, "kl_mean");
    assert_eq!((found.interval, found.relative_interval), (None, None));
    assert!(found.relative.unwrap() > 1.0);
    assert_eq!(found.contribution(), Contribution::Unclear);
    let front = &tables(&study, Kind::Front, &Options::default()).unwrap()[0];
    assert!(column(front, "on it in").all(|one| matches!(one, Entry::Text(_))));
}

/// One sample drawn among itself is always the same.
#[test]
fn a_part_of_one_sample_leaves_no_interval() {
    let mut filled = Filled::new();
    for file in ["tasks-uniform-2", "tasks-uniform-4"] {
        let mut result = printed(file);
        let samples = &mut result["tasks"][1]["result"]["samples"];
        let samples = samples.as_array_mut().unwrap();
        let mut others = 0;
        samples.retain(|one| {
            others += usize::from(one["part"] == "vt");
            one["part"] != "vt" || others == 1
        });
        assert_eq!(samples.len(), 5);
        filled.cell(file, &json!({"strategy": file, "seed": 0}), result, 0);
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let found = compared(&study, "gold_nll.ruler");
    assert_eq!((found.interval, found.tests.unwrap().units), (None, 5));
    assert_eq!(found.contribution(), Contribution::Unclear);
    let rows = rows(&study);
    let own = estimate(&study, &rows[0], "gold_nll.ruler");
    assert_eq!((own.interval, own.units), (None, Some(5)));
    let whole = estimate(&study, &rows[0], "gold_nll.ruler/niah_single_1");
    assert!(whole.interval.unwrap().low < whole.mean);
}

#[test]
fn areas_of_one_window_a_seed_have_an_interval() {
    let strategies = [
        ("a", "smartkv-0.3-s0", json!(0.3)),
        ("a", "smartkv-0.5-s0", json!(0.5)),
        ("b", "random-0.3-s0", json!(0.3)),
    ];
    let areas = |each: usize| {
        let study = dealt(&strategies, each).study("p");
        let rows = rows(&study);
        let metric = |name: &str| study.metric(name).unwrap();
        let found = fronts(&rows, &metric("ratio"), &metric("kl_mean"), false, &HOW).unwrap();
        assert_eq!(found[0].units, Some(8));
        found[0].curves[0].interval
    };
    let interval = areas(1).unwrap();
    assert!(interval.low < interval.high, "{interval:?}");
    close(areas(2), areas(8));
}

/// What a plan lacks when a cell has failed: the best strategy has one seed of two.
fn failed() -> Filled {
    let mut filled = Filled::new();
    for (strategy, file, seeds) in [
        ("best", "smartkv-0.3", 1),
        ("good", "random-0.3", 2),
        ("bad", "uniform-4", 2),
    ] {
        for seed in 0..2_u64 {
            let labels = json!({"strategy": strategy, "seed": seed});
            let id = format!("{strategy}{seed}");
            if seed < seeds {
                filled.cell(&id, &labels, printed(&format!("{file}-s{seed}")), seed);
            } else {
                filled.planned(&id, &labels);
            }
        }
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    filled
}

fn column<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = &'a Entry> {
    let place = table.columns.iter().position(|column| column.name == name);
    let place = place.unwrap_or_else(|| panic!("no column {name}"));
    table.rows.iter().map(move |row| &row[place])
}

fn numbers<'a>(table: &'a Table, name: &str) -> Vec<&'a Number> {
    let number = |entry: &'a Entry| match entry {
        Entry::Number(number) => Some(number),
        Entry::Text(_) => None,
    };
    column(table, name).filter_map(number).collect()
}

fn options(metric: &str) -> Options {
    Options {
        metrics: vec![metric.into()],
        bootstrap: HOW,
        ..Options::default()
    }
}

#[test]
fn rows_that_lack_a_seed_are_not_ranked() {
    let study = failed().study("p");
    let table = &tables(&study, Kind::Summary, &options("kl_mean")).unwrap()[0];
    let values = numbers(table, "kl_mean");
    assert!(values[0].value < values[1].value && values[1].value < values[2].value);
    let best: Vec<bool> = values.iter().map(|number| number.best).collect();
    assert_eq!(best, [false, true, false]);
    let why = "not ranked, as seeds are missing that other rows have: strategy=best (kl_mean).";
    let notes = table.notes.join("\n");
    assert!(notes.contains(why), "{notes}");

    let made = tables(&study, Kind::Front, &options("kl_mean")).unwrap();
    let on: Vec<&Entry> = column(&made[0], "front").collect();
    assert_eq!(
        on,
        [&Entry::nothing(), &Entry::text("yes"), &Entry::text("no")]
    );
    let notes = made[0].notes.join("\n");
    assert!(notes.contains("other rows have: strategy=best."), "{notes}");
    let area = column(&made[1], "hypervolume").next();
    assert_eq!(area, Some(&Entry::nothing()));

    // With all seeds it is the best.
    let whole = common::sweep().study("budget");
    let table = &tables(&whole, Kind::Summary, &options("kl_mean")).unwrap()[0];
    assert!(!table.notes.join("\n").contains("not ranked"));
}

/// Rows of which each lacks the other's seed: nothing can be said of which is better.
#[test]
fn rows_without_a_common_seed_are_not_ranked() {
    let mut filled = Filled::new();
    for (seed, file) in [(0_u64, "smartkv-0.3-s0"), (1, "random-0.3-s1")] {
        filled.cell(
            file,
            &json!({"strategy": file, "seed": seed}),
            printed(file),
            seed,
        );
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let made = tables(&study, Kind::Front, &options("kl_mean")).unwrap();
    for (table, name) in made.iter().zip(["front", "hypervolume"]) {
        assert!(column(table, name).all(|entry| *entry == Entry::nothing()));
        assert!(!table.notes.join("").contains("inf"), "{:?}", table.notes);
    }
    let table = &tables(&study, Kind::Summary, &options("kl_mean")).unwrap()[0];
    assert!(numbers(table, "kl_mean").iter().all(|number| !number.best));
}

/// Rows of two texts.
fn texts() -> Filled {
    let mut filled = Filled::new();
    for text in ["essays", "code"] {
        let mut result = printed("smartkv-0.3-s0");
        result["protocol"]["text"] = text.into();
        result["protocol"]["text_sha256"] = format!("{text}-digest").into();
        filled.cell(text, &json!({"text": text, "seed": 0}), result, 0);
    }
    filled.plan("p", &["text", "seed"], &json!({"text": "essays"}));
    filled
}

#[test]
fn other_texts_are_not_compared() {
    let study = texts().study("p");
    let rows = rows(&study);
    for (metric, apart) in [
        ("kl_mean", true),
        ("perplexity", true),
        ("kl_p99", true),
        ("ratio", false),
        ("decode_tokens_per_s", false),
    ] {
        let metric = study.metric(metric).unwrap();
        let found = compare(&rows[0], &rows[1], &metric, &HOW).unwrap();
        assert_eq!(found.is_none(), apart, "{}", metric.name);
        assert_eq!(unpaired(&rows[0], &rows[1], &metric), apart);
        assert!(!unpaired(&rows[0], &rows[0], &metric));
    }
    for kind in [Kind::Compare, Kind::Ablation] {
        let mut options = options("ratio");
        options.metrics.push("kl_mean".into());
        let table = &tables(&study, kind, &options).unwrap()[0];
        let names: Vec<&Entry> = column(table, "metric").collect();
        assert_eq!(names, [&Entry::text("ratio")]);
        let why = "not measured on the same windows or samples: kl_mean of text=code.";
        let notes = table.notes.join("\n");
        assert!(notes.contains(why), "{notes}");
        options.metrics.remove(0);
        let error = tables(&study, kind, &options).unwrap_err().to_string();
        assert!(error.contains("can be held against"), "{error}");
    }
}

#[test]
fn what_can_be_negative_has_no_relative_change() {
    let strategies = [
        ("whole", "smartkv-0.3-s0", json!(0.3)),
        ("random", "random-0.3-s0", json!(0.3)),
    ];
    let study = dealt(&strategies, 8).study("p");
    let found = compared(&study, "needle_log_prob");
    assert!(found.baseline < 0.0 && found.value < 0.0 && found.difference != 0.0);
    assert_eq!((found.relative, found.relative_interval), (None, None));
    let table = &tables(&study, Kind::Ablation, &options("needle_log_prob")).unwrap()[0];
    for name in ["change", "above 1%"] {
        assert_eq!(column(table, name).next(), Some(&Entry::nothing()));
    }
    assert_eq!(numbers(table, "difference")[0].value, found.difference);
    let notes = table.notes.join("\n");
    assert!(
        notes.contains("can be negative: needle_log_prob"),
        "{notes}"
    );
    let mut filled = Filled::new();
    for file in ["tasks-uniform-2", "tasks-uniform-4"] {
        filled.cell(
            file,
            &json!({"strategy": file, "seed": 0}),
            printed(file),
            0,
        );
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let found = compared(&filled.study("p"), "difference.ruler");
    assert_eq!(found.relative, None);
}

#[test]
fn what_has_no_better_side_is_not_ranked() {
    let study = common::sweep().study("budget");
    for metric in ["perplexity_f16", "seconds", "payload_bytes"] {
        let table = &tables(&study, Kind::Summary, &options(metric)).unwrap()[0];
        assert!(numbers(table, metric).iter().all(|number| !number.best));
        assert!(tables(&study, Kind::Front, &options(metric)).is_err());
    }
    let error = tables(&study, Kind::Front, &options("perplexity_f16")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("neither more nor less of `perplexity_f16`"),
        "{error}"
    );
}

/// What the process held is another number each time: it settles nothing.
#[test]
fn memory_of_the_process_is_no_exact_number() {
    let strategies = [
        ("whole", "smartkv-0.3-s0", json!(0.3)),
        ("random", "random-0.3-s0", json!(0.3)),
    ];
    let found = compared(&dealt(&strategies, 8).study("p"), "peak_resident_bytes");
    assert_eq!(found.contribution(), Contribution::Unclear);
}
