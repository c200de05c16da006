//! Statistics against `SciPy` and `NumPy`; `golden/stats.py` made the numbers.

use serde::Deserialize;
use smartkv_stats::{
    Bootstrap, Quantiles, Z_95, Z_99, bootstrap_mean, mcnemar_exact, paired_difference, wilson,
};

#[derive(Deserialize)]
struct Golden {
    z: std::collections::BTreeMap<String, f64>,
    bootstrap_exact: Resampled,
    bootstrap_scipy: Resampled,
    sign_flip: Vec<SignFlip>,
    wilson: Vec<Wilson>,
    mcnemar: Vec<McNemar>,
    quantiles: Tail,
}

#[derive(Deserialize)]
struct Resampled {
    units: Vec<f64>,
    mean: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct SignFlip {
    units: Vec<f64>,
    p: f64,
    exact: bool,
}

#[derive(Deserialize)]
struct Wilson {
    successes: usize,
    trials: usize,
    level: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct McNemar {
    only_first: usize,
    only_second: usize,
    p: f64,
}

#[derive(Deserialize)]
struct Tail {
    values: Vec<f64>,
    mean: f64,
    median: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/stats.json")).expect("the golden file is JSON")
}

#[track_caller]
fn close(got: f64, want: f64, tolerance: f64) {
    assert!(
        (got - want).abs() <= tolerance,
        "{got}, expected {want} within {tolerance}"
    );
}

#[test]
fn normal_quantiles() {
    let golden = golden();
    close(Z_95, golden.z["0.95"], 1e-15);
    close(Z_99, golden.z["0.99"], 1e-15);
}

#[test]
fn wilson_intervals() {
    let cases = golden().wilson;
    assert_eq!(cases.len(), 12);
    for case in cases {
        let z = if case.level < 0.97 { Z_95 } else { Z_99 };
        let interval = wilson(case.successes, case.trials, z, case.level).unwrap();
        close(interval.low, case.low, 1e-12);
        close(interval.high, case.high, 1e-12);
    }
}

#[test]
fn mcnemar_p_values() {
    let cases = golden().mcnemar;
    assert_eq!(cases.len(), 7);
    for case in cases {
        let p = mcnemar_exact(case.only_first, case.only_second).p_two_sided;
        close(p, case.p, 1e-10 * case.p);
    }
}

#[test]
fn quantiles_of_a_heavy_tail() {
    let want = golden().quantiles;
    let got = Quantiles::of(&want.values).unwrap();
    for (got, want) in [
        (got.mean, want.mean),
        (got.median, want.median),
        (got.p95, want.p95),
        (got.p99, want.p99),
        (got.max, want.max),
    ] {
        close(got, want, 1e-14);
    }
}

/// The bootstrap is random: 200,000 resamples put its ends within a hundredth of the width.
#[test]
fn bootstrap_intervals() {
    let how = Bootstrap {
        resamples: 200_000,
        ..Bootstrap::default()
    };
    let golden = golden();
    for want in [&golden.bootstrap_exact, &golden.bootstrap_scipy] {
        let got = bootstrap_mean(&want.units, &how).unwrap();
        let interval = got.interval.unwrap();
        let tolerance = (want.high - want.low) / 100.0;
        close(got.mean, want.mean, 1e-15);
        close(interval.low, want.low, tolerance);
        close(interval.high, want.high, tolerance);
    }
}

#[test]
fn sign_flip_p_values() {
    let cases = golden().sign_flip;
    assert_eq!(cases.len(), 3);
    for case in cases {
        let zeros = vec![0.0; case.units.len()];
        let how = Bootstrap {
            resamples: 200_000,
            ..Bootstrap::default()
        };
        let tolerance = if case.exact { 1e-12 } else { 3e-3 };
        let there = paired_difference(&zeros, &case.units, &how).unwrap();
        close(there.p_two_sided, case.p, tolerance);
        let back = paired_difference(&case.units, &zeros, &how).unwrap();
        close(back.p_two_sided, case.p, tolerance);
        close(back.estimate.mean, -there.estimate.mean, 1e-15);
    }
}
