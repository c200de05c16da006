//! From a grid's file to cells.

use crate::program::{json, refusal};
use crate::study::{Study, base};
use serde_json::{Value, json};
use std::fs;

/// The labels of a grid's cells.
#[track_caller]
fn labels(grid: &str) -> Vec<Value> {
    let study = Study::new(&format!("{}{grid}", base(1, 4)));
    let plan = json(&study.sweep("plan", &["--json"]));
    let cells = plan["cells"].as_array().unwrap();
    cells.iter().map(|cell| cell["labels"].clone()).collect()
}

#[test]
fn axes_multiply_the_seed_fastest() {
    let cells = labels(
        "axes:\n  strategy: [smartkv, h2o]\n  budget: {from: 0.4, to: 0.5, step: 0.1}\nseeds: 2\n",
    );
    assert_eq!(cells.len(), 8);
    assert_eq!(
        cells[0],
        json!({"strategy": "smartkv", "budget": 0.4, "seed": 0})
    );
    assert_eq!(
        cells[1],
        json!({"strategy": "smartkv", "budget": 0.4, "seed": 1})
    );
    assert_eq!(
        cells[7],
        json!({"strategy": "h2o", "budget": 0.5, "seed": 1})
    );
}

#[test]
fn zips_variants_conditions_and_exclusions() {
    let cells = labels(
        "axes: {strategy: [smartkv, uniform-4]}\nzip:\n  - {windows.prefill: [20, 30], \
         windows.score: [4, 6]}\nwhen:\n  - if: {strategy: smartkv}\n    axes: {budget: [0.4, \
         0.6]}\nexclude:\n  - {budget: 0.6, windows.prefill: 30}\nseeds: [5]\n",
    );
    // 2 lengths of uniform-4, 2 lengths × 2 budgets of smartkv less one.
    assert_eq!(cells.len(), 5);
    assert_eq!(
        cells[0],
        json!({"strategy": "smartkv", "windows.prefill": 20, "windows.score": 4, "budget": 0.4,
               "seed": 5})
    );
    assert!(
        cells
            .iter()
            .all(|cell| cell["strategy"] == "smartkv" || cell.get("budget").is_none())
    );

    let cells = labels(
        "variants:\n  full: {}\n  no-window: {strategy.window: 0}\n  by-lot: {strategy.allocator: \
         random}\nbaseline: {variant: full}\naxes: {strategy.sinks: [1, 2], budget: [0.6]}\n",
    );
    assert_eq!(cells.len(), 6);
    assert_eq!(cells[2]["variant"], "no-window");
}

#[test]
fn includes_are_laid_one_over_another() {
    let study = Study::new("");
    let write = |name: &str, text: &str| fs::write(study.folder.path().join(name), text).unwrap();
    write("base.yaml", &format!("{}seeds: 3\n", base(1, 4)));
    fs::create_dir(study.folder.path().join("more")).unwrap();
    write(
        "more/axes.yaml",
        "include: ../base.yaml\naxes: {strategy: [uniform-4, uniform-2]}\n",
    );
    write(
        "study.yaml",
        "include: [more/axes.yaml]\nbase: {windows: {score: 6}}\nseeds: 1\n",
    );
    let plan = json(&study.sweep("plan", &["--json"]));
    assert_eq!(plan["cells"].as_array().unwrap().len(), 2);
    let kept = fs::read_to_string(study.store.join("plans/study.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let windows = &kept["cells"][0]["cell"]["measure"]["windows"];
    assert_eq!(windows, &json!({"prefill": 40, "score": 6, "count": 1}));
}

#[test]
fn the_id_is_of_contents_and_not_of_names() {
    let study = Study::small();
    let ids = |study: &Study| {
        let plan = json(&study.sweep("plan", &["--json"]));
        let cells = plan["cells"].as_array().unwrap().clone();
        cells
            .iter()
            .map(|cell| cell["id"].clone())
            .collect::<Vec<_>>()
    };
    let before = ids(&study);
    let text = fs::read_to_string(&study.grid).unwrap();
    // Another name of the same text, and what is the default anyway.
    let copy = study.folder.path().join("licence.txt");
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-APACHE"),
        &copy,
    )
    .unwrap();
    let copied = text.replace("text: LICENSE-APACHE", &format!("text: {}", copy.display()));
    fs::write(
        &study.grid,
        copied.replace("base:\n", "base:\n  prefill: exact\n"),
    )
    .unwrap();
    assert_eq!(ids(&study), before);
    // One more byte is another experiment.
    let mut longer = fs::read(&copy).unwrap();
    longer.push(b'.');
    fs::write(&copy, longer).unwrap();
    assert!(ids(&study).iter().all(|id| !before.contains(id)));
}

#[test]
fn whole_numbers_stay_whole_and_a_value_may_be_called_from() {
    let cells = labels("axes: {windows.prefill: {from: 10, to: 40, count: 3}}\n");
    assert_eq!(cells[1]["windows.prefill"], 25);
    let cells =
        labels("axes: {text: {from: LICENSE-APACHE, start: README.md}}\nbaseline: {text: start}\n");
    assert_eq!(cells.len(), 2);
    let cells = labels("axes: {budget: [1.0, 0.5]}\nbaseline: {budget: 1}\n");
    assert_eq!(cells.len(), 2);
}

#[test]
fn where_data_lies_is_no_part_of_the_id() {
    let study = Study::new("");
    let ids = |place: &str| {
        let folder = study.folder.path().join(place);
        fs::create_dir(&folder).unwrap();
        let data = folder.join("q.jsonl");
        let row = "{\"context\": \"a\", \"question\": \"b\", \"answer\": \"c\"}\n";
        fs::write(&data, row).unwrap();
        let grid = format!(
            "{}  ask: {{tasks: [{{type: file, data: {}}}]}}\n",
            base(1, 4),
            data.display()
        );
        fs::write(&study.grid, grid).unwrap();
        let plan = json(&study.sweep("plan", &["--json"]));
        plan["cells"][0]["id"].clone()
    };
    assert_eq!(ids("one"), ids("two"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of what is refused")]
fn what_is_no_grid_is_refused_by_name() {
    let study = Study::new("");
    let file = |name: &str, text: &str| fs::write(study.folder.path().join(name), text).unwrap();
    file("a.yaml", "include: b.yaml\n");
    file("b.yaml", "include: a.yaml\n");
    let base = base(1, 4);
    for (grid, says) in [
        ("include: a.yaml".to_string(), "comes back to itself"),
        (
            "include: none.yaml".to_string(),
            "no grid `none.yaml`, which ",
        ),
        ("include: 3".to_string(), "`include`: expected"),
        ("- 1".to_string(), "expected a mapping"),
        ("axis: {}".to_string(), "unknown field `axis`"),
        (
            format!("{base}axes: {{budgets: [1]}}"),
            "axis `budgets`: no field `budgets`",
        ),
        (
            format!("{base}axes: {{windows.size: [1]}}"),
            "axis `windows.size`: no field `size`",
        ),
        (
            format!("{base}axes: {{windows.count: [many]}}"),
            "axis `windows.count`: ",
        ),
        (
            format!("{base}axes: {{strategy.windows: [1]}}"),
            "strategy.windows",
        ),
        (format!("{base}axes: {{strategy: [smartvk]}}"), "smartvk"),
        (format!("{base}axes: {{budget: []}}"), "axes.budget"),
        (
            format!("{base}axes: {{budget: {{from: 0.1, to: 0.2}}}}"),
            "random search",
        ),
        (format!("{base}axes: {{seed: [1]}}"), "under `seeds`"),
        (format!("{base}axes: {{task.pairs: [3]}}"), "asks no task"),
        (format!("{base}seeds: [1, 1]"), "`seeds`"),
        (format!("{base}seeds: 0"), "`seeds`"),
        (
            format!("{base}zip:\n - {{budget: [0.4, 0.5], windows.score: [4]}}"),
            "same length",
        ),
        (
            format!("{base}axes: {{budget: [0.5]}}\nexclude:\n - {{buget: 1}}"),
            "no axis `buget`",
        ),
        (
            format!("{base}axes: {{budget: [0.5]}}\nexclude:\n - {{budget: 1}}"),
            "no combination",
        ),
        (
            format!("{base}axes: {{budget: [0.5]}}\nexclude:\n - {{budget: 0.5}}"),
            "leaves no",
        ),
        (
            format!("{base}when:\n - {{if: {{a: 1}}, set: {{budget: 1}}}}"),
            "no axis `a`",
        ),
        (format!("{base}variants: {{a: 3}}"), "variants.a"),
        (
            format!("{base}variants: {{a: {{}}, b: {{windows.count: 1}}}}"),
            "the cells variant=a seed=0 and variant=b seed=0 are the same experiment",
        ),
        (
            format!("{base}seeds: 18446744073709551615"),
            "at most 100000",
        ),
        (
            format!(
                "{base}axes: {{budget: {{from: 0.1, to: 0.9, count: 9999}}, windows.score: {{from: \
                 1, to: 9999, step: 1}}}}"
            ),
            "at most 100000",
        ),
        (
            format!("{base}axes: {{budget: [0.5]}}\nwhen:\n - {{if: {{}}, set: {{budget: 0.7}}}}"),
            "`budget` is assigned twice",
        ),
        (
            format!("{base}variants: {{a: {{budget: 0.3}}}}\naxes: {{budget: [0.5]}}"),
            "`budget` is assigned twice",
        ),
        (
            format!("{base}variants: {{a: {{seed: 3}}}}"),
            "`seed` is assigned twice",
        ),
        (format!("{base}exclude:\n - {{seed: 0}}"), "no axis `seed`"),
        (
            format!("{base}when:\n - {{if: {{}}, axes: {{seed: [1]}}}}"),
            "under `seeds`",
        ),
        (format!("{base}zip:\n - {{}}"), "zip[0]"),
        (
            format!("{base}baseline: {{variant: full}}"),
            "`baseline`: variant=full",
        ),
        (
            format!("{base}axes: {{model: [nowhere.gguf]}}"),
            "nowhere.gguf",
        ),
        (
            format!("{base}axes: {{windows.seeded: [true]}}\nbase: {{}}"),
            "base",
        ),
    ] {
        fs::write(&study.grid, &grid).unwrap();
        let run = study.sweep("plan", &[]);
        assert_ne!(run.code, 0, "{grid}: {}", run.stdout);
        let error = refusal(&run);
        assert!(error.contains(says), "{grid}\nno `{says}` in: {error}");
        assert!(!study.store.join("plans/study.json").exists(), "{grid}");
    }
    let error = refusal(&crate::program::run(&["sweep", "plan", "bugdet"]));
    assert!(
        error.contains("no grid `bugdet`") && error.contains("budget"),
        "{error}"
    );
}

#[test]
fn the_grids_of_the_guide_are_grids() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/experiments.md"));
    let guide = guide.unwrap();
    let blocks: Vec<&str> = guide.split("```yaml\n").skip(1).collect();
    let study = Study::new(blocks[0].split("```").next().unwrap());
    let grid = smartkv::experiment::Grid::load(study.grid()).unwrap();
    // Three seeds of uniform-4, and of three budgets by two windows less one.
    assert_eq!(grid.combinations().unwrap().len(), 3 * (1 + 5));
    let search = format!(
        "base: {{strategy: smartkv}}\n{}",
        blocks[1].split("```").next().unwrap()
    );
    fs::write(&study.grid, search).unwrap();
    let grid = smartkv::experiment::Grid::load(study.grid()).unwrap();
    assert_eq!(grid.file.search.clone().unwrap().draw, Some(16));
    assert_eq!(grid.draw(16, 0).unwrap().len(), 16);
}

#[test]
fn shipped_grids_expand() {
    let grids = json(&crate::program::run(&["sweep", "list", "--json"]));
    let grids = grids["grids"].as_array().unwrap();
    assert!(grids.len() > 10);
    for grid in grids {
        let grid = smartkv::experiment::Grid::load(grid["name"].as_str().unwrap()).unwrap();
        assert!(grid.file.title.is_some(), "{} has no title", grid.name);
        assert!(grid.seeds().unwrap().len() >= 3, "{}", grid.name);
        let cells = match &grid.file.search {
            None => grid.combinations().unwrap(),
            Some(search) => grid.draw(search.draw.unwrap(), search.seed).unwrap(),
        };
        assert!(cells.len() >= 9, "{}: {}", grid.name, cells.len());
        for cell in cells {
            // Every value is one that a strategy takes.
            cell.file.strategy(&cell.sets).unwrap();
        }
    }
}
