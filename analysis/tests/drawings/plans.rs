//! What plans show.

use crate::common::{Filled, printed, sweep};
use crate::options;
use serde_json::{Value, json};
use smartkv_analysis::error::AnalysisError;
use smartkv_analysis::figure::{AxisFormat, AxisScale, Draw as _};
use smartkv_analysis::figures::{Data, Drawing, Kind, Options, of_study};
use smartkv_analysis::group::rows;
use smartkv_analysis::summary::{Summary, summarise};
use smartkv_analysis::{Study, measure};
use smartkv_stats::mean;

/// The one figure of a kind.
#[track_caller]
fn one(study: &Study, kind: Kind) -> Drawing {
    let mut drawings = of_study(study, kind, &options()).unwrap();
    assert_eq!(drawings.len(), 1, "{drawings:?}");
    drawings[0].data.draw().unwrap();
    drawings.remove(0)
}

#[track_caller]
fn refusal(study: &Study, kind: Kind, options: &Options) -> String {
    let error = of_study(study, kind, options).unwrap_err();
    assert!(!error.hints().is_empty() || matches!(error, AnalysisError::Unknown { .. }));
    error.to_string()
}

/// The mean over seeds of a number that the program printed.
fn over_seeds(file: &str, pointer: &str) -> f64 {
    let value = |seed: u8| {
        printed(&format!("{file}-s{seed}"))
            .pointer(pointer)
            .unwrap()
            .as_f64()
    };
    mean(&[value(0).unwrap(), value(1).unwrap()]).unwrap()
}

/// A number of the provenance belongs to cells that have it.
#[track_caller]
fn sources_are_the_figure(drawing: &Drawing) {
    assert!(!drawing.sources.is_empty());
    for source in &drawing.sources {
        assert!(!source.cells.is_empty(), "{source:?}");
        let known = |id: &String| drawing.data.cells().contains(id);
        assert!(source.cells.iter().all(known), "{source:?}");
        let (value, low) = (
            source.value.unwrap(),
            source.lower.or(source.value).unwrap(),
        );
        assert!(
            low <= value && value <= source.upper.unwrap_or(value),
            "{source:?}"
        );
    }
}

#[test]
fn a_front_is_of_what_rows_hold_and_lose() {
    let filled = sweep();
    let study = filled.study("budget");
    let drawing = one(&study, Kind::Pareto);
    assert_eq!(drawing.name, "budget-pareto-kl_mean");
    let Data::Pareto(data) = &drawing.data else {
        panic!("{drawing:?}")
    };
    assert_eq!(data.cost.label, "Live bytes (share of f16)");
    assert_eq!(
        (data.quality.label.as_str(), data.quality.scale),
        ("Mean KL divergence (nats)", AxisScale::Log)
    );
    // The simulated strategy is on no axis of bytes, and f16 loses nothing that a logarithm shows.
    let names: Vec<&str> = data
        .series
        .iter()
        .map(|series| series.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["uniform-4", "SmartKV", "SmartKV-random", "SmartKV-oracle"]
    );
    assert_eq!(drawing.left_out.len(), 2, "{:?}", drawing.left_out);
    let simulated = "budget 0.3, GEAR-2: simulated";
    assert!(
        drawing.left_out[0].starts_with(simulated),
        "{:?}",
        drawing.left_out
    );
    assert!(drawing.left_out[1].contains("f16") && drawing.left_out[1].contains("is 0"));
    let smartkv = &data.series[1];
    assert_eq!(smartkv.points.len(), 2);
    assert_eq!(
        smartkv.points[0].cost.value,
        over_seeds("smartkv-0.3", "/cache/ratio")
    );
    let quality = smartkv.points[0].quality;
    assert!((quality.value - over_seeds("smartkv-0.3", "/quality/kl_mean")).abs() < 1e-15);
    // The interval is that of tables.
    let rows = rows(&study);
    let row = rows
        .iter()
        .find(|row| row.labels.get("strategy").is("smartkv"))
        .unwrap();
    let metric = study.metric("kl_mean").unwrap();
    let Summary::Estimate(own) = summarise(row, &metric, &options().bootstrap).unwrap() else {
        panic!()
    };
    let interval = own.interval.unwrap();
    assert_eq!(
        (quality.lower, quality.upper),
        (Some(interval.low), Some(interval.high))
    );
    assert_eq!(data.cells.len(), 10);
    sources_are_the_figure(&drawing);
}

#[test]
fn a_sweep_has_a_line_for_what_differs_besides() {
    let filled = sweep();
    let drawing = one(&filled.study("budget"), Kind::Sweep);
    assert_eq!(drawing.name, "budget-sweep-budget-kl_mean");
    let Data::Sweep(data) = &drawing.data else {
        panic!("{drawing:?}")
    };
    assert_eq!(
        (data.x.label.as_str(), data.x.format),
        ("Budget (share of f16)", AxisFormat::Percent)
    );
    let smartkv = data
        .series
        .iter()
        .find(|series| series.name == "SmartKV")
        .unwrap();
    let at: Vec<f64> = smartkv.points.iter().map(|point| point.x).collect();
    assert_eq!(at, [0.3, 0.5]);
    // Under a budget of bytes there is no place for what has none.
    assert!(
        data.series
            .iter()
            .all(|series| !series.name.contains("GEAR"))
    );
    assert!(
        drawing
            .left_out
            .iter()
            .any(|text| text.contains("simulated"))
    );
    sources_are_the_figure(&drawing);
}

#[test]
fn simulated_strategies_may_stand_on_axes_that_are_not_of_bytes() {
    let mut filled = Filled::new();
    for (place, (file, sinks)) in [("gear-2", 1), ("uniform-4", 2)].into_iter().enumerate() {
        for seed in [0, 1] {
            let labels = json!({"sinks": sinks, "seed": seed});
            filled.cell(
                &format!("{place}{seed}"),
                &labels,
                printed(&format!("{file}-s{seed}")),
                seed,
            );
        }
    }
    filled.plan("sinks", &["sinks", "seed"], &Value::Null);
    let study = filled.study("sinks");
    let Data::Sweep(data) = one(&study, Kind::Sweep).data else {
        panic!()
    };
    assert_eq!(data.series[0].points.len(), 2);
    let bytes = Options {
        metrics: vec!["ratio".into()],
        ..options()
    };
    let drawing = of_study(&study, Kind::Sweep, &bytes).unwrap().remove(0);
    let Data::Sweep(data) = drawing.data else {
        panic!()
    };
    assert_eq!(data.series[0].points.len(), 1);
    assert!(drawing.left_out[0].contains("simulated"));
    let message = refusal(&study, Kind::Pareto, &bytes);
    assert!(message.contains("`ratio` counts bytes"), "{message}");
}

#[test]
fn an_ablation_is_the_change_from_its_baseline() {
    let mut filled = Filled::new();
    for (place, (file, variant)) in [
        ("smartkv-0.3", "full"),
        ("random-0.3", "random"),
        ("oracle-0.3", "the_oracle"),
    ]
    .into_iter()
    .enumerate()
    {
        for seed in [0, 1] {
            let labels = json!({"variant": variant, "seed": seed});
            filled.cell(
                &format!("{place}{seed}"),
                &labels,
                printed(&format!("{file}-s{seed}")),
                seed,
            );
        }
    }
    filled.plan("parts", &["variant", "seed"], &json!({"variant": "full"}));
    let study = filled.study("parts");
    let drawing = one(&study, Kind::Ablation);
    let Data::Ablation(data) = &drawing.data else {
        panic!("{drawing:?}")
    };
    assert_eq!(data.effect.label, "Change in mean KL divergence from full");
    let names: Vec<&str> = data.bars.iter().map(|bar| bar.name.as_str()).collect();
    assert_eq!(names, ["random", "the oracle"]);
    let kl = |file: &str| over_seeds(file, "/quality/kl_mean");
    let change = kl("random-0.3") / kl("smartkv-0.3") - 1.0;
    assert!((data.bars[0].effect.value - change).abs() < 1e-9);
    // Eight windows of large differences, two comparisons.
    assert!(data.bars.iter().all(|bar| {
        bar.mark
            .as_deref()
            .is_some_and(|mark| mark.starts_with('*'))
    }));
    let both = &drawing.sources[0].cells;
    assert!(
        both.contains(&"00".to_string()) && both.contains(&"10".to_string()),
        "{both:?}"
    );
    sources_are_the_figure(&drawing);
    let message = refusal(
        &study,
        Kind::Ablation,
        &Options {
            baseline: Some("variant=x".into()),
            ..options()
        },
    );
    assert!(message.contains("variant=full"), "{message}");
}

#[test]
fn needles_stand_where_they_were_hidden() {
    let filled = sweep();
    let drawing = one(&filled.study("budget"), Kind::Needle);
    let Data::Needle(data) = &drawing.data else {
        panic!("{drawing:?}")
    };
    assert_eq!(
        (&data.contexts[..], &data.depths[..]),
        (&[384][..], &[0.25, 0.75][..])
    );
    let panel = |name: &str| {
        data.panels
            .iter()
            .find(|panel| panel.name.contains(name))
            .unwrap()
    };
    for (name, file) in [
        ("GEAR-2", "gear-2"),
        ("uniform-4", "uniform-4"),
        ("f16", "f16"),
    ] {
        let scores: Vec<f64> = panel(name)
            .scores
            .iter()
            .map(|row| row[0].unwrap())
            .collect();
        let accuracy = over_seeds(file, "/tasks/needle/accuracy");
        assert_eq!(mean(&scores).unwrap(), accuracy, "{name}");
    }
    // The oracle cannot answer: it is not drawn, and that is said.
    assert!(
        data.panels
            .iter()
            .all(|panel| !panel.name.contains("oracle"))
    );
    assert!(
        drawing.left_out[0].contains("budget 0.3, SmartKV-oracle: no needles"),
        "{:?}",
        drawing.left_out
    );
    sources_are_the_figure(&drawing);
}

#[test]
fn costs_are_bytes_by_part_beside_times() {
    let filled = sweep();
    let drawing = one(&filled.study("budget"), Kind::Cost);
    let Data::Cost(data) = &drawing.data else {
        panic!("{drawing:?}")
    };
    assert!(data.rows.iter().all(|row| !row.name.contains("GEAR")));
    let row = data
        .rows
        .iter()
        .find(|row| row.name == "budget 0.5, SmartKV")
        .unwrap();
    let parts = [
        "payload_bytes",
        "metadata_bytes",
        "window_bytes",
        "policy_bytes",
    ];
    let bytes: Vec<f64> = parts
        .iter()
        .map(|part| over_seeds("smartkv-0.5", &format!("/cache/{part}")))
        .collect();
    assert_eq!(row.bytes, bytes);
    assert_eq!(
        row.bytes.iter().sum::<f64>(),
        over_seeds("smartkv-0.5", "/cache/live_bytes")
    );
    let decode = row.latency[1].unwrap();
    let time = |seed: u8| {
        let record = printed(&format!("smartkv-0.5-s{seed}"));
        1e3 / record["speed"]["decode_tokens_per_s"].as_f64().unwrap()
    };
    assert_eq!(decode.value, mean(&[time(0), time(1)]).unwrap());
    assert_eq!(decode.upper, Some(time(0).max(time(1))));
    sources_are_the_figure(&drawing);
}

#[test]
fn a_plan_says_why_it_lacks_a_kind() {
    let mut filled = Filled::new();
    let labels = |strategy: &str| json!({"strategy": strategy, "seed": 0});
    filled.cell("a", &labels("uniform-2"), printed("tasks-uniform-2"), 0);
    filled.cell("b", &labels("uniform-4"), printed("tasks-uniform-4"), 0);
    filled.planned("c", &labels("kivi"));
    filled.plan("tasks", &["strategy", "seed"], &Value::Null);
    let study = filled.study("tasks");
    for (kind, part) in [
        (
            Kind::Sweep,
            "plan `tasks` has no sweep figure: none of its axes has two numbers",
        ),
        (Kind::Ablation, "it names no baseline"),
        (Kind::Needle, "no cell hides needles"),
        (Kind::Cost, "no cell has bytes by part"),
        (Kind::Entropy, "it is of records of an analysis"),
    ] {
        let message = refusal(&study, kind, &options());
        assert!(message.contains(part), "{message}");
    }
    let unknown = Options {
        metrics: vec!["kl".into()],
        ..options()
    };
    let message = refusal(&study, Kind::Pareto, &unknown);
    assert!(
        message.contains("unknown metric `kl`: known are ratio, score."),
        "{message}"
    );
    // Scores of a task are the quality, in per cent; what is not run is said.
    let drawing = one(&study, Kind::Pareto);
    let Data::Pareto(data) = &drawing.data else {
        panic!("{drawing:?}")
    };
    assert_eq!(data.quality.format, AxisFormat::Percent);
    assert_eq!(data.quality.label, "Score, assoc recall");
    assert_eq!(
        drawing.left_out,
        ["the plan is incomplete: 2 of 3 cells of the plan are there, 1 not run"]
    );
    let empty = Filled::new();
    empty.plan("none", &["seed"], &Value::Null);
    assert!(refusal(&empty.study("none"), Kind::Pareto, &options()).contains("0 of 0 cells"));
}

#[test]
fn what_was_measured_differently_is_not_compared() {
    let mut filled = Filled::new();
    let files = [
        ("uniform-4", "a"),
        ("smartkv-0.5", "a"),
        ("uniform-4", "b"),
        ("smartkv-0.5", "b"),
    ];
    for (place, (file, text)) in files.into_iter().enumerate() {
        let mut record = printed(&format!("{file}-s0"));
        record["protocol"]["text"] = text.into();
        filled.cell(
            &place.to_string(),
            &json!({"strategy": file, "text": text, "seed": 0}),
            record,
            0,
        );
    }
    filled.plan("texts", &["strategy", "text", "seed"], &Value::Null);
    let drawings = of_study(&filled.study("texts"), Kind::Pareto, &options()).unwrap();
    let names: Vec<&str> = drawings
        .iter()
        .map(|drawing| drawing.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["texts-pareto-text-a-kl_mean", "texts-pareto-text-b-kl_mean"]
    );
}

#[test]
fn names_that_print_alike_stay_apart() {
    let mut filled = Filled::new();
    for (place, variant) in ["a_b", "a b", "full"].into_iter().enumerate() {
        let labels = json!({"variant": variant, "seed": 0});
        filled.cell(&place.to_string(), &labels, printed("uniform-4-s0"), 0);
    }
    filled.plan("alike", &["variant", "seed"], &json!({"variant": "full"}));
    let Data::Ablation(data) = one(&filled.study("alike"), Kind::Ablation).data else {
        panic!()
    };
    let names: Vec<&str> = data.bars.iter().map(|bar| bar.name.as_str()).collect();
    assert_eq!(names, ["variant=a_b", "variant=a b"]);
    assert!(
        data.bars
            .iter()
            .all(|bar| bar.mark.as_deref() == Some("n.s."))
    );
}

#[test]
fn every_metric_of_a_record_has_an_axis() {
    let filled = sweep();
    let study = filled.study("budget");
    let numbers = study
        .metrics()
        .into_iter()
        .filter(|one| one.kind != measure::Kind::Memory);
    for metric in numbers {
        let options = Options {
            metrics: vec![metric.name.clone()],
            ..options()
        };
        let drawing = of_study(&study, Kind::Sweep, &options).unwrap().remove(0);
        drawing.data.draw().unwrap();
        let Data::Sweep(data) = drawing.data else {
            panic!()
        };
        assert!(!data.y.label.contains('_'), "{}", data.y.label);
    }
}

#[test]
fn ablations_are_apart_where_the_baseline_leaves_an_axis_open() {
    let mut filled = Filled::new();
    let cells = [
        ("smartkv-0.3", "full", 0.3),
        ("random-0.3", "random", 0.3),
        ("uniform-4", "uniform", 0.3),
        ("smartkv-0.5", "full", 0.5),
        ("uniform-4", "uniform", 0.5),
    ];
    for (place, (file, variant, budget)) in cells.into_iter().enumerate() {
        let labels = json!({"variant": variant, "budget": budget, "seed": 0});
        let record = printed(&format!("{file}-s0"));
        filled.cell(&place.to_string(), &labels, record, 0);
    }
    let axes = ["variant", "budget", "seed"];
    filled.plan("parts", &axes, &json!({"variant": "full"}));
    let drawings = of_study(&filled.study("parts"), Kind::Ablation, &options()).unwrap();
    let names: Vec<&str> = drawings.iter().map(|own| own.name.as_str()).collect();
    let expected = ["budget-0.3", "budget-0.5"];
    assert_eq!(
        names,
        expected.map(|facet| format!("parts-ablation-{facet}-kl_mean"))
    );
    let bars = drawings.iter().map(|drawing| match &drawing.data {
        Data::Ablation(data) => data.clone(),
        other => panic!("{other:?}"),
    });
    let bars: Vec<_> = bars.collect();
    let named: Vec<&str> = bars[0].bars.iter().map(|bar| bar.name.as_str()).collect();
    assert_eq!(named, ["random", "uniform"]);
    assert_eq!(bars[1].title.as_deref(), Some("Budget 0.5"));
    // A change of more than ten times: all bars of the metric are logarithms.
    let kl = |file: &str| {
        let record = printed(&format!("{file}-s0"));
        record["quality"]["kl_mean"].as_f64().unwrap()
    };
    let ratio = kl("uniform-4") / kl("smartkv-0.5");
    assert!(ratio > 11.0, "{ratio}");
    assert!((bars[1].bars[0].effect.value - ratio.log10()).abs() < 1e-9);
    let ratio = kl("random-0.3") / kl("smartkv-0.3");
    assert!((bars[0].bars[0].effect.value - ratio.log10()).abs() < 1e-9);
    assert!(bars[0].effect.label.ends_with("(log10 of ratio)"));
}

#[test]
fn many_rows_have_their_costs_budget_by_budget() {
    let mut filled = Filled::new();
    for place in 0..22 {
        let budget = if place < 11 { 0.3 } else { 0.5 };
        let labels = json!({"strategy": format!("s{}", place % 11), "budget": budget, "seed": 0});
        let record = printed("uniform-4-s0");
        filled.cell(&format!("c{place}"), &labels, record, 0);
    }
    filled.plan("wide", &["strategy", "budget", "seed"], &Value::Null);
    let drawings = of_study(&filled.study("wide"), Kind::Cost, &options()).unwrap();
    let names: Vec<&str> = drawings.iter().map(|own| own.name.as_str()).collect();
    assert_eq!(names, ["wide-cost-budget-0.3", "wide-cost-budget-0.5"]);
    for drawing in &drawings {
        let Data::Cost(data) = &drawing.data else {
            panic!("{drawing:?}")
        };
        assert_eq!((data.rows.len(), data.cells.len()), (11, 11));
        assert_eq!(data.rows[0].name, "s0");
        sources_are_the_figure(drawing);
    }
}
