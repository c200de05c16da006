//! Which bits a token gets.

use super::Context;
use super::read::ATTENTION;
use super::strategy;
use crate::error::{AnalysisError, Result};
use crate::figure::{Allocation, AllocationPanel, TokenBits, TokenText, Width};
use crate::figures::{Data, Drawing};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Record {
    tokens: Option<TokenMap>,
    precision: Option<Precision>,
}

#[derive(Deserialize)]
struct TokenMap {
    start: usize,
    received: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Precision {
    strategy: String,
    budget: Value,
    start: usize,
    tokens: Vec<Token>,
    legend: Vec<Place>,
    at: Vec<Moment>,
}

#[derive(Deserialize)]
struct Token {
    text: String,
}

#[derive(Deserialize)]
struct Place {
    symbol: char,
    key_bits: u8,
    value_bits: u8,
}

#[derive(Deserialize)]
struct Moment {
    after: String,
    seen: usize,
    lanes: Vec<Vec<String>>,
    mean_bits: Vec<f64>,
}

impl Moment {
    /// A part of a name, and how a title says it.
    fn when(&self) -> (&str, String) {
        match self.after.as_str() {
            "prefill" => ("prefill", format!("after the prompt, {} tokens", self.seen)),
            other => (other, format!("at the end, {} tokens", self.seen)),
        }
    }
}

fn record(cx: &Context<'_>) -> Result<(Precision, Option<TokenMap>)> {
    let record: Option<Record> = cx.record.get(ATTENTION)?;
    let found = record.and_then(|record| Some((record.precision?, record.tokens)));
    found.ok_or_else(|| {
        cx.lacks(
            "it does not have the bits of tokens",
            "give a record of `smartkv analyze attention --strategy NAME`",
        )
    })
}

/// Bits by token and layer, one figure after the prompt and one at the end.
pub(super) fn allocation(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let (precision, _) = record(cx)?;
    let bits: BTreeMap<char, [u8; 2]> = precision
        .legend
        .iter()
        .map(|place| (place.symbol, [place.key_bits, place.value_bits]))
        .collect();
    let alike = bits.values().all(|[key, value]| key == value);
    let mut drawings = Vec::new();
    for moment in &precision.at {
        let rows = |side: usize| {
            let lanes = moment.lanes.iter().flatten();
            let row = |lane: &String| {
                lane.chars()
                    .map(|symbol| bit(cx, &bits, symbol, side))
                    .collect()
            };
            lanes.map(row).collect::<Result<Vec<Vec<u8>>>>()
        };
        let panel = |name: &str, side: usize| {
            let name = name.to_string();
            rows(side).map(|bits| AllocationPanel { name, bits })
        };
        let panels = if alike {
            vec![panel("Keys and values", 0)?]
        } else {
            vec![panel("Keys", 0)?, panel("Values", 1)?]
        };
        let layers = moment.lanes.iter().zip(0_u32..);
        let layers = layers.flat_map(|(lanes, layer)| vec![layer; lanes.len()]);
        let (part, when) = moment.when();
        let name = strategy(&precision.strategy, &precision.budget);
        let data = Allocation {
            title: Some(format!("{name}, {when}")),
            first_token: 0,
            layers: layers.collect(),
            panels,
            width: cx.width(Width::Double),
            cells: cx.cells(),
        };
        let notes = vec!["Bits of each token's keys and values in each layer and kv head.".into()];
        let mut drawing = cx.drawing(part, Data::Allocation(data), notes);
        drawing.sources = vec![cx.source(part, "/precision/at/*/lanes")];
        drawings.push(drawing);
    }
    Ok(drawings)
}

fn bit(cx: &Context<'_>, bits: &BTreeMap<char, [u8; 2]>, symbol: char, side: usize) -> Result<u8> {
    let own = bits.get(&symbol).map(|both| both[side]);
    own.ok_or_else(|| AnalysisError::Record {
        path: cx.record.path.clone(),
        reason: format!("`precision` has the symbol `{symbol}`, which its legend does not explain"),
    })
}

/// The text with the mean bits of its tokens at the end.
pub(super) fn tokens(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let (precision, map) = record(cx)?;
    let Some(last) = precision.at.last() else {
        return Err(cx.lacks("it looked at no time", "analyze a window with a prompt"));
    };
    let scores = map
        .filter(|map| map.start == precision.start)
        .map_or_else(Vec::new, |map| means(&map.received));
    let tokens = precision.tokens.iter().zip(&last.mean_bits).enumerate();
    let token = |(index, (token, bits)): (usize, (&Token, &f64))| TokenBits {
        text: token.text.clone(),
        bits: *bits,
        score: scores.get(index).copied(),
    };
    let name = strategy(&precision.strategy, &precision.budget);
    let data = TokenText {
        title: Some(format!("{name}, mean bits over layers and heads")),
        tokens: tokens.map(token).collect(),
        width: cx.width(Width::Double),
        cells: cx.cells(),
    };
    let notes = vec![
        "Bits: mean over layers, kv heads, keys and values. Score: mean attention of the scored \
         queries, mean over layers and heads."
            .into(),
    ];
    let mut drawing = cx.drawing("", Data::Tokens(data), notes);
    drawing.sources = vec![
        cx.source("bits", "/precision/at/*/mean_bits"),
        cx.source("scores", "/tokens/received"),
    ];
    Ok(vec![drawing])
}

/// The mean of each column over rows of equal length.
fn means(rows: &[Vec<f64>]) -> Vec<f64> {
    let columns = rows.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |column: usize| {
        let values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        smartkv_stats::mean(&values).unwrap_or(0.0)
    };
    (0..columns).map(mean).collect()
}
