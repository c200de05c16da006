//! A plan: the cells of a grid with their labels.

use super::cell::{Cell, CellId, Inputs};
use super::error::ExperimentError;
use super::grid::{Combination, Grid, is_called, written};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smartkv_analysis::store::layout::PLAN_SCHEMA;
use std::collections::BTreeMap;

/// The cells of a grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the record.
    pub schema: String,
    /// Name of the grid.
    pub name: String,
    /// Its file.
    pub grid: String,
    /// What the study asks.
    pub title: Option<String>,
    /// Names of the axes, in the order of the labels; `seed` is the last.
    pub axes: Vec<String>,
    /// Labels of what an ablation compares with.
    pub baseline: Option<Map<String, Value>>,
    /// The cells in the order they are run.
    pub cells: Vec<PlannedCell>,
}

/// One cell of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCell {
    /// Its id.
    pub id: CellId,
    /// What it is called on each axis.
    pub labels: Map<String, Value>,
    /// What is run.
    pub cell: Cell,
}

impl PlannedCell {
    /// Its labels as people read them: `strategy=smartkv budget=0.3 seed=0`.
    #[must_use]
    pub fn name(&self) -> String {
        written(&self.labels)
    }
}

impl Plan {
    /// The plan of a grid's `combinations`.
    ///
    /// # Errors
    /// A combination that cannot be, named by its labels; two that are the same experiment.
    pub fn new(
        grid: &Grid,
        combinations: Vec<Combination>,
        inputs: &mut Inputs<'_>,
    ) -> anyhow::Result<Self> {
        let plan = Self::unchecked(grid, combinations, inputs)?;
        plan.check_baseline(grid)?;
        Ok(plan)
    }

    /// The same for some of the grid's combinations, which need not have its baseline.
    pub(super) fn unchecked(
        grid: &Grid,
        combinations: Vec<Combination>,
        inputs: &mut Inputs<'_>,
    ) -> anyhow::Result<Self> {
        let mut cells = Vec::with_capacity(combinations.len());
        let mut seen: BTreeMap<CellId, String> = BTreeMap::new();
        for Combination {
            labels, file, sets, ..
        } in combinations
        {
            let cell = inputs.cell(&file, &sets).map_err(|error| {
                error.context(format!("{}: cell {}", grid.source, written(&labels)))
            })?;
            let id = cell.id();
            if let Some(first) = seen.insert(id.clone(), written(&labels)) {
                return Err(ExperimentError::Duplicate {
                    grid: grid.source.clone(),
                    first,
                    second: written(&labels),
                    id: id.to_string(),
                }
                .into());
            }
            cells.push(PlannedCell { id, labels, cell });
        }
        // As its cells are labelled: 1 and 1.0 are the same number.
        let baseline = grid.file.baseline.as_ref().map(|wanted| {
            let cell: Option<&PlannedCell> = cells
                .iter()
                .find(|cell: &&PlannedCell| is_called(&cell.labels, wanted));
            let label = |axis: &String| cell.and_then(|cell| cell.labels.get(axis)).cloned();
            let pair = |(axis, value): (&String, &Value)| {
                (axis.clone(), label(axis).unwrap_or_else(|| value.clone()))
            };
            wanted.iter().map(pair).collect()
        });
        Ok(Self {
            schema: PLAN_SCHEMA.to_string(),
            name: grid.name.clone(),
            grid: grid.source.clone(),
            title: grid.file.title.clone(),
            axes: grid.axes()?,
            baseline,
            cells,
        })
    }

    fn check_baseline(&self, grid: &Grid) -> Result<(), ExperimentError> {
        let Some(baseline) = &self.baseline else {
            return Ok(());
        };
        let is = |cell: &PlannedCell| is_called(&cell.labels, baseline);
        if self.cells.iter().any(is) {
            return Ok(());
        }
        Err(ExperimentError::Grid {
            grid: grid.source.clone(),
            part: "baseline".to_string(),
            reason: format!("{}: no cell is called so", written(baseline)),
        })
    }

    /// The cell with this id.
    #[must_use]
    pub fn find(&self, id: &CellId) -> Option<&PlannedCell> {
        self.cells.iter().find(|cell| cell.id == *id)
    }
}
