//! `smartkv compare`: many strategies on the same tokens.

use crate::program::{TEXT, TINY, file, json, quick, refused, run};
use serde_json::Value;

const WINDOWS: [&str; 6] = [
    "--windows",
    "2",
    "--prefill-tokens",
    "40",
    "--score-tokens",
    "8",
];

fn compare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let start = ["compare", "--model", TINY, "--text", TEXT];
    [&start[..], &WINDOWS, more].concat()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_row_says_what_an_evaluation_of_its_own_says() {
    let together = json(&run(&compare(&["rotated", "smartkv@0.5", "--json"])));
    assert_eq!(together["schema"], "smartkv.compare/1");
    let rows = together["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, given) in rows
        .iter()
        .zip([&["rotated"][..], &["smartkv", "--budget", "0.5"]])
    {
        let alone = json(&run(&quick(&[&["--json", "--strategy"], given].concat())));
        let result = &row["result"];
        // The batch multiplies several rows at once, in another order.
        let near = |a: &Value, b: &Value, name: &str| {
            let (a, b) = (number(a), number(b));
            assert!((a - b).abs() <= 1e-3 * b.abs().max(1e-3), "{name}: {a} {b}");
        };
        near(
            &result["perplexity"],
            &alone["quality"]["perplexity"],
            "perplexity",
        );
        near(&result["kl_mean"], &alone["quality"]["kl_mean"], "KL");
        assert_eq!(result["memory"]["max_ratio"], alone["cache"]["max_ratio"]);
        assert_eq!(row["config"], alone["config"]);
    }
}

#[test]
fn results_do_not_depend_on_company_or_batches() {
    let rows = |more: &[&str]| {
        let record = json(&run(&compare(
            &[&["rotated", "h2o", "smartkv", "--json"], more].concat(),
        )));
        record["rows"].clone()
    };
    let together = rows(&["--budgets", "0.5"]);
    assert_eq!(together, rows(&["--budgets", "0.5", "--threads", "1"]));
    let apart = rows(&["--budgets", "0.5", "--batch", "1"]);
    for (a, b) in together
        .as_array()
        .unwrap()
        .iter()
        .zip(apart.as_array().unwrap())
    {
        let (a, b) = (&a["result"]["perplexity"], &b["result"]["perplexity"]);
        assert!((number(a) - number(b)).abs() < 1e-3 * number(b), "{a} {b}");
    }
}

#[test]
fn a_budget_out_of_reach_is_a_row_of_its_own_and_the_others_go_on() {
    let done = run(&compare(&["rotated", "smartkv@0.01", "smartkv@0.5"]));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout
            .contains("smartkv @ 0.01 failed: budget 0.01: `smartkv` stores at least"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("rotated"), "{}", done.stdout);
}

#[test]
fn a_file_names_rows_and_budgets_and_one_to_hold_the_others_against() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "some.yaml",
        "strategies:\n  - {name: two, strategy: {type: uniform, key_bits: 2, value_bits: 2, group_size: 0}}\n  \
         - h2o\nbudgets: [0.3, 0.5]\nagainst: two\n",
    );
    let record = json(&run(&compare(&["--config", &path, "--json"])));
    let rows = record["rows"].as_array().unwrap();
    let names: Vec<(&str, &Value)> = rows
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), &row["budget"]))
        .collect();
    assert_eq!(
        names,
        [
            ("two", &Value::Null),
            ("h2o", &Value::from(0.3)),
            ("h2o", &Value::from(0.5))
        ]
    );
    assert!(rows[0]["result"]["kl_difference"].is_null());
    assert!(rows[1]["result"]["kl_difference"]["mean"].is_number());
}

#[test]
fn simulated_strategies_have_no_bytes() {
    let record = json(&run(&compare(&["gear", "fp8", "--json"])));
    let result = &record["rows"][0]["result"];
    assert!(result["memory"].is_null(), "{result}");
    assert_eq!(result["front"], false);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    refused(1, &compare(&[]), &["nothing to compare"]);
    refused(
        1,
        &compare(&["rotate"]),
        &["unknown strategy `rotate`: did you mean"],
    );
    refused(
        1,
        &compare(&["rotated", "--against", "f16"]),
        &["--against f16: 0 rows have that name, expected one of rotated"],
    );
    refused(1, &compare(&["rotated", "--batch", "0"]), &["--batch 0"]);
    refused(
        1,
        &compare(&["smartkv", "--budgets", "0.5,2"]),
        &["budget 2: expected a share"],
    );
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "bad.yaml",
        "strategies:\n  - {name: x, strategie: f16}\n",
    );
    refused(
        1,
        &compare(&["--config", &path]),
        &["strategies[0] cannot be used"],
    );
}
