//! Tests, effect sizes and special functions against `SciPy`; `golden/stats.py` made the numbers.
#![expect(clippy::float_cmp, reason = "exact where it is exact")]

use proptest::prelude::*;
use serde_json::Value;
use smartkv_stats::{
    Bootstrap, Power, Resampled, bca_interval, bootstrap_p, cliffs_delta, cohens_d_z,
    detectable_mcnemar, detectable_mean, holm, hypervolume, paired_t, sign_flip, special, wilcoxon,
};

fn golden(key: &str) -> Value {
    let golden: Value = serde_json::from_str(include_str!("golden/stats.json")).expect("JSON");
    golden[key].clone()
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    rows(value).iter().map(number).collect()
}

/// The count of a row: `n` is a small whole number.
fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a count")).expect("small")
}

#[track_caller]
fn close(got: f64, want: f64, relative: f64, what: &str) {
    assert!(
        (got - want).abs() <= relative * want.abs().max(1e-12),
        "{what}: {got:e}, expected {want:e}"
    );
}

#[test]
fn special_functions() {
    type Function = fn(&[f64]) -> f64;
    // Cases, and what may be off at 0; probabilities keep their digits however small.
    let functions: [(&str, usize, f64, Function); 6] = [
        ("ln_gamma", 10, 1e-13, |x| special::ln_gamma(x[0])),
        ("beta_inc", 105, 0.0, |x| {
            special::beta_inc(x[0], x[1], x[2])
        }),
        ("normal_cdf", 11, 0.0, |x| special::normal_cdf(x[0])),
        ("normal_quantile", 8, 1e-13, |x| {
            special::normal_quantile(x[0])
        }),
        ("t_two_sided", 35, 0.0, |x| special::t_two_sided(x[0], x[1])),
        ("t_quantile", 30, 1e-13, |x| special::t_quantile(x[0], x[1])),
    ];
    let golden = golden("special");
    for (name, cases, near_zero, function) in functions {
        assert_eq!(rows(&golden[name]).len(), cases, "{name}");
        for row in rows(&golden[name]) {
            let row = numbers(row);
            let (want, arguments) = row.split_last().expect("arguments and a value");
            let got = function(arguments);
            assert!(
                (got - want).abs() <= 1e-10 * want.abs() + near_zero,
                "{name}{arguments:?}: {got:e}, expected {want:e}"
            );
        }
    }
}

#[test]
fn special_functions_outside_their_domains() {
    for x in [
        special::ln_gamma(0.0),
        special::ln_gamma(f64::NAN),
        special::beta_inc(0.0, 1.0, 0.5),
        special::beta_inc(1.0, 1.0, 1.5),
        special::normal_cdf(f64::NAN),
        special::normal_quantile(-0.1),
        special::t_two_sided(f64::NAN, 3.0),
        special::t_quantile(0.5, 0.0),
    ] {
        assert!(x.is_nan(), "{x}");
    }
    assert_eq!(special::normal_quantile(1.0), f64::INFINITY);
    assert_eq!(special::t_quantile(0.0, 3.0), f64::NEG_INFINITY);
    assert_eq!(special::normal_cdf(f64::NEG_INFINITY), 0.0);
    assert_eq!(special::t_two_sided(f64::INFINITY, 3.0), 0.0);
}

/// Both draw at random: 200,000 resamples put the ends within a hundredth of the width.
#[test]
fn bca_intervals() {
    let how = Bootstrap {
        resamples: 200_000,
        ..Bootstrap::default()
    };
    let golden = golden("bca");
    assert_eq!(rows(&golden).len(), 2);
    for case in rows(&golden) {
        let (low, high) = (number(&case["low"]), number(&case["high"]));
        let interval = bca_interval(&numbers(&case["units"]), &how);
        let interval = interval.unwrap().expect("more than one unit");
        for (got, want) in [(interval.low, low), (interval.high, high)] {
            let tolerance = (high - low) / 50.0;
            assert!((got - want).abs() < tolerance, "{got}, expected {want}");
        }
    }
}

/// The same of a statistic that is no mean.
#[test]
fn bca_intervals_of_ratios() {
    let how = Bootstrap {
        resamples: 200_000,
        ..Bootstrap::default()
    };
    let golden = golden("ratio_of_means");
    assert_eq!(rows(&golden).len(), 2);
    for case in rows(&golden) {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let sum = |units: &[f64], places: &[usize]| places.iter().map(|&i| units[i]).sum::<f64>();
        let ratio = |places: &[usize]| sum(&b, places) / sum(&a, places) - 1.0;
        let got = Resampled::of(&vec![0; a.len()], &how, ratio).unwrap();
        close(got.value, number(&case["value"]), 1e-12, "ratio");
        let (low, high) = (number(&case["low"]), number(&case["high"]));
        let interval = got.interval().expect("finite ratios");
        for (got, want) in [(interval.low, low), (interval.high, high)] {
            let tolerance = (high - low) / 50.0;
            assert!((got - want).abs() < tolerance, "{got}, expected {want}");
        }
    }
}

#[test]
fn hypervolumes() {
    let golden = golden("hypervolume");
    assert_eq!(rows(&golden).len(), 2);
    let pair = |value: &Value| <[f64; 2]>::try_from(numbers(value)).expect("two costs");
    for case in rows(&golden) {
        let points: Vec<[f64; 2]> = rows(&case["points"]).iter().map(pair).collect();
        let area = hypervolume(&points, pair(&case["reference"]));
        let (want, tolerance) = (number(&case["value"]), number(&case["tolerance"]));
        assert!((area - want).abs() < tolerance, "{area}, expected {want}");
    }
}

#[test]
fn bootstrap_p_value() {
    let golden = golden("bootstrap_p");
    let how = Bootstrap {
        resamples: 200_000,
        ..Bootstrap::default()
    };
    let p = bootstrap_p(&numbers(&golden["units"]), &how).unwrap();
    assert!((p - number(&golden["p"])).abs() < 2e-3, "{p}");
}

#[test]
fn t_tests() {
    let golden = golden("paired_t");
    assert_eq!(rows(&golden).len(), 4);
    for case in rows(&golden) {
        let units = numbers(&case["units"]);
        let test = paired_t(&units).unwrap();
        close(test.t, number(&case["t"]), 1e-12, "t");
        close(test.p_two_sided, number(&case["p"]), 1e-10, "p");
        close(
            cohens_d_z(&units).unwrap(),
            number(&case["d_z"]),
            1e-12,
            "d_z",
        );
    }
}

#[test]
fn wilcoxon_tests() {
    let golden = golden("wilcoxon");
    assert_eq!(rows(&golden).len(), 7);
    for case in rows(&golden) {
        let test = wilcoxon(&numbers(&case["units"])).unwrap();
        let statistic = test.positive.min(test.negative);
        close(statistic, number(&case["statistic"]), 1e-15, "statistic");
        close(test.p_two_sided, number(&case["p"]), 1e-10, "p");
        let effect = number(&case["rank_biserial"]);
        close(test.rank_biserial, effect, 1e-12, "rank-biserial");
    }
}

#[test]
fn cliffs_deltas() {
    let golden = golden("cliffs_delta");
    assert_eq!(rows(&golden).len(), 2);
    for case in rows(&golden) {
        let delta = cliffs_delta(&numbers(&case["a"]), &numbers(&case["b"])).unwrap();
        close(delta, number(&case["delta"]), 1e-12, "delta");
    }
}

#[test]
fn holm_adjustments() {
    let golden = golden("holm");
    assert_eq!(rows(&golden).len(), 4);
    for case in rows(&golden) {
        let (got, want) = (holm(&numbers(&case["p"])), numbers(&case["adjusted"]));
        assert_eq!(got.len(), want.len());
        for (got, want) in got.into_iter().zip(want) {
            close(got, want, 1e-15, "adjusted");
        }
    }
}

#[test]
fn detectable_differences() {
    let how = |case: &Value| Power {
        alpha: number(&case["alpha"]),
        power: number(&case["power"]),
    };
    for case in rows(&golden("detectable_mean")) {
        let got = detectable_mean(number(&case["sd"]), count(&case["n"]), &how(case));
        close(
            got.unwrap().unwrap(),
            number(&case["detectable"]),
            1e-10,
            "mean",
        );
    }
    for case in rows(&golden("detectable_mcnemar")) {
        let got = detectable_mcnemar(number(&case["share"]), count(&case["n"]), &how(case));
        close(
            got.unwrap().unwrap(),
            number(&case["detectable"]),
            1e-10,
            "McNemar",
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn p_values_are_probabilities_and_have_no_side(
        units in prop::collection::vec(prop_oneof![-3.0_f64..3.0, Just(0.0), Just(1.0)], 2..60),
    ) {
        let how = Bootstrap { resamples: 200, ..Bootstrap::default() };
        let back: Vec<f64> = units.iter().map(|unit| -unit).collect();
        let p_values = |units: &[f64]| [
            paired_t(units).map_or(1.0, |test| test.p_two_sided),
            wilcoxon(units).map_or(1.0, |test| test.p_two_sided),
            bootstrap_p(units, &how).expect("finite units"),
        ];
        for (there, back) in p_values(&units).into_iter().zip(p_values(&back)) {
            prop_assert!(there > 0.0 || units.iter().all(|unit| *unit == units[0]));
            prop_assert!(there <= 1.0 && (there - back).abs() < 1e-12);
        }
        let many = sign_flip(&units[..units.len().min(12)], 200, 0);
        prop_assert!(many > 0.0 && many <= 1.0);
        let interval = bca_interval(&units, &how).expect("finite units").expect("two units");
        prop_assert!(interval.low <= interval.high);
        let least = units.iter().copied().fold(f64::INFINITY, f64::min);
        prop_assert!(interval.low >= least - 1e-12);
    }

    #[test]
    fn adjusted_p_values_keep_their_order(p in prop::collection::vec(0.0_f64..=1.0, 0..20)) {
        let adjusted = holm(&p);
        for (i, a) in p.iter().enumerate() {
            prop_assert!(adjusted[i] >= *a && adjusted[i] <= 1.0);
            for (j, b) in p.iter().enumerate() {
                prop_assert!(a > b || adjusted[i] <= adjusted[j]);
            }
        }
    }

    #[test]
    fn quantiles_undo_probabilities(p in 1e-6_f64..0.999_999, degrees in 1.0_f64..500.0) {
        let z = special::normal_quantile(p);
        prop_assert!((special::normal_cdf(z) - p).abs() < 1e-13);
        let t = special::t_quantile(p, degrees);
        let beyond = special::t_two_sided(t, degrees);
        prop_assert!((beyond - 2.0 * p.min(1.0 - p)).abs() < 1e-12);
        prop_assert!((t < 0.0) == (p < 0.5) || t == 0.0);
    }
}
