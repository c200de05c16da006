//! Statistics of rows: what a unit is, what seeds do, what is held against what.
#![expect(clippy::float_cmp, reason = "exact where it is exact")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod common;

use common::{Filled, printed, sweep};
use serde_json::{Value, json};
use smartkv_analysis::Study;
use smartkv_analysis::compare::{Contribution, compare};
use smartkv_analysis::front::fronts;
use smartkv_analysis::group::{Row, rows};
use smartkv_analysis::summary::{Estimate, Summary, summarise};
use smartkv_stats::{Bootstrap, Z_95, bca_interval, hypervolume, paired_difference, wilson};

const HOW: Bootstrap = Bootstrap {
    resamples: 2000,
    level: 0.95,
    seed: 0,
};

fn row<'a>(rows: &'a [Row<'a>], strategy: &str, budget: &str) -> &'a Row<'a> {
    let wanted = |row: &&Row<'_>| {
        row.labels.get("strategy").is(strategy) && row.labels.get("budget").is(budget)
    };
    rows.iter().find(wanted).expect("a row")
}

fn estimate(study: &Study, row: &Row<'_>, metric: &str) -> Estimate {
    let metric = study.metric(metric).unwrap();
    match summarise(row, &metric, &HOW).unwrap() {
        Summary::Estimate(estimate) => estimate,
        other => panic!("{other:?}"),
    }
}

fn windows(file: &str, field: &str) -> Vec<f64> {
    let record = printed(file);
    let windows = record["samples"]["windows"].as_array().unwrap();
    windows
        .iter()
        .map(|w| w["fidelity"][field].as_f64().unwrap())
        .collect()
}

#[test]
fn repeating_what_is_deterministic_adds_no_evidence() {
    let filled = sweep();
    let study = filled.study("budget");
    let rows = rows(&study);
    let both = estimate(&study, row(&rows, "smartkv", "0.3"), "kl_mean");
    assert_eq!((both.seeds, both.units, both.sd), (2, Some(8), Some(0.0)));
    let expected = bca_interval(&windows("smartkv-0.3-s0", "mean_kl_nats"), &HOW)
        .unwrap()
        .unwrap();
    let interval = both.interval.unwrap();
    assert!(
        (interval.low - expected.low).abs() < 1e-12
            && (interval.high - expected.high).abs() < 1e-12
    );
}

#[test]
fn what_is_random_is_averaged_over_seeds_within_a_window() {
    let filled = sweep();
    let study = filled.study("budget");
    let rows = rows(&study);
    let own = estimate(&study, row(&rows, "smartkv-random", "0.3"), "kl_mean");
    let (a, b) = (
        windows("random-0.3-s0", "mean_kl_nats"),
        windows("random-0.3-s1", "mean_kl_nats"),
    );
    let means: Vec<f64> = a
        .iter()
        .zip(&b)
        .map(|(a, b)| f64::midpoint(*a, *b))
        .collect();
    assert_eq!((own.seeds, own.units), (2, Some(8)));
    assert!(own.sd.unwrap() > 0.0);
    let expected = bca_interval(&means, &HOW).unwrap().unwrap();
    assert!((own.interval.unwrap().low - expected.low).abs() < 1e-12);
    assert!((own.interval.unwrap().high - expected.high).abs() < 1e-12);
}

/// Windows that are drawn anew under each seed are units of their own, resampled within the seed.
#[test]
fn other_windows_under_another_seed_are_other_units() {
    let mut filled = Filled::new();
    filled.cell(
        "a",
        &json!({"strategy": "x", "seed": 0}),
        printed("random-0.3-s0"),
        0,
    );
    let mut moved = printed("random-0.3-s1");
    for window in moved["samples"]["windows"].as_array_mut().unwrap() {
        window["start"] = (window["start"].as_u64().unwrap() + 7).into();
    }
    filled.cell("b", &json!({"strategy": "x", "seed": 1}), moved, 1);
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let rows = rows(&study);
    let own = estimate(&study, &rows[0], "kl_mean");
    assert_eq!((own.seeds, own.units), (2, Some(16)));
    let interval = own.interval.unwrap();
    assert!(interval.contains(own.mean));
    let perplexity = estimate(&study, &rows[0], "perplexity");
    assert!(perplexity.interval.unwrap().contains(perplexity.mean));
}

#[test]
fn shares_of_right_answers_have_an_interval_even_where_all_are_right() {
    let filled = sweep();
    let study = filled.study("budget");
    let rows = rows(&study);
    let own = estimate(&study, row(&rows, "smartkv", "0.3"), "needle_accuracy");
    // Two prompts a seed, other ones under the other seed.
    assert_eq!((own.mean, own.units), (1.0, Some(4)));
    let expected = wilson(4, 4, Z_95, 0.95).unwrap();
    assert!((own.interval.unwrap().low - expected.low).abs() < 1e-12);
    // Nor is it evidence of no difference that four answers agree.
    let metric = study.metric("needle_accuracy").unwrap();
    let (a, b) = (row(&rows, "smartkv", "0.3"), row(&rows, "uniform-4", "0.3"));
    let found = compare(a, b, &metric, &HOW).unwrap().unwrap();
    assert_eq!(
        (found.difference, found.contribution()),
        (0.0, Contribution::Unclear)
    );
    assert!(found.interval.unwrap().high > 0.4, "{found:?}");
    // Agreement within windows is no outcome, though all of f16's are 1.
    let f16 = estimate(&study, row(&rows, "f16", "1"), "top1_agreement");
    assert_eq!(f16.interval.unwrap().low, 1.0);
}

#[test]
fn differences_are_paired_by_window() {
    let filled = sweep();
    let study = filled.study("budget");
    let rows = rows(&study);
    let (whole, random) = (row(&rows, "smartkv", "0.3"), row(&rows, "uniform-4", "0.3"));
    let metric = study.metric("kl_mean").unwrap();
    let found = compare(whole, random, &metric, &HOW).unwrap().unwrap();
    let (a, b) = (
        windows("smartkv-0.3-s0", "mean_kl_nats"),
        windows("uniform-4-s0", "mean_kl_nats"),
    );
    let expected = paired_difference(&a, &b, &HOW).unwrap();
    assert!((found.difference - expected.estimate.mean).abs() < 1e-15);
    let tests = found.tests.unwrap();
    assert_eq!((tests.units, tests.p), (8, expected.p_two_sided));
    assert_eq!((tests.p, tests.mcnemar), (2.0 / 256.0, None));
    assert_eq!(found.contribution(), Contribution::Above);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / 8.0;
    assert!((found.relative.unwrap() - (mean(&b) / mean(&a) - 1.0)).abs() < 1e-12);
    // A ratio of perplexities is compared by log-likelihoods.
    let metric = study.metric("perplexity").unwrap();
    let found = compare(whole, random, &metric, &HOW).unwrap().unwrap();
    let (a, b) = (
        windows("smartkv-0.3-s0", "mean_nll_nats"),
        windows("uniform-4-s0", "mean_nll_nats"),
    );
    assert!((found.difference - (mean(&b) - mean(&a))).abs() < 1e-12);
    assert!((found.relative.unwrap() - (found.value / found.baseline - 1.0)).abs() < 1e-12);
}

#[test]
fn what_has_no_samples_has_no_tests() {
    let filled = sweep();
    let study = filled.study("budget");
    let rows = rows(&study);
    let (a, b) = (row(&rows, "smartkv", "0.3"), row(&rows, "smartkv", "0.5"));
    let bytes = study.metric("ratio").unwrap();
    let found = compare(a, b, &bytes, &HOW).unwrap().unwrap();
    assert!(found.tests.is_none() && found.interval.is_none());
    assert_eq!(found.contribution(), Contribution::Above);
    // A quantile over tokens is no exact number.
    let quantile = study.metric("kl_p99").unwrap();
    let found = compare(a, b, &quantile, &HOW).unwrap().unwrap();
    assert_eq!(found.contribution(), Contribution::Unclear);
    let simulated = row(&rows, "gear-2", "0.3");
    assert_eq!(compare(a, simulated, &bytes, &HOW).unwrap(), None);
    assert_eq!(
        summarise(simulated, &bytes, &HOW).unwrap(),
        Summary::Simulated
    );
}

#[test]
fn scores_of_zero_and_one_are_tested_by_mcnemar() {
    let mut filled = Filled::new();
    for strategy in ["tasks-uniform-2", "tasks-uniform-4"] {
        filled.cell(
            strategy,
            &json!({"strategy": strategy, "seed": 0}),
            printed(strategy),
            0,
        );
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let rows = rows(&study);
    let metric = study.metric("score.assoc_recall").unwrap();
    let found = compare(&rows[1], &rows[0], &metric, &HOW).unwrap().unwrap();
    let tests = found.tests.unwrap();
    assert_eq!(Some(tests.p), tests.mcnemar);
    let score = |file: &str| {
        let record = printed(file);
        record["tasks"][0]["result"]["overall"]["sides"][1]["score"]["mean"]
            .as_f64()
            .unwrap()
    };
    assert_eq!(
        found.difference,
        score("tasks-uniform-2") - score("tasks-uniform-4")
    );
}

#[test]
fn the_front_and_its_areas() {
    let filled = sweep();
    let study = filled.study("budget");
    let rows = rows(&study);
    let metric = |name: &str| study.metric(name).unwrap();
    let fronts = fronts(&rows, &metric("ratio"), &metric("kl_mean"), false, &HOW).unwrap();
    let [front] = &fronts[..] else {
        panic!("one setting")
    };
    let name = |place: usize| rows[place].labels.get("strategy").to_string();
    let on: Vec<String> = front
        .points
        .iter()
        .filter(|p| p.on_front)
        .map(|p| name(p.row))
        .collect();
    // gear-2 is simulated; uniform-4 and the random choice hold more than smartkv and lose more.
    assert_eq!(on, ["f16", "smartkv", "smartkv", "smartkv-oracle"]);
    assert_eq!((front.points.len(), front.units), (6, Some(8)));
    assert_eq!(front.reference[0], 1.0);
    let curve = front
        .curves
        .iter()
        .find(|curve| curve.rows.len() == 2)
        .expect("smartkv at two budgets");
    let cost = |row: &usize| {
        let point = front.points.iter().find(|point| point.row == *row).unwrap();
        [point.bytes, point.metric]
    };
    let costs: Vec<[f64; 2]> = curve.rows.iter().map(cost).collect();
    assert_eq!(curve.area, hypervolume(&costs, front.reference));
    let interval = curve.interval.unwrap();
    assert!(curve.area > 0.0 && interval.low <= curve.area && curve.area <= interval.high);
    for point in &front.points {
        let stability = point.stability.unwrap();
        assert!((0.0..=1.0).contains(&stability));
        assert!(name(point.row) != "f16" || stability == 1.0);
    }
    // A loss of 0 has no logarithm.
    let log =
        smartkv_analysis::front::fronts(&rows, &metric("ratio"), &metric("kl_mean"), true, &HOW)
            .unwrap();
    let f16 = log[0]
        .curves
        .iter()
        .find(|curve| curve.labels.get("strategy").is("f16"))
        .unwrap();
    assert!(log[0].log && f16.area == 0.0);
}
