//! `smartkv sweep status`: what is done, running, failed and missing.

use crate::cli::output;
use crate::experiment::{CELL_SCHEMA, ExperimentError, Grid, Held, Plan, Store};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Debug, Default, Serialize)]
struct State {
    plan: String,
    cells: usize,
    done: usize,
    running: usize,
    failed: usize,
    damaged: usize,
    missing: usize,
    failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    id: String,
    cell: String,
    class: String,
    attempts: u32,
    error: String,
}

pub(super) fn print(
    plans: &[String],
    check: bool,
    store: &Path,
    as_json: bool,
) -> anyhow::Result<()> {
    let store = Store::at(store);
    let plans = match plans {
        [] => {
            let (plans, others) = store.plans()?;
            for error in others {
                let hints = error.hints().join("; ");
                eprintln!("warning: {error}: {hints}");
            }
            plans
        }
        given => given
            .iter()
            .map(|name| named(name, &store))
            .collect::<anyhow::Result<Vec<_>>>()?,
    };
    anyhow::ensure!(
        !plans.is_empty(),
        "the store {} has no plan: `smartkv sweep plan GRID` makes one",
        store.root().display()
    );
    let states = plans
        .iter()
        .map(|plan| state(plan, &store))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let foreign = foreign(&store)?;
    if as_json {
        output::json(&json!({
            "schema": "smartkv.status/1",
            "plans": states,
            "records_of_other_schemas": foreign,
        }))?;
        return complete(&states, check);
    }
    let rows = states.iter().map(|state| {
        let counts = [
            state.cells,
            state.done,
            state.running,
            state.failed,
            state.damaged,
            state.missing,
        ];
        let mut row = vec![state.plan.clone()];
        row.extend(counts.iter().map(ToString::to_string));
        row
    });
    let header = [
        "plan", "cells", "done", "running", "failed", "damaged", "missing",
    ];
    let mut text = output::table(&header, rows.collect());
    for failed in states.iter().flat_map(|state| &state.failures) {
        let _ = writeln!(
            text,
            "failed ({}, {} times): {}\n  {}",
            failed.class, failed.attempts, failed.cell, failed.error
        );
    }
    for (schema, count) in &foreign {
        let _ = writeln!(
            text,
            "{count} records of schema {schema} are kept and not used: this program writes \
             {CELL_SCHEMA}"
        );
    }
    output::text(&text)?;
    complete(&states, check)
}

/// With `check`, an error unless every cell has a record.
fn complete(states: &[State], check: bool) -> anyhow::Result<()> {
    let open = states.iter().find(|state| state.done < state.cells);
    match open.filter(|_| check) {
        None => Ok(()),
        Some(state) => Err(ExperimentError::Incomplete {
            left: state.cells - state.done,
            total: state.cells,
            plan: state.plan.clone(),
        }
        .into()),
    }
}

/// A plan by its name, or by the file of its grid.
fn named(name: &str, store: &Store) -> anyhow::Result<Plan> {
    if store.plan_file(name).is_file() {
        return Ok(store.plan(name)?);
    }
    match Grid::load(name) {
        Ok(grid) => Ok(store.plan(&grid.name)?),
        Err(_) => Ok(store.plan(name)?),
    }
}

fn state(plan: &Plan, store: &Store) -> anyhow::Result<State> {
    let mut state = State {
        plan: plan.name.clone(),
        cells: plan.cells.len(),
        ..State::default()
    };
    for cell in &plan.cells {
        match store.held(&cell.id)? {
            Held::Record(_) => state.done += 1,
            _ if store.is_locked(&cell.id) => state.running += 1,
            Held::Damaged(_) => state.damaged += 1,
            Held::Failure(failure) => {
                state.failed += 1;
                state.failures.push(Failed {
                    id: cell.id.to_string(),
                    cell: cell.name(),
                    class: failure.class.to_string(),
                    attempts: failure.attempts,
                    error: failure.message,
                });
            }
            Held::Nothing => state.missing += 1,
        }
    }
    Ok(state)
}

/// Records that another version wrote, by schema.
fn foreign(store: &Store) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut schemas = BTreeMap::new();
    for (_, schema) in store.schemas()? {
        if schema != CELL_SCHEMA {
            *schemas.entry(schema).or_insert(0) += 1;
        }
    }
    Ok(schemas)
}
