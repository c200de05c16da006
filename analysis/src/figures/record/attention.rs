//! Heat maps of attention, and its entropy.

use super::Context;
use super::read::ATTENTION;
use crate::error::Result;
use crate::figure::{Attention, AttentionPanel, Entropy, Width};
use crate::figures::{Data, Drawing};
use serde::Deserialize;

/// More maps than this take both columns.
const MOST_SINGLE: usize = 8;

#[derive(Deserialize)]
struct Record {
    heads: Vec<Entry>,
    maps: Vec<Map>,
}

/// The entropy of a layer's head.
#[derive(Deserialize)]
struct Entry {
    layer: usize,
    head: usize,
    entropy_nats: f64,
}

#[derive(Deserialize)]
struct Map {
    layer: usize,
    head: Option<usize>,
    block_tokens: u64,
    rows: Vec<Vec<f64>>,
}

fn record(cx: &Context<'_>) -> Result<Record> {
    cx.record.get(ATTENTION)?.ok_or_else(|| {
        cx.lacks(
            "it has no attention",
            "give a record of `smartkv analyze attention`",
        )
    })
}

/// One figure of layers, and one of single heads where there are such.
pub(super) fn maps(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let (of_heads, of_layers): (Vec<Map>, Vec<Map>) = record(cx)?
        .maps
        .into_iter()
        .partition(|map| map.head.is_some());
    let drawings: Vec<Drawing> = [("", of_layers), ("heads", of_heads)]
        .into_iter()
        .filter(|(_, maps)| !maps.is_empty())
        .map(|(part, maps)| of_maps(cx, part, &maps))
        .collect();
    if drawings.is_empty() {
        return Err(cx.lacks(
            "it has no maps",
            "analyze attention with --blocks of 1 or more",
        ));
    }
    Ok(drawings)
}

fn of_maps(cx: &Context<'_>, part: &str, maps: &[Map]) -> Drawing {
    let panel = |map: &Map| {
        let name = match map.head {
            None => format!("Layer {}", map.layer),
            Some(head) => format!("L{} H{head}", map.layer),
        };
        // Rows end where the future begins.
        let blocks = map.rows.iter().map(Vec::len).max().unwrap_or(0);
        let whole = |row: &Vec<f64>| {
            let mut row = row.clone();
            row.resize(blocks, 0.0);
            row
        };
        let values = map.rows.iter().map(whole).collect();
        AttentionPanel { name, values }
    };
    let wide = maps.len() > MOST_SINGLE;
    let data = Attention {
        title: None,
        panels: maps.iter().map(panel).collect(),
        label: "Share of attention".into(),
        block: maps.iter().map(|map| map.block_tokens).max().unwrap_or(1),
        floor: None,
        width: cx.width(if wide { Width::Double } else { Width::Single }),
        cells: cx.cells(),
    };
    let notes = vec![
        "A row is a block of queries and sums to 1; mean over windows, and over heads where a panel \
         names none. White is 0: the future, or nothing at all. L is a layer, H a query head."
            .into(),
    ];
    let mut drawing = cx.drawing(part, Data::Attention(data), notes);
    drawing.sources = vec![cx.source("panels", "/maps")];
    drawing
}

/// Entropy head by head.
pub(super) fn entropy(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let heads = record(cx)?.heads;
    // Every layer has every head, so neither number can be beyond their count.
    if heads
        .iter()
        .any(|one| one.layer.max(one.head) >= heads.len())
    {
        return Err(cx.lacks(
            "a layer or head is beyond those it lists",
            "give a record that `smartkv analyze attention` wrote",
        ));
    }
    let layers = heads.iter().map(|one| one.layer + 1).max().unwrap_or(0);
    let across = heads.iter().map(|one| one.head + 1).max().unwrap_or(0);
    let mut values = vec![vec![None; across]; layers];
    for one in &heads {
        values[one.layer][one.head] = Some(one.entropy_nats);
    }
    let data = Entropy {
        title: None,
        values,
        label: "Entropy (nats)".into(),
        width: cx.width(Width::Single),
        cells: cx.cells(),
    };
    let notes = vec!["Mean entropy of the attention of scored queries.".into()];
    let mut drawing = cx.drawing("", Data::Entropy(data), notes);
    drawing.sources = vec![cx.source("heads", "/heads/*/entropy_nats")];
    Ok(vec![drawing])
}
