//! `smartkv analyze attention`.

use crate::program::{json, refused, run};
use crate::{array, number, tiny, written};
use serde_json::Value;

const WINDOWS: [&str; 6] = [
    "--windows",
    "2",
    "--prefill-tokens",
    "40",
    "--score-tokens",
    "8",
];

fn attention<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&tiny("attention", &WINDOWS)[..], more].concat()
}

/// Tokens of a window that run: one begins every text.
const TOKENS: usize = 1 + 40 + 8;

#[test]
fn all_attention_is_somewhere() {
    let record = written(&attention(&[
        "--layers",
        "1",
        "--heads",
        "0,2",
        "--no-sensitivity",
    ]));
    assert_eq!(record["schema"], "smartkv.attention/1");
    let (layers, heads) = (2, number(&record["shape"]["q_heads"]) as usize);
    assert_eq!(array(&record["heads"]).len(), layers * heads);
    for head in array(&record["heads"]) {
        let mass: f64 = ["sinks", "recent", "middle"]
            .iter()
            .map(|part| number(&head[part]))
            .sum();
        assert!((mass - 1.0).abs() < 1e-5, "{head}");
        let share = number(&head["entropy_share"]);
        assert!((0.0..=1.0 + 1e-6).contains(&share), "{head}");
        // No query sees more than all tokens.
        assert!(
            number(&head["entropy_nats"]) <= (TOKENS as f64).ln(),
            "{head}"
        );
        let mean = number(&head["key_mean"]);
        assert!(mean > 0.0 && mean <= 1.0 / 41.0, "{head}");
    }
    // One map a layer, and two heads of their own.
    let maps = array(&record["maps"]);
    let own = maps.iter().filter(|map| !map["head"].is_null());
    let own: Vec<(&Value, &Value)> = own.map(|map| (&map["layer"], &map["head"])).collect();
    assert_eq!(
        own,
        [
            (&Value::from(1), &Value::from(0)),
            (&Value::from(1), &Value::from(2))
        ]
    );
    assert_eq!(maps.len(), layers + 2);
    for map in maps {
        let rows = array(&map["rows"]);
        let block = number(&map["block_tokens"]) as usize;
        assert_eq!(rows.len(), TOKENS.div_ceil(block));
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(array(row).len(), index + 1);
            let mass: f64 = array(row).iter().map(number).sum();
            assert!((mass - 1.0).abs() < 1e-5, "{row}");
        }
    }
    for layer in array(&record["distances"]["layers"]) {
        let mass: f64 = array(layer).iter().map(number).sum();
        assert!((mass - 1.0).abs() < 1e-5, "{layer}");
    }
    assert!(record["sensitivity"].is_null() && record["precision"].is_null());
}

#[test]
fn tokens_have_their_text_and_what_they_received() {
    let record = json(&run(&attention(&[
        "--no-sensitivity",
        "--top",
        "3",
        "--json",
    ])));
    let map = &record["tokens"];
    let tokens = array(&map["tokens"]);
    assert_eq!(tokens.len(), TOKENS);
    assert!(tokens.iter().all(|token| token["text"].is_string()));
    // The 41 tokens of the prompt share what the scored queries do not give to one another.
    for layer in array(&map["received"]) {
        let prompt: f64 = array(layer)[..41].iter().map(number).sum();
        assert!(prompt > 0.0 && prompt < 1.0, "{prompt}");
    }
    for window in array(&record["top"]) {
        let attention: Vec<f64> = array(window)
            .iter()
            .map(|t| number(&t["attention"]))
            .collect();
        assert_eq!(attention.len(), 3);
        assert!(attention.is_sorted_by(|a, b| a >= b), "{attention:?}");
        assert!(
            array(window)
                .iter()
                .all(|token| number(&token["position"]) < 41.0)
        );
    }
}

#[test]
fn groups_of_rounded_tokens_hold_equal_bytes() {
    let test = ["--bits", "2,4", "--share", "0.3", "--json"];
    let record = json(&run(&attention(&test)));
    let sensitivity = &record["sensitivity"];
    let groups = array(&sensitivity["groups"]);
    // Two rankings, two bit-widths, three orders.
    assert_eq!(groups.len(), 12);
    for same in groups.chunks(3) {
        let bytes: Vec<&Value> = same.iter().map(|group| &group["mean_live_bytes"]).collect();
        assert!(bytes.iter().all(|b| *b == bytes[0]), "{bytes:?}");
        let orders: Vec<&str> = same
            .iter()
            .map(|g| g["rounded"].as_str().unwrap())
            .collect();
        assert_eq!(orders, ["highest", "lowest", "random"]);
        assert!(same.iter().all(|group| number(&group["kl"]["mean"]) > 0.0));
        assert!(same.iter().all(|group| array(&group["windows"]).len() == 2));
    }
    // Two bits cost more than four, whichever tokens they are.
    for (two, four) in groups[..3].iter().zip(&groups[3..6]) {
        assert!(
            number(&two["kl"]["mean"]) > number(&four["kl"]["mean"]),
            "{two} {four}"
        );
    }
    // A contrast is the difference of its groups.
    let contrast = &array(&sensitivity["contrasts"])[0];
    let difference = number(&groups[0]["kl"]["mean"]) - number(&groups[2]["kl"]["mean"]);
    assert!(
        (number(&contrast["kl"]["mean"]) - difference).abs() < 1e-9,
        "{contrast}"
    );
    assert_eq!(
        (&contrast["group"], &contrast["minus"]),
        (&"highest".into(), &"random".into())
    );
    for lone in array(&sensitivity["lone"]) {
        let correlation = number(&lone["rank_correlation"]["mean"]);
        assert!((-1.0..=1.0).contains(&correlation));
        let tenths: f64 = array(&lone["damage_by_tenth"]).iter().map(number).sum();
        assert!((tenths - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_bits_of_every_token_are_told() {
    let strategy = [
        "--strategy",
        "smartkv",
        "--budget",
        "0.4",
        "--set",
        "sinks=2",
    ];
    let record = json(&run(&attention(
        &[&strategy[..], &["--no-sensitivity", "--json"]].concat(),
    )));
    let precision = &record["precision"];
    assert_eq!(precision["budget"], 0.4);
    let legend = array(&precision["legend"]);
    let symbols: Vec<char> = legend
        .iter()
        .map(|e| e["symbol"].as_str().unwrap().chars().next().unwrap())
        .collect();
    assert_eq!(array(&precision["tokens"]).len(), TOKENS);
    let at = array(&precision["at"]);
    assert_eq!(
        (&at[0]["after"], &at[1]["after"]),
        (&"prefill".into(), &"decode".into())
    );
    for (at, seen) in at.iter().zip([41, TOKENS]) {
        let mut rows = vec![0; legend.len()];
        let mut bits = 0.0;
        let lanes: Vec<&Value> = array(&at["lanes"]).iter().flat_map(array).collect();
        for lane in &lanes {
            let places: Vec<char> = lane.as_str().unwrap().chars().collect();
            assert_eq!(places.len(), seen);
            // The first tokens are sinks, the last one is in the window.
            assert_eq!([places[0], places[1], places[seen - 1]], [symbols[0]; 3]);
            for place in places {
                let index = symbols.iter().position(|s| *s == place).unwrap();
                rows[index] += 1;
                let entry = &legend[index];
                let halves = ["key_bits", "value_bits"].map(|half| number(&entry[half]));
                bits += f64::midpoint(halves[0], halves[1]);
            }
        }
        assert_eq!(at["rows"], Value::from(rows));
        let mean = bits / (lanes.len() * seen) as f64;
        let layers: Vec<f64> = array(&at["layer_bits"]).iter().map(number).collect();
        assert!((layers.iter().sum::<f64>() / layers.len() as f64 - mean).abs() < 1e-9);
    }
}

#[test]
fn records_do_not_depend_on_threads() {
    let args = attention(&["--bits", "3", "--ranked-by", "future", "--json"]);
    let record = |threads: &'static str| {
        let mut record = json(&run(&[&args[..], &["--threads", threads]].concat()));
        record["environment"]["threads"].take();
        record
    };
    assert_eq!(record("1"), record("3"));
}

#[test]
fn what_cannot_be_is_refused() {
    for (args, part) in [
        (
            &["--layers", "0,2"][..],
            "--layers 0,2: `2`: expected numbers from 0 to 1, or all",
        ),
        (
            &["--heads", "x"],
            "--heads x: `x`: expected numbers from 0 to",
        ),
        (&["--bits", "5"], "--bits 5: expected 2, 3, 4 or 8"),
        (&["--bits", "16"], "--bits 16: expected 2, 3, 4 or 8"),
        (
            &["--share", "0.6"],
            "--share 0.6: expected above 0 and at most 0.5",
        ),
        (&["--share", "NaN"], "--share NaN"),
        (&["--blocks", "0"], "--blocks 0"),
        (&["--score-tokens", "0"], "windows.score"),
        (&["--strategy", "gear"], "`gear` is simulated"),
        (&["--budget", "0.01"], "`smartkv` stores at least"),
        (&["--prefill-tokens", "4000"], "tokens"),
        (&["--strategy", "smartkw"], "did you mean"),
    ] {
        // The last of two equal flags would be an error of its own.
        let windows: Vec<&str> = WINDOWS
            .chunks(2)
            .filter(|pair| pair[0] != args[0])
            .flatten()
            .copied()
            .collect();
        refused(
            1,
            &[&tiny("attention", &windows)[..], args].concat(),
            &[part],
        );
    }
    refused(
        2,
        &attention(&["--ranked-by", "luck"]),
        &["expected future or past"],
    );
    refused(
        2,
        &attention(&["--no-sensitivity", "--bits", "2"]),
        &["--bits"],
    );
}
