//! Cells that differ in nothing but the seed are one row.

use crate::error::{AnalysisError, Result};
use crate::label::{Label, Labels};
use crate::study::{Cell, Study};

/// What is compared: the cells of one combination of labels, one a seed.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The labels without the seed.
    pub labels: Labels,
    /// The cells, in the plan's order.
    pub cells: Vec<&'a Cell>,
}

impl Row<'_> {
    /// What addresses the records behind it.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.cells.iter().map(|cell| cell.id.clone()).collect()
    }

    /// What was measured, and on which model: only rows of equal setting can be ranked. Neither the
    /// seed is part of it nor what some strategies cannot do, as needles.
    #[must_use]
    pub fn setting(&self) -> String {
        let Some(cell) = self.cells.first() else {
            return String::new();
        };
        let model = &cell.spec.model;
        let prefill = &cell.spec.prefill;
        // A text of the same name may be another.
        let digests = ["/text/sha256", "/haystack/sha256"];
        let digests = digests.map(|place| cell.spec.measure.pointer(place));
        format!(
            "{} {:?} {:?} {prefill} {:?} {digests:?}",
            model.name, model.sha256, model.weights, cell.protocol
        )
    }
}

/// The rows of a study, in the order in which the plan first names them.
#[must_use]
pub fn rows(study: &Study) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let axes = study.plan.compared();
    for cell in &study.cells {
        let labels = cell.labels.without_seed();
        let same = rows.iter_mut().find(|row| row.labels.agree(&labels, &axes));
        match same {
            Some(row) => row.cells.push(cell),
            None => rows.push(Row {
                labels,
                cells: vec![cell],
            }),
        }
    }
    rows
}

/// The row that each row is held against: the one with the labels `wanted` and otherwise its own,
/// or, if only one row of the study has the labels, that one. `None` for the baseline itself and
/// where there is none.
#[must_use]
pub fn baselines(rows: &[Row<'_>], axes: &[String], wanted: &Labels) -> Vec<Option<usize>> {
    let all: Vec<usize> = (0..rows.len())
        .filter(|&place| rows[place].labels.matches(wanted))
        .collect();
    let others: Vec<&String> = axes
        .iter()
        .filter(|axis| !wanted.0.contains_key(*axis))
        .collect();
    let of = |row: &Row<'_>| {
        if row.labels.matches(wanted) {
            return None;
        }
        let agrees = |&&place: &&usize| {
            rows[place]
                .labels
                .agree(&row.labels, others.iter().copied())
        };
        let own = all.iter().find(agrees).copied();
        own.or(if let [only] = all[..] {
            Some(only)
        } else {
            None
        })
    };
    rows.iter().map(of).collect()
}

/// The labels `LABEL=VALUE` of a row, checked against those there are.
///
/// # Errors
/// Text of another form; an axis or a value that no row has. The error lists those they have.
pub fn selector(text: &str, rows: &[Row<'_>], axes: &[String]) -> Result<Labels> {
    let (axis, value) = text.split_once('=').ok_or_else(|| AnalysisError::Unknown {
        what: "form of a baseline",
        name: text.into(),
        known: axes.iter().map(|axis| format!("{axis}=VALUE")).collect(),
    })?;
    if !axes.iter().any(|known| known == axis) {
        return Err(AnalysisError::Unknown {
            what: "label",
            name: axis.into(),
            known: axes.to_vec(),
        });
    }
    let mut known: Vec<&Label> = Vec::new();
    for row in rows {
        let label = row.labels.get(axis);
        if label.is(value) {
            let one = [(axis.to_string(), label.clone())];
            return Ok(Labels(one.into()));
        }
        if !known.contains(&label) {
            known.push(label);
        }
    }
    Err(AnalysisError::Unknown {
        what: "baseline",
        name: text.into(),
        known: known
            .iter()
            .map(|label| format!("{axis}={label}"))
            .collect(),
    })
}
