//! What records of analyses show.

use crate::options;
use serde_json::Value;
use smartkv_analysis::figure::{AxisScale, Draw as _};
use smartkv_analysis::figures::{AnalysisRecord, Data, Drawing, Kind, of_record};
use std::fs;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/analyses");
    folder.join(format!("{name}.json"))
}

fn value(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path(name)).unwrap()).unwrap()
}

#[track_caller]
fn drawings(name: &str, kind: Kind) -> Vec<Drawing> {
    let record = AnalysisRecord::read(&path(name)).unwrap();
    let drawings = of_record(&record, kind, &options()).unwrap();
    for drawing in &drawings {
        drawing.data.draw().unwrap();
        assert_eq!(drawing.data.cells(), std::slice::from_ref(&record.id));
        assert!(
            drawing
                .sources
                .iter()
                .all(|source| source.cells == drawing.data.cells())
        );
    }
    drawings
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_f64().unwrap())
        .collect()
}

#[test]
fn maps_are_of_layers_and_of_heads() {
    let drawings = drawings("attention", Kind::Attention);
    let names: Vec<&str> = drawings
        .iter()
        .map(|drawing| drawing.name.as_str())
        .collect();
    assert_eq!(names, ["attention-attention", "attention-attention-heads"]);
    let Data::Attention(layers) = &drawings[0].data else {
        panic!()
    };
    let maps = value("attention")["maps"].clone();
    assert_eq!(layers.block, maps[0]["block_tokens"].as_u64().unwrap());
    for (panel, map) in layers.panels.iter().zip(maps.as_array().unwrap()) {
        for (own, row) in panel.values.iter().zip(map["rows"].as_array().unwrap()) {
            let row = floats(row);
            assert_eq!(own[..row.len()], row);
            // The future is white.
            assert!(own[row.len()..].iter().all(|share| *share == 0.0));
            assert_eq!(own.len(), panel.values.len());
        }
    }
    let Data::Attention(heads) = &drawings[1].data else {
        panic!()
    };
    let names: Vec<&str> = heads
        .panels
        .iter()
        .map(|panel| panel.name.as_str())
        .collect();
    assert_eq!(names, ["L1 H0", "L1 H2"]);
}

#[test]
fn entropy_stands_at_its_head() {
    let Data::Entropy(data) = drawings("attention", Kind::Entropy).remove(0).data else {
        panic!()
    };
    for head in value("attention")["heads"].as_array().unwrap() {
        let at = |field: &str| usize::try_from(head[field].as_u64().unwrap()).unwrap();
        assert_eq!(
            data.values[at("layer")][at("head")],
            head["entropy_nats"].as_f64()
        );
    }
}

#[test]
fn bits_are_those_of_the_legend() {
    let drawings = drawings("attention", Kind::Allocation);
    let names: Vec<&str> = drawings
        .iter()
        .map(|drawing| drawing.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "attention-allocation-prefill",
            "attention-allocation-decode"
        ]
    );
    let precision = value("attention")["precision"].clone();
    let legend = precision["legend"].as_array().unwrap();
    let bits = |symbol: char, field: &str| {
        let place = legend
            .iter()
            .find(|place| place["symbol"] == symbol.to_string())
            .unwrap();
        place[field].as_u64().unwrap()
    };
    for (drawing, moment) in drawings.iter().zip(precision["at"].as_array().unwrap()) {
        let Data::Allocation(data) = &drawing.data else {
            panic!()
        };
        let lanes = moment["lanes"].as_array().unwrap();
        let lanes: Vec<&str> = lanes
            .iter()
            .flat_map(|layer| layer.as_array().unwrap())
            .map(|lane| lane.as_str().unwrap())
            .collect();
        assert_eq!(data.layers.len(), lanes.len());
        // This strategy keeps keys in more bits than values.
        let names: Vec<&str> = data
            .panels
            .iter()
            .map(|panel| panel.name.as_str())
            .collect();
        assert_eq!(names, ["Keys", "Values"]);
        for (panel, field) in data.panels.iter().zip(["key_bits", "value_bits"]) {
            for (row, lane) in panel.bits.iter().zip(&lanes) {
                let expected: Vec<u64> = lane.chars().map(|symbol| bits(symbol, field)).collect();
                let own: Vec<u64> = row.iter().map(|bits| u64::from(*bits)).collect();
                assert_eq!(own, expected);
            }
        }
    }
}

#[test]
fn keys_and_values_of_equal_bits_share_a_panel() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = value("attention");
    let legend = record["precision"]["legend"].as_array_mut().unwrap();
    for place in legend {
        place["value_bits"] = place["key_bits"].clone();
    }
    let path = folder.path().join("alike.json");
    fs::write(&path, record.to_string()).unwrap();
    let own = AnalysisRecord::read(&path).unwrap();
    let drawing = of_record(&own, Kind::Allocation, &options())
        .unwrap()
        .remove(0);
    let Data::Allocation(data) = drawing.data else {
        panic!()
    };
    assert_eq!(data.panels.len(), 1);
    assert_eq!(data.panels[0].name, "Keys and values");
}

#[test]
fn tokens_have_their_bits_and_scores() {
    let Data::Tokens(data) = drawings("attention", Kind::Tokens).remove(0).data else {
        panic!()
    };
    let record = value("attention");
    let mean_bits = floats(&record["precision"]["at"][1]["mean_bits"]);
    let own: Vec<f64> = data.tokens.iter().map(|token| token.bits).collect();
    assert_eq!(own, mean_bits);
    assert_eq!(
        data.tokens[3].text,
        record["precision"]["tokens"][3]["text"].as_str().unwrap()
    );
    let received = [0, 1].map(|layer| floats(&record["tokens"]["received"][layer])[3]);
    assert_eq!(data.tokens[3].score, smartkv_stats::mean(&received));
    assert!(data.html().unwrap().contains("SmartKV @ 0.7"));
}

#[test]
fn bytes_over_time_stand_at_their_tokens() {
    let Data::Budget(data) = drawings("memory", Kind::Budget).remove(0).data else {
        panic!()
    };
    assert_eq!((data.budget, data.series.len()), (Some(0.7), 1));
    // Every seventh token, and the last.
    assert_eq!(data.series[0].tokens, [0, 7, 14, 21, 28, 30]);
    let record = value("memory");
    let last = record["points"].as_array().unwrap().last().unwrap();
    let share = last["live_bytes"].as_f64().unwrap() / last["f16_bytes"].as_f64().unwrap();
    assert_eq!(data.series[0].shares.last(), Some(&share));
    assert!(data.series[0].shares.iter().all(|share| *share <= 0.7));
}

#[test]
fn a_budget_of_bytes_is_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = value("memory");
    record["budget"] = "64KiB".into();
    let path = folder.path().join("bytes.json");
    fs::write(&path, record.to_string()).unwrap();
    let own = AnalysisRecord::read(&path).unwrap();
    let Data::Budget(data) = of_record(&own, Kind::Budget, &options())
        .unwrap()
        .remove(0)
        .data
    else {
        panic!()
    };
    let names: Vec<&str> = data
        .series
        .iter()
        .map(|series| series.name.as_str())
        .collect();
    assert_eq!(
        (data.budget, &names[..]),
        (None, &["SmartKV @ 64KiB", "Budget"][..])
    );
}

#[test]
fn times_are_of_the_variants() {
    let drawing = drawings("latency", Kind::Latency).remove(0);
    let Data::Cost(data) = &drawing.data else {
        panic!()
    };
    let record = value("latency");
    let variants = record["variants"].as_array().unwrap();
    assert_eq!(data.rows.len(), variants.len());
    for (row, variant) in data.rows.iter().zip(variants) {
        let live = variant["cache"]["live_bytes"].as_f64().unwrap();
        assert_eq!(row.bytes.iter().sum::<f64>(), live);
        let token = row.latency[0].unwrap();
        assert_eq!(token.value, variant["mean_ms"]["median"].as_f64().unwrap());
        assert_eq!(token.upper, variant["mean_ms"]["max"].as_f64());
    }
    assert_eq!(data.rows[0].name, "f16");
}

#[test]
fn rounding_is_shown_by_bits_and_by_attention() {
    let drawings = drawings("attention", Kind::Sensitivity);
    let names: Vec<&str> = drawings
        .iter()
        .map(|drawing| drawing.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["attention-sensitivity", "attention-sensitivity-damage"]
    );
    let record = value("attention");
    let groups = record["sensitivity"]["groups"].as_array().unwrap();
    let Data::Sweep(data) = &drawings[0].data else {
        panic!()
    };
    assert_eq!(data.y.scale, AxisScale::Log);
    let points: usize = data.series.iter().map(|series| series.points.len()).sum();
    // What is drawn by lot stands once, not once a ranking: at three bit-widths.
    assert_eq!(points, groups.len() - 3);
    assert!(data.series.iter().any(|series| series.name == "random"));
    let highest = data
        .series
        .iter()
        .find(|one| one.name == "highest by future attention")
        .unwrap();
    assert_eq!(
        highest.points[0].y.value,
        groups[0]["kl"]["mean"].as_f64().unwrap()
    );
    let Data::Sweep(data) = &drawings[1].data else {
        panic!()
    };
    for (series, lone) in data
        .series
        .iter()
        .zip(record["sensitivity"]["lone"].as_array().unwrap())
    {
        let shares: Vec<f64> = series.points.iter().map(|point| point.y.value).collect();
        assert_eq!(shares, floats(&lone["damage_by_tenth"]));
    }
}

#[test]
fn what_a_record_cannot_give_is_said() {
    let refusal = |name: &str, kind: Kind| {
        let record = AnalysisRecord::read(&path(name)).unwrap();
        of_record(&record, kind, &options())
            .unwrap_err()
            .to_string()
    };
    assert!(refusal("memory", Kind::Entropy).contains("it has no attention"));
    assert!(refusal("attention", Kind::Budget).contains("it has no bytes over time"));
    assert!(refusal("latency", Kind::Tokens).contains("does not have the bits of tokens"));
    assert!(refusal("attention", Kind::Pareto).contains("it is of plans"));
}

#[test]
fn files_that_are_no_record_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |text: &str| {
        let path = folder.path().join("x.json");
        fs::write(&path, text).unwrap();
        AnalysisRecord::read(&path).unwrap_err().to_string()
    };
    assert!(refusal("{").contains("EOF"));
    assert!(refusal("[]").contains("it has no `schema`, expected one of smartkv.attention/1"));
    let other = refusal(r#"{"schema": "smartkv.attention/2"}"#);
    assert!(
        other.contains("it is of version `smartkv.attention/2`, expected one of"),
        "{other}"
    );
    // Of the right version, and not what that says.
    let path = folder.path().join("x.json");
    fs::write(&path, r#"{"schema": "smartkv.memory/1", "points": 3}"#).unwrap();
    let record = AnalysisRecord::read(&path).unwrap();
    let error = of_record(&record, Kind::Budget, &options()).unwrap_err();
    assert!(error.to_string().contains("x.json"), "{error}");
    // A symbol without a meaning.
    let mut value = value("attention");
    value["precision"]["at"][0]["lanes"][0][0] = "~".into();
    fs::write(&path, value.to_string()).unwrap();
    let record = AnalysisRecord::read(&path).unwrap();
    let error = of_record(&record, Kind::Allocation, &options()).unwrap_err();
    assert!(error.to_string().contains("the symbol `~`"), "{error}");
}
