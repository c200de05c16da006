//! `smartkv cell`: one cell of a plan, idempotently.

use super::bar::Bar;
use super::output;
use super::track::{self, TrackArgs};
use crate::assets::Policy;
use crate::experiment::{
    CellId, CellOutcome, ExperimentError, HandedCell, Held, PlannedCell, Store, one_cell,
};
use crate::track::Run;
use anyhow::Context as _;
use serde_json::json;
use std::path::PathBuf;

/// Run one cell of a plan, unless its record is there: the command that every launcher runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv cell --plan budget --index 3               the fourth cell of a plan
  smartkv cell 1f0c2d... --store results             by its id
  smartkv cell --plan budget --list | parallel smartkv cell --plan budget

A cell that is done costs nothing: the command may be repeated. Exit codes: 0 done, 1 failed (and
recorded), 74 the store cannot be written, 75 another process is at it.")]
pub(super) struct CellArgs {
    /// The cell's id; the plan that names it is looked for unless given. `-` reads a cell from
    /// standard input, as `smartkv sweep run` hands it over.
    #[arg(value_name = "ID", conflicts_with = "index", required_unless_present_any = ["index", "list"])]
    id: Option<String>,
    /// The plan, made by `smartkv sweep plan`.
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// The cell's place in the plan, from 0; for job arrays.
    #[arg(long, value_name = "N", requires = "plan")]
    index: Option<usize>,
    /// Print the ids of the plan's cells that have no record, one a line.
    #[arg(long, requires = "plan", conflicts_with_all = ["id", "index"])]
    list: bool,
    /// Folder of records.
    #[arg(
        long,
        value_name = "DIR",
        env = "SMARTKV_STORE",
        default_value = "results"
    )]
    store: PathBuf,
    #[command(flatten)]
    track: TrackArgs,
}

pub(super) fn run(args: &CellArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    if args.list {
        return list(args, as_json);
    }
    let HandedCell {
        plan,
        cell,
        failures,
    } = find(args, &Store::at(&args.store))?;
    let store = Store::open(&args.store)?;
    // What is there already was tracked when it was made.
    let tracked = match store.held(&cell.id)? {
        Held::Record(_) => Run::off(),
        _ => args.track.start(|| track::describe_cell(&cell, &plan)),
    };
    let bar = Bar::default();
    let outcome = one_cell(&cell.cell, failures, &store, policy, &bar);
    bar.finish();
    if let Held::Record(record) = store.held(&cell.id)? {
        tracked.report(&record.result);
    }
    let failed = !matches!(outcome, Ok(CellOutcome::Done | CellOutcome::Cached));
    tracked.finish(i32::from(failed));
    let outcome = outcome?;
    let (what, error) = match &outcome {
        CellOutcome::Done => ("done", None),
        CellOutcome::Cached => ("cached", None),
        CellOutcome::Failed(class, error) => ("failed", Some((class, error))),
    };
    if as_json {
        output::json(&json!({
            "schema": "smartkv.outcome/1",
            "id": cell.id,
            "outcome": what,
            "class": error.map(|(class, _)| class),
            "error": error.map(|(_, error)| error),
        }))?;
    } else if error.is_none() {
        output::text(&format!("{} {what}\n", cell.id))?;
    }
    match error {
        Some((class, error)) => anyhow::bail!("cell {} ({class}): {error}", cell.name()),
        None => Ok(()),
    }
}

fn list(args: &CellArgs, as_json: bool) -> anyhow::Result<()> {
    let store = Store::at(&args.store);
    let plan = store.plan(args.plan.as_deref().unwrap_or_default())?;
    let mut missing = Vec::new();
    for cell in plan.cells {
        if !matches!(store.held(&cell.id)?, Held::Record(_)) {
            missing.push(cell.id.to_string());
        }
    }
    if as_json {
        return output::json(&json!({ "schema": "smartkv.missing/1", "missing": missing }));
    }
    if missing.is_empty() {
        return Ok(());
    }
    output::text(&format!("{}\n", missing.join("\n")))
}

/// A cell that is run whatever failed before.
fn anew(cell: PlannedCell, plan: &str) -> HandedCell {
    HandedCell {
        plan: plan.to_string(),
        cell,
        failures: None,
    }
}

/// The cell, and what is known of it.
fn find(args: &CellArgs, store: &Store) -> anyhow::Result<HandedCell> {
    let missing = |what, name: &str, hint: String| ExperimentError::Missing {
        what,
        name: name.to_string(),
        store: args.store.clone(),
        hint,
    };
    if let (Some(name), Some(index)) = (&args.plan, args.index) {
        let plan = store.plan(name)?;
        let count = plan.cells.len();
        let cell = plan.cells.into_iter().nth(index);
        let cell = cell.ok_or_else(|| {
            let hint = format!("the plan `{name}` has {count} cells, counted from 0");
            missing("cell", &index.to_string(), hint)
        })?;
        return Ok(anew(cell, name));
    }
    let text = args.id.as_deref().unwrap_or_default();
    if text == "-" {
        let handed: HandedCell = serde_json::from_reader(std::io::stdin().lock())
            .context("standard input: expected a cell of a plan, as JSON")?;
        return Ok(handed);
    }
    let id = CellId::parse(text);
    let id = id
        .ok_or_else(|| anyhow::anyhow!("`{text}` is no cell id: expected 32 hexadecimal digits"))?;
    let plans = match &args.plan {
        Some(name) => vec![store.plan(name)?],
        None => store.plans()?.0,
    };
    for plan in &plans {
        if let Some(cell) = plan.find(&id) {
            return Ok(anew(cell.clone(), &plan.name));
        }
    }
    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    let hint = format!("plans there: {}", names.join(", "));
    Err(missing("cell", text, hint).into())
}
