//! Names, `--set` and YAML files that are wrong.

use crate::program::{file, quick, refused};
use tempfile::tempdir;

#[test]
fn an_unknown_strategy_is_answered_with_the_known_ones() {
    refused(
        1,
        &quick(&["--strategy", "unifrm-4"]),
        &[
            "unknown strategy `unifrm-4`: did you mean `uniform-4`?",
            "hint: known strategy names: ada-pyramidkv, adakv, evict, ",
            ", k8v4, ",
            ", smartkv, ",
        ],
    );
    let text = refused(1, &quick(&["--strategy", "zzz"]), &["`zzz`", "uniform-8"]);
    assert!(!text.contains("did you mean"), "{text}");
    assert!(text.contains("needs `use that_crate as _;`"), "{text}");
    refused(1, &["strategies", "smartk"], &["did you mean `smartkv`?"]);
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    refused(
        1,
        &["eval", "--model", "smolm2"],
        &[
            "unknown model `smolm2`; known: smollm2-135m-instruct",
            "hint: did you mean `smollm2`?",
        ],
    );
}

#[test]
fn set_names_the_field_the_value_and_what_was_expected() {
    let set = |assignment| quick(&["--strategy", "smartkv", "--set", assignment]);
    refused(
        1,
        &set("windw=3"),
        &[
            "--set windw=3: no field `windw`: did you mean `window`? (fields: tracker,",
            "hint: `smartkv strategies NAME`",
        ],
    );
    let text = refused(
        1,
        &set("window=abc"),
        &["--set window=abc: ", "\"abc\"", "expected", "(it was "],
    );
    assert!(!text.contains('{'), "the whole configuration: {text}");
    refused(1, &set("sinks=-1"), &["--set sinks=-1: ", "(it was "]);
    refused(1, &set("tracker.decay=x"), &["--set tracker.decay=x: "]);
    refused(
        1,
        &set("tracker.decay=1"),
        &["--set tracker.decay=1: expected 0 to below 1 (it was 0.9)"],
    );
    refused(
        1,
        &set("realloc_every=0"),
        &["--set realloc_every=0: expected at least 1 (it was 8)"],
    );
    refused(1, &set("tracker=emma"), &["`emma`", "expected", "`ema`"]);
    refused(1, &set("window.x=1"), &["--set window.x=1: `x` is inside"]);
}

#[test]
fn set_refuses_what_is_no_assignment() {
    let set = |assignment| quick(&["--strategy", "smartkv", "--set", assignment]);
    refused(2, &set("window"), &["--set window: expected PATH=VALUE"]);
    refused(2, &set("=3"), &["the path has an empty part"]);
    refused(2, &set("a..b=3"), &["the path has an empty part"]);
    refused(
        2,
        &set("bits=[1"),
        &["--set bits=[1: value, line 1, column"],
    );
}

#[test]
fn set_names_the_assignment_to_blame_among_several() {
    let sets = [
        "--strategy",
        "smartkv",
        "--set",
        "window=8",
        "--set",
        "rotate=7",
    ];
    let text = refused(1, &quick(&sets), &["--set rotate=7: "]);
    assert!(!text.contains("window=8"), "{text}");
}

#[test]
fn strategy_files_are_refused_with_file_line_and_column() {
    let dir = tempdir().unwrap();
    for (name, content, expected) in [
        (
            "syntax",
            "type: smartkv\nwindow: [1, 2\n",
            ", line 2, column 9: ",
        ),
        (
            "unknown",
            "type: smartkv\nwindow: 64\nwindw: 3\n",
            ", line 3, column 1: `windw`: unknown field `windw`, expected one of ",
        ),
        (
            "wrong",
            "type: smartkv\n# a comment\nwindow: lots\n",
            ", line 3, column 1: `window`: invalid type: string \"lots\", expected usize",
        ),
        (
            "inner",
            "type: smartkv\ntracker:\n  type: ema\n  decay: lots\n",
            ", line 4, column 3: `tracker.decay`: invalid type",
        ),
        (
            "range",
            "type: smartkv\ntracker:\n  decay: 2\n  type: ema\n",
            ", line 3, column 3: `tracker.decay` = 2.0: expected 0 to below 1",
        ),
        (
            "nan",
            "type: smartkv\npower: .nan\n",
            ", line 2, column 8: non-finite float",
        ),
        (
            "untyped",
            "window: 3\n",
            ": expected a mapping with the strategy's name under `type`",
        ),
        ("list", "- smartkv\n", ": expected a mapping"),
        ("empty", "", ": expected a mapping"),
        ("stranger", "type: smartkw\n", "did you mean `smartkv`?"),
    ] {
        let path = file(dir.path(), &format!("{name}.yaml"), content);
        let place = if name == "stranger" {
            expected.to_string()
        } else {
            format!("error: {path}{expected}")
        };
        refused(1, &quick(&["--strategy", &path]), &[&place]);
    }
    let missing = dir.path().join("missing.yaml");
    let missing = missing.to_str().unwrap();
    refused(
        1,
        &quick(&["--strategy", missing]),
        &["cannot read", "missing.yaml: No such file"],
    );
}

#[test]
fn evaluation_files_are_refused_with_file_line_and_column() {
    let dir = tempdir().unwrap();
    for (name, content, expected) in [
        (
            "outer",
            "strategy: f16\nbudgt: 0.5\n",
            ", line 2, column 1: unknown field `budgt`, expected one of model, ",
        ),
        (
            "inner",
            "strategy: f16\nwindows:\n  cont: 2\n",
            ", line 3, column 3: unknown field `cont`, expected one of prefill, score, count",
        ),
        (
            "value",
            "budget: 1.5\n",
            ", line 1, column 9: budget 1.5: expected a share",
        ),
        ("type", "seed: many\n", ", line 1, column 7: "),
        (
            "strategy",
            "strategy: smartkw\n",
            ": `strategy` cannot be used",
        ),
        (
            "field",
            "strategy:\n  type: smartkv\n  windw: 3\n",
            ": `strategy` cannot be used\n  because: strategy `smartkv`: `windw`: unknown field",
        ),
    ] {
        let path = file(dir.path(), &format!("{name}.yaml"), content);
        let expected = format!("error: {path}{expected}");
        refused(1, &quick(&["--config", &path]), &[&expected]);
    }
    refused(
        1,
        &quick(&["--config", "nowhere.yaml"]),
        &["cannot read nowhere.yaml"],
    );
}
