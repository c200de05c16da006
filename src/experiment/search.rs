//! Looking for the best combination of a grid: drawn at random, halved rung by rung on a tuning
//! split, reported on a held-out one.

mod rung;

use super::cell::{Cell, CellId, Inputs, Measure};
use super::error::ExperimentError;
use super::grid::{Combination, Grid};
use super::plan::Plan;
use super::store::Store;
use rung::{Judged, judge};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Version of the record.
const SCHEMA: &str = "smartkv.search/1";

/// How the best combination is looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// What is compared, a metric of `smartkv tables`: means over seeds.
    pub metric: String,
    /// Metrics that may not be exceeded, such as `ratio: 0.3`.
    #[serde(default)]
    pub at_most: Map<String, Value>,
    /// Combinations drawn at random; all of the grid if absent.
    #[serde(default)]
    pub draw: Option<usize>,
    /// Seed of the draw.
    #[serde(default)]
    pub seed: u64,
    /// Successive halving (Jamieson and Talwalkar 2016): all combinations on the first value, the
    /// best of them on the next.
    #[serde(default)]
    pub rungs: Option<Rungs>,
    /// Assignments while combinations are compared.
    #[serde(default)]
    pub tune: Map<String, Value>,
    /// Assignments when the best one is reported: another text, other data.
    pub test: Map<String, Value>,
}

/// How much is spent on each combination before some are given up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rungs {
    /// The field that says how much: `windows.count`, `ask.limit`.
    pub field: String,
    /// Its values, rising.
    pub values: Vec<Value>,
    /// Share of the combinations that go on.
    #[serde(default = "half")]
    pub keep: f64,
}

fn half() -> f64 {
    0.5
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchRecord {
    /// Version of the record.
    pub schema: &'static str,
    /// Name of the grid.
    pub name: String,
    /// Its file.
    pub grid: String,
    /// What was compared.
    pub metric: String,
    /// Rung by rung, the best first.
    pub rungs: Vec<RungRecord>,
    /// Labels of the best combination.
    pub best: Map<String, Value>,
    /// It on the held-out split, then the baseline if the grid names one.
    pub test: Vec<Standing>,
}

/// One rung.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RungRecord {
    /// Name of its plan.
    pub plan: String,
    /// What was spent on each combination.
    pub spent: Option<Value>,
    /// Its combinations, the best first.
    pub standings: Vec<Standing>,
}

/// One combination on one rung.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// What it is called.
    pub labels: Map<String, Value>,
    /// Mean over seeds of what is compared; `null` if a cell failed or a limit was exceeded.
    pub score: Option<f64>,
    /// Why there is no score.
    pub why: Option<String>,
    /// Seeds averaged over.
    pub seeds: usize,
    /// Whether it went on to the next rung, or was reported.
    pub kept: bool,
    /// The cells.
    pub cells: Vec<CellId>,
}

impl Search {
    fn check(&self, grid: &Grid) -> Result<(), ExperimentError> {
        let refuse = |part: &str, reason: String| ExperimentError::Grid {
            grid: grid.source.clone(),
            part: format!("search.{part}"),
            reason,
        };
        if self.draw == Some(0) {
            return Err(refuse("draw", "0: expected at least 1".to_string()));
        }
        if let Some((name, value)) = self.at_most.iter().find(|(_, v)| !v.is_number()) {
            return Err(refuse(
                &format!("at_most.{name}"),
                format!("{value}: expected a number"),
            ));
        }
        if self.test.is_empty() {
            let reason = "expected assignments of a held-out split, such as `text: essays`";
            return Err(refuse("test", reason.to_string()));
        }
        if self.tune == self.test {
            let reason = "the same as `tune`: what is reported must be held out";
            return Err(refuse("test", reason.to_string()));
        }
        let Some(rungs) = &self.rungs else {
            return Ok(());
        };
        let amounts: Option<Vec<f64>> = rungs.values.iter().map(Value::as_f64).collect();
        let rising = amounts.is_some_and(|a| !a.is_empty() && a.windows(2).all(|w| w[0] < w[1]));
        if !rising {
            return Err(refuse(
                "rungs.values",
                "expected rising numbers".to_string(),
            ));
        }
        if !(rungs.keep > 0.0 && rungs.keep < 1.0) {
            return Err(refuse(
                "rungs.keep",
                format!("{}: expected more than 0, less than 1", rungs.keep),
            ));
        }
        Ok(())
    }

    /// What each rung assigns; nothing on the one there is without rungs.
    fn amounts(&self) -> Vec<Map<String, Value>> {
        match &self.rungs {
            None => vec![Map::new()],
            Some(rungs) => {
                let amount = |value: &Value| Map::from_iter([(rungs.field.clone(), value.clone())]);
                rungs.values.iter().map(amount).collect()
            }
        }
    }
}

/// Assignments of several maps, the later ones over those before.
fn assignments(maps: &[&Map<String, Value>]) -> Vec<(String, Value)> {
    let mut all = Map::new();
    for map in maps {
        all.extend(
            map.iter()
                .map(|(path, value)| (path.clone(), value.clone())),
        );
    }
    all.into_iter().collect()
}

/// What is run to begin with: all candidates on the first rung.
///
/// # Errors
/// A search or grid that cannot be.
pub fn first_rung(grid: &Grid, search: &Search, inputs: &mut Inputs<'_>) -> anyhow::Result<Plan> {
    let candidates = prepare(grid, search, inputs)?;
    let amount = search.amounts().into_iter().next().unwrap_or_default();
    rung_plan(grid, search, &candidates, 1, &amount, inputs)
}

/// The candidates of a search in which everything can be planned, to the report at its end.
fn prepare(
    grid: &Grid,
    search: &Search,
    inputs: &mut Inputs<'_>,
) -> anyhow::Result<Vec<Combination>> {
    search.check(grid)?;
    let candidates = match search.draw {
        Some(count) => grid.draw(count, search.seed)?,
        None => grid.unseeded()?,
    };
    let mut tuning = Vec::new();
    for (index, amount) in search.amounts().iter().enumerate() {
        tuning.extend(rung_plan(grid, search, &candidates[..1], index + 1, amount, inputs)?.cells);
    }
    let report = test_plan(grid, search, candidates[..1].to_vec(), inputs)?;
    let seen: BTreeSet<&str> = tuning.iter().flat_map(|cell| reads(&cell.cell)).collect();
    let ids: BTreeSet<&CellId> = tuning.iter().map(|cell| &cell.id).collect();
    for cell in &report.cells {
        if ids.contains(&cell.id) || reads(&cell.cell).iter().any(|digest| seen.contains(digest)) {
            return Err(ExperimentError::Grid {
                grid: grid.source.clone(),
                part: "search.test".to_string(),
                reason: "reads the text or data that combinations are compared on: expected \
                         others, or what is reported is not held out"
                    .to_string(),
            }
            .into());
        }
    }
    Ok(candidates)
}

/// Digests of what a cell is measured on.
fn reads(cell: &Cell) -> Vec<&str> {
    match &cell.measure {
        Measure::Eval(measure) => vec![measure.text.sha256.as_str()],
        Measure::Tasks(measure) => {
            let data = measure.tasks.iter().flat_map(|task| &task.data);
            data.map(|source| source.sha256.as_str()).collect()
        }
    }
}

fn rung_plan(
    grid: &Grid,
    search: &Search,
    candidates: &[Combination],
    rung: usize,
    amount: &Map<String, Value>,
    inputs: &mut Inputs<'_>,
) -> anyhow::Result<Plan> {
    let more = assignments(&[&search.tune, amount]);
    let mut plan = Plan::unchecked(grid, grid.seeded(candidates, &more)?, inputs)?;
    plan.name = format!("{}.rung-{rung}", grid.name);
    Ok(plan)
}

/// Combinations, and the baseline after them, on the held-out split, everything else as on the
/// last rung.
fn test_plan(
    grid: &Grid,
    search: &Search,
    mut chosen: Vec<Combination>,
    inputs: &mut Inputs<'_>,
) -> anyhow::Result<Plan> {
    if let Some(baseline) = &grid.file.baseline {
        let baseline = grid.named(baseline)?;
        if chosen.iter().all(|c| c.labels != baseline.labels) {
            chosen.push(baseline);
        }
    }
    let amount = search.amounts().into_iter().next_back().unwrap_or_default();
    let more = assignments(&[&search.tune, &amount, &search.test]);
    let mut plan = Plan::unchecked(grid, grid.seeded(&chosen, &more)?, inputs)?;
    plan.name = format!("{}.test", grid.name);
    Ok(plan)
}

/// Runs a search: `run` is given plan after plan, to run what is missing of it. The record is
/// kept in the store.
///
/// # Errors
/// A search that cannot be, a rung on which nothing has a score, and whatever `run` refuses.
pub fn search(
    grid: &Grid,
    search: &Search,
    store: &Store,
    inputs: &mut Inputs<'_>,
    run: &mut dyn FnMut(&Plan) -> anyhow::Result<()>,
) -> anyhow::Result<SearchRecord> {
    let mut left = prepare(grid, search, inputs)?;
    let mut rungs = Vec::new();
    let amounts = search.amounts();
    for (index, amount) in amounts.iter().enumerate() {
        let last = index + 1 == amounts.len();
        let plan = rung_plan(grid, search, &left, index + 1, amount, inputs)?;
        run(&plan)?;
        let Judged {
            mut standings,
            order,
        } = judge(&plan, store, search, left.len())?;
        let scored = order
            .iter()
            .filter(|&&index| standings[index].score.is_some())
            .count();
        if scored == 0 {
            return Err(ExperimentError::NoScore {
                plan: plan.name,
                metric: search.metric.clone(),
                why: standings
                    .first()
                    .and_then(|s| s.why.clone())
                    .unwrap_or_default(),
            }
            .into());
        }
        let keep = search.rungs.as_ref().map_or(0.5, |rungs| rungs.keep);
        let keep = if last { 1 } else { share(keep, scored) };
        for &index in order.iter().take(keep) {
            standings[index].kept = true;
        }
        left = order
            .iter()
            .take(keep)
            .map(|&index| left[index].clone())
            .collect();
        rungs.push(RungRecord {
            plan: plan.name,
            spent: amount.values().next().cloned(),
            standings: order
                .into_iter()
                .map(|index| standings[index].clone())
                .collect(),
        });
    }
    let best = left
        .first()
        .map(|best| best.labels.clone())
        .unwrap_or_default();
    let plan = test_plan(grid, search, left, inputs)?;
    run(&plan)?;
    let mut test = judge(&plan, store, search, plan.cells.len() / grid.seeds()?.len())?.standings;
    if let Some(best) = test.first_mut() {
        best.kept = true;
    }
    let record = SearchRecord {
        schema: SCHEMA,
        name: grid.name.clone(),
        grid: grid.source.clone(),
        metric: search.metric.clone(),
        rungs,
        best,
        test,
    };
    store.keep_search(&grid.name, &record)?;
    Ok(record)
}

/// A share of `count`, at least one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a small count"
)]
fn share(share: f64, count: usize) -> usize {
    ((count as f64 * share).ceil() as usize).clamp(1, count)
}
