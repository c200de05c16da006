//! Searches, ablations, and grids changed from the command line.

use crate::program::{finish, json, program, refusal};
use crate::study::{Study, base, files, uniform};
use serde_json::{Value, json};
use std::fs;

/// Bits from 2 to 8 on the tiny model: the more, the less is lost.
fn bits(search: &str) -> Study {
    Study::new(&format!(
        "{}axes:\n  strategy: {{{}, {}, {}, {}}}\nseeds: 2\nbaseline: {{strategy: uniform-2}}\n{search}",
        base(1, 8),
        uniform(2),
        uniform(3),
        uniform(4),
        uniform(8)
    ))
}

/// The README is another text than the licence.
const HALVING: &str = "search:\n  metric: kl_mean\n  rungs: {field: windows.count, values: [1, 2]}\n  \
                       test: {text: README.md}\n";

#[test]
fn the_best_combination_is_found_and_reported_on_other_text() {
    let study = bits(HALVING);
    let found = json(&study.sweep("run", &["--json"]));
    assert_eq!(found["best"], json!({"strategy": "uniform-8"}));
    let rungs = found["rungs"].as_array().unwrap();
    assert_eq!(rungs.len(), 2);
    let count = |rung: &Value| rung["standings"].as_array().unwrap().len();
    assert_eq!((count(&rungs[0]), count(&rungs[1])), (4, 2));
    let scores = |standings: &Value| -> Vec<f64> {
        let standings = standings.as_array().unwrap();
        standings
            .iter()
            .map(|s| s["score"].as_f64().unwrap())
            .collect()
    };
    assert!(scores(&rungs[0]["standings"]).is_sorted());
    // The best, then the baseline, on text that no rung has read.
    let test = found["test"].as_array().unwrap();
    assert_eq!(test[0]["labels"]["strategy"], "uniform-8");
    assert_eq!(test[1]["labels"]["strategy"], "uniform-2");
    let held_out = test[0]["cells"].as_array().unwrap();
    for cell in held_out {
        let name = format!("{}.json", cell.as_str().unwrap());
        let record: Value = serde_json::from_str(&study.records()[&name]).unwrap();
        assert_eq!(record["cell"]["measure"]["text"]["name"], "README.md");
        assert!(
            !rungs
                .iter()
                .any(|rung| rung.to_string().contains(cell.as_str().unwrap()))
        );
    }
    let kept = files(&study.store.join("searches"));
    let kept: Value = serde_json::from_str(&kept["study.json"]).unwrap();
    assert_eq!(kept, found);
    // All of it is in the store: nothing is run again, and the answer is the same.
    let records = study.records();
    assert_eq!(json(&study.sweep("run", &["--json"])), found);
    assert_eq!(study.records(), records);
    let table = study.sweep("run", &[]);
    assert!(
        table
            .stdout
            .contains("Best by kl_mean on the tuning split: strategy=uniform-8")
    );
}

#[test]
fn limits_rule_combinations_out() {
    let search =
        "search:\n  metric: kl_mean\n  at_most: {ratio: 0.45}\n  test: {text: README.md}\n";
    let study = bits(search);
    let found = json(&study.sweep("run", &["--json"]));
    let standings = found["rungs"][0]["standings"].as_array().unwrap();
    let why = |name: &str| {
        let one = standings
            .iter()
            .find(|s| s["labels"]["strategy"] == name)
            .unwrap();
        one["why"].as_str().unwrap_or_default().to_string()
    };
    assert!(
        why("uniform-8").contains("`ratio` = "),
        "{}",
        why("uniform-8")
    );
    assert_ne!(found["best"]["strategy"], "uniform-8");
}

#[test]
fn a_baseline_may_lie_between_the_ends_of_a_range() {
    let grid = format!(
        "{}  strategy: smartkv\n  budget: 0.6\naxes: {{strategy.power: {{from: 0.1, to: 1.0}}}}\n\
         baseline: {{strategy.power: 0.375}}\nsearch: {{metric: kl_mean, draw: 2, test: {{text: \
         README.md}}}}\n",
        base(1, 8)
    );
    let study = Study::new(&grid);
    let found = json(&study.sweep("run", &["--json"]));
    assert_eq!(found["test"][1]["labels"], json!({"strategy.power": 0.375}));
    fs::write(&study.grid, grid.replace("0.375", "3")).unwrap();
    assert!(refusal(&study.sweep("plan", &[])).contains("`baseline`: strategy.power=3"));
}

#[test]
fn draws_repeat_and_take_ranges() {
    let grid = format!(
        "{}  strategy: smartkv\n  budget: 0.6\naxes: {{strategy.power: {{from: 0.1, to: 1}}, \
         strategy.window: [4, 8]}}\nsearch: {{metric: kl_mean, draw: 5, test: {{text: README.md}}}}\n",
        base(1, 8)
    );
    let study = Study::new(&grid);
    let labels = || {
        let plan = json(&study.sweep("plan", &["--json"]));
        let cells = plan["cells"].as_array().unwrap().clone();
        cells
            .into_iter()
            .map(|cell| cell["labels"].clone())
            .collect::<Vec<_>>()
    };
    let first = labels();
    assert_eq!(first.len(), 5);
    assert_eq!(labels(), first);
    for cell in &first {
        let power = cell["strategy.power"].as_f64().unwrap();
        assert!((0.1..=1.0).contains(&power), "{power}");
    }
    fs::write(&study.grid, grid.replace("draw: 5", "draw: 5, seed: 1")).unwrap();
    assert_ne!(labels(), first);
}

#[test]
fn what_is_no_search_is_refused() {
    for (search, says) in [
        ("search: {metric: kl_mean}\n", "missing field `test`"),
        ("search: {metric: kl_mean, test: {}}\n", "search.test"),
        (
            "search: {metric: kl_mean, test: {text: LICENSE-APACHE}}\n",
            "held out",
        ),
        (
            "search: {metric: kl_mean, test: {text: ./LICENSE-APACHE}}\n",
            "held out",
        ),
        (
            "search: {metric: kl_mean, test: {seed: 1, text: README.md}}\n",
            "assigned twice",
        ),
        (
            "search: {metric: kl_mean, test: {texxt: README.md}}\n",
            "no field `texxt`",
        ),
        (
            "search: {metric: payload_bytes, test: {text: README.md}}\n",
            "no better side",
        ),
        (
            "search: {metric: kl_mean, test: {text: README.md}, draw: 0}\n",
            "search.draw",
        ),
        ("search: {metric: kl, test: {text: README.md}}\n", "`kl`"),
        (
            "search: {metric: kl_mean, test: {text: README.md}, at_most: {ratio: small}}\n",
            "search.at_most.ratio",
        ),
        (
            "search: {metric: kl_mean, test: {text: README.md}, rungs: {field: windows.count, \
             values: [2, 1]}}\n",
            "search.rungs.values",
        ),
        (
            "search: {metric: kl_mean, test: {text: README.md}, rungs: {field: windows.number, \
             values: [1]}}\n",
            "no field `number`",
        ),
    ] {
        let study = bits(search);
        let run = study.sweep("run", &[]);
        assert_ne!(run.code, 0, "{search}");
        let errors: Vec<&str> = run
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "{}", run.stderr);
        assert!(run.stderr.contains(says), "{search}: {}", run.stderr);
    }
}

#[test]
fn an_ablation_says_what_parts_contribute() {
    let study = bits("");
    let args = [
        "ablate",
        study.grid(),
        "--store",
        study.store(),
        "--metric",
        "kl_mean",
    ];
    let run = finish(program(&args));
    assert_eq!(run.code, 0, "{}", run.stderr);
    for name in ["uniform-3", "uniform-4", "uniform-8"] {
        assert!(run.stdout.contains(name), "{}", run.stdout);
    }
    let again = json(&finish(program(&[&args[..], &["--json"]].concat())));
    assert_eq!(again["schema"], "smartkv.ablations/1");
    assert_eq!(again["tables"].as_array().unwrap().len(), 1);

    let without = Study::small();
    let args = ["ablate", without.grid(), "--store", without.store()];
    let error = refusal(&finish(program(&args)));
    assert!(
        error.contains("expected `baseline: {variant: full}`"),
        "{error}"
    );
}

#[test]
fn a_grid_is_changed_from_the_command_line() {
    let study = Study::small();
    let sets = [
        "--set",
        "seeds=1",
        "--set",
        "base.windows.score=4",
        "--set",
        "axes.budget=[1]",
    ];
    let more = [&sets[..], &["--json"]].concat();
    let refused = study.sweep("plan", &[&sets[..2], &["--set", "base.window=4"]].concat());
    assert!(refusal(&refused).contains("unknown field `window`"));
    let plan = json(&study.sweep("plan", &more));
    let cells = plan["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2);
    assert_eq!(cells[0]["labels"]["budget"], 1);
}

#[test]
fn every_cell_is_a_tracked_run_when_asked() {
    let study = Study::small();
    let folder = study.folder.path().join("tracked");
    let args = [
        "sweep",
        "run",
        study.grid(),
        "--store",
        study.store(),
        "--wandb=offline",
    ];
    let mut command = program(&args);
    command.env("WANDB_DIR", &folder);
    let run = finish(command);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let runs = fs::read_dir(folder.join("wandb")).unwrap();
    let runs = runs.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("offline-run-")
    });
    assert_eq!(runs.count(), 4);
}
