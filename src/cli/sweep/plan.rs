//! `smartkv sweep plan`: the cells, and what they will cost.

use crate::cli::output;
use crate::experiment::{Estimate, Held, Plan, Store, estimate};
use serde_json::{Value, json};

pub(super) fn print(plan: &Plan, store: &Store, as_json: bool) -> anyhow::Result<()> {
    let mut states = Vec::with_capacity(plan.cells.len());
    for cell in &plan.cells {
        states.push(match store.held(&cell.id)? {
            Held::Record(_) => "done",
            Held::Failure(_) => "failed",
            Held::Damaged(_) => "damaged",
            Held::Nothing => "missing",
        });
    }
    let missing: Vec<_> = plan
        .cells
        .iter()
        .zip(&states)
        .filter(|(_, state)| **state != "done")
        .map(|(cell, _)| &cell.cell)
        .collect();
    let cost = estimate(&missing, store)?;
    if as_json {
        let cells: Vec<Value> = plan
            .cells
            .iter()
            .zip(&states)
            .map(|(cell, state)| json!({"id": cell.id, "labels": cell.labels, "state": state}))
            .collect();
        return output::json(&json!({
            "schema": "smartkv.planned/1",
            "name": plan.name,
            "grid": plan.grid,
            "title": plan.title,
            "axes": plan.axes,
            "file": store.plan_file(&plan.name),
            "cells": cells,
            "estimate": cost,
        }));
    }
    let axes: Vec<&str> = plan.axes.iter().map(String::as_str).collect();
    let mut header = vec!["id"];
    header.extend(&axes);
    header.push("state");
    let text = |label: Option<&Value>| match label {
        None => "–".to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let rows = plan.cells.iter().zip(&states).map(|(cell, state)| {
        let mut row = vec![cell.id.as_ref()[..12].to_string()];
        row.extend(axes.iter().map(|axis| text(cell.labels.get(*axis))));
        row.push((*state).to_string());
        row
    });
    let table = output::table(&header, rows.collect());
    let title = plan
        .title
        .as_ref()
        .map_or(String::new(), |title| format!("{title}\n"));
    let file = store.plan_file(&plan.name);
    output::text(&format!(
        "{title}{table}{} cells, {} without a record. {}\nPlan: {}\n",
        plan.cells.len(),
        missing.len(),
        describe(&cost),
        file.display()
    ))
}

fn describe(cost: &Estimate) -> String {
    if cost.cells == 0 {
        return "Nothing is left to run.".to_string();
    }
    let Some(seconds) = cost.seconds else {
        return "No earlier record tells how long they take.".to_string();
    };
    let memory = cost.peak_resident_bytes.map_or(String::new(), |bytes| {
        format!(", up to {} of memory each", output::bytes(bytes))
    });
    format!(
        "About {} one after another{memory}, judging by {} earlier records.",
        duration(seconds),
        cost.records
    )
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
