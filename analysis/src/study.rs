//! One plan of a store with the numbers of its cells.

use crate::error::{AnalysisError, Result};
use crate::label::Labels;
use crate::measure::{Measurement, Metric, NeedleScore, measurements, needles};
use crate::store::{CellSpec, Failure, Found, Plan, PlanCell, Store};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A finished cell: its labels in the plan and its numbers.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What distinguishes it in the plan.
    pub labels: Labels,
    /// What addresses its record.
    pub id: String,
    /// What was asked for.
    pub spec: CellSpec,
    /// How it was measured, for people: text and windows, or tasks.
    pub protocol: Vec<String>,
    /// What came out.
    pub measurements: Vec<Measurement>,
    /// What was found of needles, by length and depth.
    pub needles: Vec<NeedleScore>,
}

impl Cell {
    /// One of its numbers by name.
    #[must_use]
    pub fn measurement(&self, metric: &str) -> Option<&Measurement> {
        self.measurements
            .iter()
            .find(|one| one.metric.name == metric)
    }
}

/// A plan and what is there of it.
#[derive(Debug, Clone)]
pub struct Study {
    /// The plan.
    pub plan: Plan,
    /// Its finished cells, in its order.
    pub cells: Vec<Cell>,
    /// Cells that failed, and why.
    pub failed: Vec<(PlanCell, Failure)>,
    /// Cells that nothing is known of.
    pub missing: Vec<PlanCell>,
    /// Records of another version, which are not used.
    pub other: Vec<(PathBuf, String)>,
    /// Files that cannot be read, and why.
    pub corrupt: Vec<(PathBuf, String)>,
}

impl Study {
    /// Reads the cells of `plan`. What cannot be used is kept apart and counted.
    #[must_use]
    pub fn read(store: &Store, plan: Plan) -> Self {
        let mut study = Self {
            cells: Vec::new(),
            failed: Vec::new(),
            missing: Vec::new(),
            other: Vec::new(),
            corrupt: Vec::new(),
            plan,
        };
        for planned in study.plan.cells.clone() {
            study.take(store, planned);
        }
        study
    }

    fn take(&mut self, store: &Store, planned: PlanCell) {
        let layout = store.layout();
        let record = match store.cell(&planned.id) {
            Found::Here(record) => record,
            Found::Other(schema) => return self.other.push((layout.cell(&planned.id), schema)),
            Found::Corrupt(why) => return self.corrupt.push((layout.cell(&planned.id), why)),
            Found::Absent => {
                return match store.failure(&planned.id) {
                    Found::Here(failure) => self.failed.push((planned, failure)),
                    Found::Corrupt(why) => {
                        self.corrupt.push((layout.failure(&planned.id), why));
                    }
                    Found::Other(_) | Found::Absent => self.missing.push(planned),
                };
            }
        };
        let run = match store.run(&planned.id) {
            Found::Here(run) => Some(run),
            Found::Absent => None,
            Found::Other(schema) => {
                self.other.push((layout.run(&planned.id), schema));
                None
            }
            Found::Corrupt(why) => {
                self.corrupt.push((layout.run(&planned.id), why));
                None
            }
        };
        let Some(measurements) = measurements(&record, run.as_ref()) else {
            let schema = record.result.get("schema").map(ToString::to_string);
            let schema = schema.unwrap_or_else(|| "a result without a version".into());
            return self.other.push((layout.cell(&planned.id), schema));
        };
        self.cells.push(Cell {
            labels: planned.labels,
            id: planned.id,
            protocol: protocol(&record.result),
            needles: needles(&record),
            spec: record.cell,
            measurements,
        });
    }

    /// Whether every cell of the plan is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cells.len() == self.plan.cells.len()
    }

    /// What there is and what lacks, in one sentence.
    #[must_use]
    pub fn census(&self) -> String {
        let mut text = format!(
            "{} of {} cells of the plan are there",
            self.cells.len(),
            self.plan.cells.len()
        );
        let unusable =
            self.plan.cells.len() - self.cells.len() - self.failed.len() - self.missing.len();
        for (count, what) in [
            (self.failed.len(), "failed"),
            (self.missing.len(), "not run"),
            (unusable, "unreadable or of another version"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        text
    }

    /// Every number that some cell has, in the order of records.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let mut seen = BTreeSet::new();
        let mut metrics = Vec::new();
        for one in self.cells.iter().flat_map(|cell| &cell.measurements) {
            if seen.insert(&one.metric.name) {
                metrics.push(one.metric.clone());
            }
        }
        metrics
    }

    /// The metric of this name.
    ///
    /// # Errors
    /// No cell has it: the error lists those they have.
    pub fn metric(&self, name: &str) -> Result<Metric> {
        let metrics = self.metrics();
        let found = metrics.iter().find(|metric| metric.name == name);
        found.cloned().ok_or_else(|| AnalysisError::Unknown {
            what: "metric",
            name: name.into(),
            known: metrics.into_iter().map(|metric| metric.name).collect(),
        })
    }
}

/// What the results themselves say of how they were made.
fn protocol(result: &Value) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(protocol) = result.get("protocol") {
        let plain = |field: &str| match protocol.get(field)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let [name, text, windows, prefilled, scored] =
            ["name", "text", "windows", "prefill_tokens", "score_tokens"]
                .map(|field| plain(field).unwrap_or_else(|| "?".into()));
        parts.push(format!("protocol {name}"));
        parts.push(format!(
            "{windows} windows of {text}, {prefilled} tokens prefilled and {scored} scored"
        ));
    }
    // What changes how hard the questions are; what is off is not said.
    let options = result.get("options").and_then(Value::as_object);
    for (name, value) in options.into_iter().flatten() {
        match (name.as_str(), value) {
            ("context_tokens", Value::Number(tokens)) => parts.push(format!("context {tokens}")),
            ("query_aware", Value::Bool(true)) => parts.push("query-aware".into()),
            ("style", Value::String(style)) => parts.push(format!("{style} prompts")),
            _ => {}
        }
    }
    let tasks = result.get("tasks").and_then(Value::as_array);
    for task in tasks.into_iter().flatten() {
        let name = task.get("name").and_then(Value::as_str).unwrap_or("task");
        let samples = task.pointer("/result/overall/n").and_then(Value::as_u64);
        parts.push(format!("{name}, {} samples", samples.unwrap_or(0)));
    }
    parts
}
