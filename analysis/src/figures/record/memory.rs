//! Live bytes after each decoded token.

use super::read::MEMORY;
use super::{Context, strategy};
use crate::error::Result;
use crate::figure::{BudgetTrace, Trace, Width};
use crate::figures::{Data, Drawing};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Record {
    strategy: String,
    budget: Value,
    prompt_tokens: u64,
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    tokens: u64,
    phase: String,
    live_bytes: f64,
    f16_bytes: f64,
    budget_bytes: Option<f64>,
}

pub(super) fn budget(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let record: Option<Record> = cx.record.get(MEMORY)?;
    let record = record.ok_or_else(|| {
        cx.lacks(
            "it has no bytes over time",
            "give a record of `smartkv analyze memory`",
        )
    })?;
    let decoded = |point: &&Point| point.phase == "decode" && point.f16_bytes > 0.0;
    let points: Vec<&Point> = record.points.iter().filter(decoded).collect();
    let tokens = points
        .iter()
        .map(|point| point.tokens.saturating_sub(record.prompt_tokens));
    let tokens: Vec<u64> = tokens.collect();
    let shares = points
        .iter()
        .map(|point| point.live_bytes / point.f16_bytes);
    let trace = |name: String, shares: Vec<f64>| Trace {
        name,
        start: 0,
        shares,
        tokens: tokens.clone(),
    };
    let name = strategy(&record.strategy, &record.budget);
    let mut series = vec![trace(name, shares.collect())];
    let budget = record.budget.as_f64();
    let granted = points
        .iter()
        .map(|point| Some(point.budget_bytes? / point.f16_bytes));
    // A budget in bytes is a smaller and smaller share.
    if let Some(granted) = granted
        .collect::<Option<Vec<f64>>>()
        .filter(|_| budget.is_none())
    {
        series.push(trace("Budget".into(), granted));
    }
    let data = BudgetTrace {
        title: None,
        series,
        budget,
        width: cx.width(Width::Single),
        cells: cx.cells(),
    };
    let notes = vec!["Live bytes after a step over K and V of the same tokens in f16.".into()];
    let mut drawing = cx.drawing("", Data::Budget(data), notes);
    drawing.sources = vec![
        cx.source("shares", "/points/*/live_bytes over /points/*/f16_bytes"),
        cx.source("budget", "/budget"),
    ];
    Ok(vec![drawing])
}
