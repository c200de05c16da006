//! Who did best on one rung.

use super::{Search, Standing};
use crate::experiment::cell::CellId;
use crate::experiment::plan::Plan;
use crate::experiment::store::Store;
use anyhow::Context as _;
use smartkv_analysis::Study;
use smartkv_analysis::measure::Better;

/// Combinations of a rung in their order, and the best first.
pub(super) struct Judged {
    pub(super) standings: Vec<Standing>,
    /// Indices, the best first and those without a score last; among equals the first.
    pub(super) order: Vec<usize>,
}

/// Scores the `count` combinations of a plan, whose seeds follow each other.
pub(super) fn judge(
    plan: &Plan,
    store: &Store,
    search: &Search,
    count: usize,
) -> anyhow::Result<Judged> {
    let reader = smartkv_analysis::Store::open(store.root())?;
    let study = Study::read(&reader, reader.plan(&plan.name)?);
    let seeds = plan.cells.len() / count.max(1);
    let mut better = Better::Lower;
    if study
        .cells
        .iter()
        .any(|cell| cell.measurement(&search.metric).is_none())
    {
        // The message lists the metrics there are.
        study.metric(&search.metric)?;
    }
    let mut standings = Vec::with_capacity(count);
    for cells in plan.cells.chunks(seeds.max(1)) {
        let ids: Vec<CellId> = cells.iter().map(|cell| cell.id.clone()).collect();
        let mean = |metric: &str| -> Result<(f64, Better), String> {
            let mut sum = 0.0;
            let mut way = Better::Lower;
            for id in &ids {
                let cell = study.cells.iter().find(|cell| cell.id == id.as_ref());
                let cell = cell.ok_or_else(|| format!("cell {id} has no record"))?;
                let found = cell.measurement(metric);
                let found = found.ok_or_else(|| format!("cell {id} has no `{metric}`"))?;
                way = found.metric.better;
                let number = found.reading.number();
                sum += number.ok_or_else(|| format!("`{metric}` of cell {id} is simulated"))?;
            }
            #[expect(clippy::cast_precision_loss, reason = "a count of seeds")]
            Ok((sum / ids.len() as f64, way))
        };
        let mut why = None;
        let score = match mean(&search.metric) {
            Err(error) => {
                why = Some(error);
                None
            }
            Ok((_, Better::Neither)) => {
                why = Some(format!("`{}` has no better side", search.metric));
                None
            }
            Ok((score, way)) => {
                better = way;
                Some(score)
            }
        };
        for (metric, limit) in &search.at_most {
            let limit = limit.as_f64().unwrap_or(f64::INFINITY);
            match mean(metric) {
                Ok((value, _)) if value <= limit => {}
                Ok((value, _)) => why = Some(format!("`{metric}` = {value}: above {limit}")),
                Err(error) => why = Some(error),
            }
        }
        let first = cells.first().context("a combination without cells")?;
        let mut labels = first.labels.clone();
        labels.shift_remove("seed");
        standings.push(Standing {
            labels,
            score: score.filter(|_| why.is_none()),
            why,
            seeds: ids.len(),
            kept: false,
            cells: ids,
        });
    }
    let mut order: Vec<usize> = (0..standings.len()).collect();
    let key = |index: &usize| match standings[*index].score {
        None => f64::INFINITY,
        Some(score) if better == Better::Higher => -score,
        Some(score) => score,
    };
    order.sort_by(|a, b| key(a).total_cmp(&key(b)));
    Ok(Judged { standings, order })
}
