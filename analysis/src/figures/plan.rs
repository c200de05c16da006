//! The figures of a plan.

mod ablation;
mod cost;
mod needle;
mod pareto;
mod sweep;

pub(super) use cost::PARTS;

use super::sidecar::Source;
use super::{Data, Drawing, Kind, Options, distinct, file_name, words};
use crate::error::{AnalysisError, Result};
use crate::figure::{self, Width};
use crate::group::{Row, rows};
use crate::label::{Label, Labels};
use crate::measure::{Better, Kind as Sort, Metric};
use crate::study::Study;
use crate::summary::{Summary, summarise};

/// Makes the figures of one kind, one a metric, an axis or a protocol.
///
/// # Errors
/// No finished cell; a metric or baseline that the study does not have; a study without what the
/// kind needs, or a kind that no plan gives.
pub fn of_study(study: &Study, kind: Kind, options: &Options) -> Result<Vec<Drawing>> {
    let cx = Context {
        study,
        options,
        kind,
        rows: rows(study),
        axes: study.plan.compared(),
    };
    if study.cells.is_empty() {
        let hint = "run the grid, or run it again where it failed";
        return Err(cx.lacks(&study.census(), hint));
    }
    let mut drawings = match kind {
        Kind::Pareto => pareto::drawings(&cx)?,
        Kind::Sweep => sweep::drawings(&cx)?,
        Kind::Ablation => ablation::drawings(&cx)?,
        Kind::Needle => needle::drawings(&cx)?,
        Kind::Cost => cost::drawings(&cx)?,
        _ => {
            let hint = format!(
                "give a record that `smartkv analyze` wrote, or one of {}",
                kinds()
            );
            return Err(cx.lacks("it is of records of an analysis", &hint));
        }
    };
    if !study.is_complete() {
        for drawing in &mut drawings {
            drawing
                .left_out
                .push(format!("the plan is incomplete: {}", study.census()));
        }
    }
    Ok(drawings)
}

fn kinds() -> String {
    Kind::OF_PLANS.map(Kind::name).join(", ")
}

/// What every kind of figure is made from.
struct Context<'a> {
    study: &'a Study,
    options: &'a Options,
    kind: Kind,
    rows: Vec<Row<'a>>,
    axes: Vec<String>,
}

/// The metrics that most studies are about, best first; a dot begins the names of tasks.
const USUAL: [&str; 4] = ["kl_mean", "score.", "perplexity", "needle_accuracy"];

impl Context<'_> {
    /// The metrics asked for, or the one of quality that fits best.
    fn metrics(&self) -> Result<Vec<Metric>> {
        if !self.options.metrics.is_empty() {
            let names = self.options.metrics.iter();
            return names.map(|name| self.study.metric(name)).collect();
        }
        let all = self.study.metrics();
        let is = |usual: &str, metric: &Metric| {
            let of_task = usual.ends_with('.') && !metric.name.contains('/');
            metric.name == usual || of_task && metric.name.starts_with(usual)
        };
        let usual = USUAL
            .iter()
            .find_map(|usual| all.iter().find(|metric| is(usual, metric)));
        let worth =
            |metric: &&Metric| metric.kind == Sort::Quality && metric.better != Better::Neither;
        match usual.or_else(|| all.iter().find(worth)) {
            Some(metric) => Ok(vec![metric.clone()]),
            None => Err(self.lacks("no cell has a metric of quality", "name one with --metric")),
        }
    }

    fn lacks(&self, reason: &str, hint: &str) -> AnalysisError {
        AnalysisError::Figure {
            from: format!("plan `{}`", self.study.plan.name),
            what: self.kind.name(),
            reason: reason.into(),
            hint: hint.into(),
        }
    }

    /// The metric of a row, where it has a number.
    fn summary(&self, row: &Row<'_>, metric: &Metric) -> Result<Summary> {
        summarise(row, metric, &self.options.bootstrap)
    }

    /// A figure of this plan. `parts` follow the plan's name and the kind in its own.
    fn drawing(&self, parts: &[&str], metric: Option<&Metric>, data: Data) -> Drawing {
        let mut name = format!("{}-{}", self.study.plan.name, self.kind.name());
        let metric = metric.map(|metric| metric.name.clone());
        let parts = parts.iter().copied().chain(metric.as_deref());
        for part in parts.filter(|part| !part.is_empty()) {
            name.push('-');
            name.push_str(part);
        }
        Drawing {
            name: file_name(&name),
            kind: self.kind,
            metric,
            data,
            sources: Vec::new(),
            notes: Vec::new(),
            left_out: Vec::new(),
        }
    }

    fn width(&self, own: Width) -> Width {
        self.options.width.unwrap_or(own)
    }

    /// The axes on which these rows differ.
    fn differing(&self, rows: &[usize]) -> Vec<&String> {
        let label = |row: usize, axis: &str| self.rows[row].labels.get(axis);
        let differ = |axis: &&String| {
            rows.iter()
                .any(|&row| !label(row, axis).same(label(rows[0], axis)))
        };
        self.axes.iter().filter(differ).collect()
    }

    /// What the rows are called among themselves; among all where they do not differ, and by their
    /// strategy where none does.
    fn row_names(&self, rows: &[usize]) -> Vec<String> {
        let mut axes = self.differing(rows);
        if axes.is_empty() {
            axes = self.differing(&self.all());
        }
        if axes.is_empty() {
            return rows.iter().map(|&row| self.strategy(row)).collect();
        }
        let labels: Vec<&Labels> = rows.iter().map(|&row| &self.rows[row].labels).collect();
        names(&labels, &axes)
    }

    /// The rows by their labels on those of `axes` on which they differ, each with what that is
    /// called; nothing where there is only one.
    fn facets(&self, rows: &[usize], axes: &[&String]) -> Vec<(String, Vec<usize>)> {
        let mut axes = axes.to_vec();
        let differing = self.differing(rows);
        axes.retain(|axis| differing.contains(axis));
        let mut facets: Vec<Vec<usize>> = Vec::new();
        for &row in rows {
            let labels = &self.rows[row].labels;
            let same = |own: &&mut Vec<usize>| {
                let other = &self.rows[own[0]].labels;
                labels.agree(other, axes.iter().copied())
            };
            match facets.iter_mut().find(same) {
                Some(own) => own.push(row),
                None => facets.push(vec![row]),
            }
        }
        let labels = facets.iter().map(|own| &self.rows[own[0]].labels);
        let labels: Vec<&Labels> = labels.collect();
        names(&labels, &axes).into_iter().zip(facets).collect()
    }

    /// What some rows are called among all, in one line.
    fn listed(&self, rows: &[usize]) -> String {
        let names = self.row_names(&self.all());
        let own: Vec<&str> = rows.iter().map(|&row| names[row].as_str()).collect();
        own.join("; ")
    }

    fn all(&self) -> Vec<usize> {
        (0..self.rows.len()).collect()
    }

    /// The strategy of a row as people read it.
    fn strategy(&self, row: usize) -> String {
        let cell = self.rows[row].cells.first();
        cell.map_or_else(String::new, |cell| {
            words::strategy(&cell.spec.strategy.name)
        })
    }

    /// Ids of the cells of these rows.
    fn ids(&self, rows: impl IntoIterator<Item = usize>) -> Vec<String> {
        distinct(rows.into_iter().flat_map(|row| self.rows[row].ids()))
    }

    /// How intervals are made, in one sentence.
    fn interval_note(&self) -> String {
        let how = self.options.bootstrap;
        format!(
            "Values: means over seeds. Intervals: {}% bootstrap ({} resamples, seed {}) over windows \
             or samples, the ends moved to the value where it lies outside.",
            (how.level * 1e4).round() / 100.0,
            how.resamples,
            how.seed
        )
    }
}

/// What labels are called in print, by the axes that tell them apart; as the plan has them
/// where print would not.
fn names(labels: &[&Labels], axes: &[&String]) -> Vec<String> {
    let joined = |word: &dyn Fn(&str, &Label) -> String| {
        let name = |labels: &&Labels| {
            let words = axes.iter().map(|axis| word(axis, labels.get(axis)));
            words.collect::<Vec<_>>().join(", ")
        };
        labels.iter().map(name).collect::<Vec<String>>()
    };
    let printed = joined(&words::label);
    let again = |(place, name): (usize, &String)| printed[..place].contains(name);
    if printed.iter().enumerate().any(again) {
        joined(&|axis, label| format!("{axis}={label}"))
    } else {
        printed
    }
}

/// An estimate as it is drawn. A bias-corrected interval of few windows may leave out its own mean:
/// it then ends there.
fn drawn(estimate: &crate::summary::Estimate) -> figure::Estimate {
    ended(estimate.mean, estimate.interval)
}

fn ended(value: f64, interval: Option<smartkv_stats::Interval>) -> figure::Estimate {
    match interval {
        Some(ends) => figure::Estimate::between(value, ends.low.min(value), ends.high.max(value)),
        None => figure::Estimate::exact(value),
    }
}

fn source(of: &[&str], number: &str, value: figure::Estimate, cells: Vec<String>) -> Source {
    Source {
        of: of.iter().map(ToString::to_string).collect(),
        number: number.into(),
        value: Some(value.value),
        lower: value.lower,
        upper: value.upper,
        cells,
    }
}

/// Which way is good, in the words of figures.
fn better(metric: &Metric) -> figure::Better {
    if metric.better == Better::Higher {
        figure::Better::Higher
    } else {
        figure::Better::Lower
    }
}

/// What is said of rows that have no number.
#[derive(Default)]
struct LeftOut {
    simulated: Vec<String>,
    absent: Vec<String>,
    elsewhere: Vec<String>,
    zero: Vec<String>,
    incomplete: Vec<String>,
}

impl LeftOut {
    fn sentences(self, metric: &str) -> Vec<String> {
        let listed = |names: Vec<String>, why: String| {
            let names = distinct(names);
            (!names.is_empty()).then(|| format!("{}: {why}", names.join("; ")))
        };
        let simulated = "simulated, so without bytes or times of its own".to_string();
        let zero = format!("{metric} is 0, which has no place on a logarithmic axis");
        [
            listed(self.simulated, simulated),
            listed(self.absent, format!("without {metric}")),
            listed(self.elsewhere, "at no number of the axis".into()),
            listed(self.zero, zero),
            listed(self.incomplete, "lacks seeds that other rows have".into()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
