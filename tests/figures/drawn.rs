//! What is drawn of plans, and what is refused.

use crate::Drawn;
use crate::program::{json, names, refusal};
use crate::study::{Study, base};
use serde_json::Value;
use std::fs;

#[test]
fn a_plan_gives_what_its_cells_can() {
    let drawn = Drawn::small();
    let out = drawn.figures(&["--provenance"]);
    assert_eq!(
        (out.code, out.stdout.lines().count()),
        (0, 3),
        "{}",
        out.stderr
    );
    assert!(
        out.stdout
            .contains("study-cost.{svg,pdf,png,provenance.json,json}\n")
    );
    let simulated = "study-pareto-kl_mean does not show GEAR: simulated, so without bytes";
    assert!(out.stderr.contains(simulated), "{}", out.stderr);
    let figures = [
        "study-ablation-kl_mean",
        "study-cost",
        "study-pareto-kl_mean",
    ];
    let endings = ["json", "pdf", "png", "provenance.json", "svg"];
    let files = figures
        .iter()
        .flat_map(|name| endings.map(|ending| format!("{name}.{ending}")));
    assert_eq!(names(&drawn.out), files.collect::<Vec<_>>());
    // Each number of the provenance has cells of the store, and is in the data.
    let text = fs::read_to_string(drawn.path("study-pareto-kl_mean.provenance.json")).unwrap();
    let provenance: Value = serde_json::from_str(&text).unwrap();
    let data = fs::read_to_string(drawn.path("study-pareto-kl_mean.json")).unwrap();
    let numbers = provenance["numbers"].as_array().unwrap();
    // Bytes and divergence of two strategies.
    assert_eq!(numbers.len(), 4);
    for number in numbers {
        assert_eq!(number["cells"].as_array().unwrap().len(), 2);
        for id in number["cells"].as_array().unwrap() {
            let record = format!("{}.json", id.as_str().unwrap());
            assert!(drawn.study.records().contains_key(&record), "{number}");
        }
        assert!(data.contains(&number["value"].to_string()), "{number}");
    }
    let svg = fs::read_to_string(drawn.path("study-pareto-kl_mean.svg")).unwrap();
    for part in [
        "Live bytes (share of f16)",
        "Mean KL divergence (nats)",
        "uniform-2",
    ] {
        assert!(svg.contains(part), "no `{part}`");
    }
    assert!(!svg.contains("GEAR"), "a simulated strategy has no bytes");
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let drawn = Drawn::small();
    let kinds = ["--kind", "pareto,cost", "--json"];
    let first = json(&drawn.figures(&kinds));
    assert_eq!(first["figures"].as_array().unwrap().len(), 2);
    assert_eq!(first["figures"][0]["name"], "study-pareto-kl_mean");
    assert_eq!(first["figures"][0]["cells"], 4);
    let bytes = || {
        names(&drawn.out)
            .iter()
            .map(|name| fs::read(drawn.path(name)).unwrap())
            .collect::<Vec<_>>()
    };
    let before = bytes();
    let again = json(&drawn.figures(&[&kinds[..], &["--threads", "1"]].concat()));
    assert_eq!(again, first);
    assert!(bytes() == before);
}

#[test]
fn formats_metrics_and_widths() {
    let drawn = Drawn::small();
    let args = [
        "study",
        "--kind",
        "pareto",
        "--metric",
        "perplexity,top1_agreement",
        "--format",
        "svg",
        "--width",
        "double",
    ];
    let out = drawn.figures(&args);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let expected = [
        "perplexity.json",
        "perplexity.svg",
        "top1_agreement.json",
        "top1_agreement.svg",
    ];
    assert_eq!(
        names(&drawn.out),
        expected.map(|name| format!("study-pareto-{name}"))
    );
    let svg = fs::read_to_string(drawn.path("study-pareto-perplexity.svg")).unwrap();
    assert!(svg.contains("width=\"500pt\""));
}

#[test]
fn an_incomplete_study_is_drawn_and_says_so() {
    let drawn = Drawn::small();
    let record = drawn.study.records().into_keys().next_back().unwrap();
    fs::remove_file(drawn.study.store.join("cells").join(record)).unwrap();
    let out = drawn.figures(&["--format", "svg"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let census = "5 of 6 cells of the plan are there, 1 not run";
    assert!(
        out.stderr
            .contains(&format!("the plan is incomplete: {census}")),
        "{}",
        out.stderr
    );
    let sidecar = fs::read_to_string(drawn.path("study-cost.json")).unwrap();
    assert!(sidecar.contains(census));
}

#[test]
fn what_cannot_be_drawn_says_why_and_writes_nothing() {
    let drawn = Drawn::small();
    let refused = |code: i32, args: &[&str], parts: &[&str]| {
        let run = drawn.figures(args);
        let text = refusal(&run);
        assert_eq!(run.code, code, "{text}");
        for part in parts {
            assert!(text.contains(part), "no `{part}` in: {text}");
        }
        assert!(!drawn.out.exists(), "{args:?} wrote something");
    };
    refused(1, &["stduy"], &["unknown plan `stduy`: known are study"]);
    refused(
        2,
        &["--kind", "pie"],
        &[
            "'pie'",
            "pareto, sweep, ablation, needle, cost",
            "sensitivity",
        ],
    );
    refused(1, &["--metric", "kl"], &["unknown metric `kl`", "kl_mean"]);
    refused(
        1,
        &["study", "--kind", "pareto", "--metric", "kl"],
        &["unknown metric `kl`", "kl_mean"],
    );
    refused(
        1,
        &["study", "--kind", "pareto,needle"],
        &[
            "plan `study` has no needle figure: no cell hides needles",
            "hint: leave `needle` on",
        ],
    );
    refused(
        1,
        &["--kind", "sweep"],
        &[
            "none of its axes has two numbers",
            "hint: sweep a parameter",
        ],
    );
    refused(
        1,
        &["study", "--kind", "entropy"],
        &["it is of records of an analysis", "smartkv analyze"],
    );
    refused(
        1,
        &["--kind", "ablation", "--baseline", "strategy=x"],
        &["strategy=uniform-4"],
    );
    refused(
        1,
        &["--kind", "pareto", "--metric", "live_bytes"],
        &["`live_bytes` counts bytes"],
    );
    refused(2, &["--dpi", "0"], &["--dpi"]);
    refused(1, &["--resamples", "0"], &["bootstrap.resamples = 0"]);
    refused(2, &["study", "--check"], &["--check"]);
    refused(1, &["no/such.json"], &["record no/such.json"]);
}

#[test]
fn stores_that_have_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let missing = ["figures", "--store", "no/such/store"];
    crate::program::refused(1, &missing, &["no/such/store", "hint: name the folder"]);
    let empty = ["figures", "--store", store];
    crate::program::refused(1, &empty, &["holds no plan", "hint: run a grid"]);
    let out = folder.path().join("out");
    let check = [
        "figures",
        "--check",
        "--store",
        store,
        "--out",
        out.to_str().unwrap(),
    ];
    crate::program::refused(1, &check, &["cannot list it", "hint: name the folder"]);
    fs::create_dir(&out).unwrap();
    crate::program::refused(1, &check, &["there is no figure in it"]);
}

#[test]
fn records_that_are_corrupt_or_of_another_version_are_left_out() {
    let drawn = Drawn::small();
    let cells = drawn.study.store.join("cells");
    let mut records = drawn.study.records().into_iter();
    let (corrupt, _) = records.next().unwrap();
    fs::write(cells.join(&corrupt), "{").unwrap();
    let (other, text) = records.next().unwrap();
    fs::write(
        cells.join(&other),
        text.replacen("smartkv.cell/1", "smartkv.cell/9", 1),
    )
    .unwrap();
    let out = drawn.figures(&["--format", "svg"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    for part in [
        &format!("{corrupt} cannot be read"),
        "is of version `smartkv.cell/9`",
        "4 of 6 cells",
    ] {
        assert!(out.stderr.contains(part), "no `{part}` in {}", out.stderr);
    }
}

#[test]
fn numbers_of_an_axis_are_a_line() {
    let grid = format!(
        "{}  strategy: {{type: uniform, group_size: 16}}\naxes:\n  strategy.key_bits: [2, 4, 8]\n  \
         strategy.value_bits: [2, 4]\nseeds: 1\n",
        base(2, 8)
    );
    let drawn = Drawn::new(Study::new(&grid));
    let out = drawn.figures(&["--kind", "sweep", "--format", "svg", "--json"]);
    let record = json(&out);
    let figures: Vec<&str> = record["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        figures,
        [
            "study-sweep-key_bits-kl_mean",
            "study-sweep-value_bits-kl_mean"
        ]
    );
    let sidecar = fs::read_to_string(drawn.path("study-sweep-key_bits-kl_mean.json")).unwrap();
    let sidecar: Value = serde_json::from_str(&sidecar).unwrap();
    let series = sidecar["data"]["series"].as_array().unwrap();
    let lines: Vec<&str> = series
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(lines, ["value bits 2", "value bits 4"]);
    let at: Vec<f64> = series[0]["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["x"].as_f64().unwrap())
        .collect();
    assert_eq!(at, [2.0, 4.0, 8.0]);
}
