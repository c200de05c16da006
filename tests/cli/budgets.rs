//! Budgets that cannot be, or cannot be held.

use crate::program::{quick, refused};

#[test]
fn what_is_no_budget_is_refused() {
    for text in ["0", "-1", "NaN", "1.5", "inf"] {
        refused(
            1,
            &quick(&["--budget", text]),
            &[&format!(
                "error: budget {text}: expected a share of the f16 cache above 0"
            )],
        );
    }
    for text in ["abc", "4furlongs", ""] {
        refused(
            1,
            &quick(&["--budget", text]),
            &[&format!(
                "error: budget {text}: expected a share such as 0.5 or 50%"
            )],
        );
    }
}

#[test]
fn what_a_strategy_cannot_hold_is_refused_with_what_it_can() {
    let text = refused(
        1,
        &quick(&["--strategy", "smartkv", "--budget", "0.01"]),
        &["error: budget 0.01: `smartkv` stores at least 0."],
    );
    // The range is true: its lower end works.
    let (_, range) = text.split_once("expected ").unwrap();
    let least = range.split_whitespace().next().unwrap();
    let run = crate::program::run(&quick(&["--budget", least]));
    assert_eq!(run.code, 0, "{}", run.stderr);

    refused(
        1,
        &quick(&["--strategy", "f16", "--budget", "0.5"]),
        &[
            "budget 0.5: `f16` stores at least 1.0000",
            "expected 1.0000 to 1",
        ],
    );
    refused(
        1,
        &quick(&[
            "--strategy",
            "uniform-8",
            "--set",
            "group_size=16",
            "--budget",
            "0.5",
        ]),
        &["budget 0.5: `uniform`", "expected 0.6"],
    );
}

#[test]
fn generation_refuses_the_same() {
    let args = [
        "generate",
        "--model",
        crate::program::TINY,
        "hello",
        "--budget",
    ];
    refused(1, &[&args[..], &["2"]].concat(), &["budget 2: expected"]);
    refused(
        1,
        &[&args[..], &["0.01"]].concat(),
        &["budget 0.01: `smartkv`"],
    );
}

#[test]
fn a_window_of_any_length_is_taken() {
    let most = format!("window={}", usize::MAX);
    let args = ["--strategy", "rotated", "--set", &most, "--set", "sinks=4"];
    let run = crate::program::run(&quick(&args));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let every = format!("recompress_every={}", usize::MAX);
    let run = crate::program::run(&quick(&["--strategy", "zipcache", "--set", &every]));
    assert_eq!(run.code, 0, "{}", run.stderr);
    refused(
        1,
        &quick(&["--strategy", "zipcache", "--set", "salient=1.5"]),
        &["salient=1.5: expected 0 to 1"],
    );
}
