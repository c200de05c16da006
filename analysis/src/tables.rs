//! The tables of a study: which kinds there are, and what all of them share.

mod ablation;
mod comparison;
mod front;
mod regret;
mod summary;

use crate::error::{AnalysisError, Result};
use crate::group::{Row, baselines, rows, selector};
use crate::label::Labels;
use crate::measure::{Better, Kind as Sort, Metric};
use crate::study::Study;
use crate::table::{Column, Entry, Table};
use smartkv_stats::Bootstrap;

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A row a combination of labels: mean, spread over seeds, interval.
    Summary,
    /// Every row against a baseline, with tests.
    Compare,
    /// What each part of a method contributes.
    Ablation,
    /// What rows lose against the allocation that knows the future.
    Regret,
    /// Bytes against loss: the Pareto front, and what curves dominate.
    Front,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Summary,
        Self::Compare,
        Self::Ablation,
        Self::Regret,
        Self::Front,
    ];

    /// Its name, as `--kind` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Compare => "compare",
            Self::Ablation => "ablation",
            Self::Regret => "regret",
            Self::Front => "front",
        }
    }
}

/// How tables are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Metrics by name; empty for those that fit the kind.
    pub metrics: Vec<String>,
    /// What rows are held against, `LABEL=VALUE`; the plan's own unless given.
    pub baseline: Option<String>,
    /// Whether areas are taken of the logarithm of the loss.
    pub log: bool,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// Makes the tables of one kind; a front has two.
///
/// # Errors
/// No finished cell; a metric, label or baseline that the study does not have; a study without what
/// the kind needs.
pub fn tables(study: &Study, kind: Kind, options: &Options) -> Result<Vec<Table>> {
    let plan = &study.plan;
    if study.cells.is_empty() {
        return Err(AnalysisError::Table {
            plan: plan.name.clone(),
            what: kind.name(),
            reason: study.census(),
            hint: "run the grid, or run it again where it failed".into(),
        });
    }
    let cx = Context {
        study,
        options,
        rows: rows(study),
        axes: plan.compared(),
        kind,
    };
    let mut tables = match kind {
        Kind::Summary => vec![summary::table(&cx)?],
        Kind::Compare => vec![comparison::table(&cx)?],
        Kind::Ablation => vec![ablation::table(&cx)?],
        Kind::Regret => vec![regret::table(&cx)?],
        Kind::Front => front::tables(&cx)?,
    };
    for table in &mut tables {
        table.notes.extend(cx.closing_notes());
    }
    Ok(tables)
}

/// What every kind of table is made from.
struct Context<'a> {
    study: &'a Study,
    options: &'a Options,
    rows: Vec<Row<'a>>,
    axes: Vec<String>,
    kind: Kind,
}

/// Bytes and losses that most tables are about, where they are there.
const USUAL: [&str; 6] = [
    "ratio",
    "kl_mean",
    "perplexity",
    "top1_agreement",
    "needle_accuracy",
    "score.",
];

impl Context<'_> {
    /// The metrics asked for, or the usual ones that `fits`.
    fn metrics(&self, fits: impl Fn(&Metric) -> bool) -> Result<Vec<Metric>> {
        if !self.options.metrics.is_empty() {
            let names = self.options.metrics.iter();
            return names.map(|name| self.study.metric(name)).collect();
        }
        let usual = |metric: &Metric| {
            USUAL.iter().any(|usual| {
                let part_of_a_task = metric.name.contains('/');
                metric.name == *usual
                    || usual.ends_with('.') && metric.name.starts_with(usual) && !part_of_a_task
            })
        };
        let metrics = self.study.metrics();
        let chosen: Vec<Metric> = metrics
            .into_iter()
            .filter(|m| usual(m) && fits(m))
            .collect();
        if chosen.is_empty() {
            return Err(self.lacks("no cell has a metric for it", "name one with --metric"));
        }
        Ok(chosen)
    }

    /// Those that are compared: not what describes, and no bytes unless asked for.
    fn compared_metrics(&self) -> Result<Vec<Metric>> {
        self.metrics(|metric| metric.kind == Sort::Quality && metric.better != Better::Neither)
    }

    fn lacks(&self, reason: &str, hint: &str) -> AnalysisError {
        AnalysisError::Table {
            plan: self.study.plan.name.clone(),
            what: self.kind.name(),
            reason: reason.into(),
            hint: hint.into(),
        }
    }

    /// The labels of the baseline: those asked for, else the plan's.
    fn baseline(&self) -> Result<Labels> {
        if let Some(text) = &self.options.baseline {
            return selector(text, &self.rows, &self.axes);
        }
        let own = self.study.plan.baseline.clone();
        let own = own.ok_or_else(|| {
            self.lacks(
                "it names no baseline",
                "name what rows are held against with --baseline LABEL=VALUE",
            )
        })?;
        if !self.rows.iter().any(|row| row.labels.matches(&own)) {
            return Err(self.lacks(
                &format!("no finished cell has the labels {own} of its baseline"),
                "finish the plan, or name another with --baseline LABEL=VALUE",
            ));
        }
        Ok(own)
    }

    /// Rows with the row that each is held against.
    fn pairs(&self, baseline: &Labels) -> Vec<(usize, usize)> {
        let against = baselines(&self.rows, &self.axes, baseline).into_iter();
        let pairs = against.enumerate();
        pairs.filter_map(|(row, own)| Some((row, own?))).collect()
    }

    fn label_columns(&self) -> Vec<Column> {
        self.axes.iter().map(Column::text).collect()
    }

    fn label_entries(&self, row: usize) -> Vec<Entry> {
        let labels = &self.rows[row].labels;
        self.axes
            .iter()
            .map(|axis| Entry::text(labels.get(axis)))
            .collect()
    }

    fn table(&self, suffix: &str, what: &str) -> Table {
        let plan = &self.study.plan;
        let title = plan.title.as_ref().unwrap_or(&plan.name);
        Table {
            name: format!("{}-{}{suffix}", plan.name, self.kind.name()),
            title: format!("{title}: {what}"),
            columns: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// How intervals are made, in one sentence.
    fn interval_note(&self) -> String {
        let Bootstrap {
            resamples,
            level,
            seed,
        } = self.options.bootstrap;
        format!(
            "Intervals: {}% bootstrap ({resamples} resamples, seed {seed}) over windows and \
             samples, never tokens; bias-corrected and accelerated, percentiles where units are \
             of several parts, none where a part has a single unit.",
            (level * 1e4).round() / 100.0
        )
    }

    /// What simulated means, if a row is.
    fn simulated_note(&self) -> Option<String> {
        use crate::measure::Reading;
        let mut all = self.study.cells.iter().flat_map(|cell| &cell.measurements);
        let simulated = all.any(|one| one.reading == Reading::Simulated);
        simulated.then(|| {
            "simulated: the strategy changes rows as its method would store them and keeps them \
             in f16, so it has no bytes or speed of its own."
                .to_string()
        })
    }

    /// What was measured, and how much of the plan is there.
    fn closing_notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.simulated_note().into_iter().collect();
        let mut protocols: Vec<String> = Vec::new();
        for row in &self.rows {
            let text = protocol(row);
            if !protocols.contains(&text) {
                protocols.push(text);
            }
        }
        notes.push(format!("Measured: {}.", protocols.join("; ")));
        if !self.study.is_complete() {
            notes.push(format!("Incomplete: {}.", self.study.census()));
        }
        notes
    }
}

/// What a row was measured on, for people.
fn protocol(row: &Row<'_>) -> String {
    let Some(cell) = row.cells.first() else {
        return String::new();
    };
    let mut parts = vec![cell.spec.model.name.clone()];
    let measure = &cell.spec.measure;
    if let Some(kind) = measure.get("kind").and_then(serde_json::Value::as_str) {
        parts.push(kind.into());
    }
    if let Some(prefill) = cell.spec.prefill.as_str() {
        parts.push(format!("{prefill} prefill"));
    }
    parts.extend(cell.protocol.iter().cloned());
    parts.join(", ")
}
