//! Every row against a baseline.

use super::Context;
use super::summary::{count, style};
use crate::compare::{Comparison, compare, correct};
use crate::error::Result;
use crate::measure::{Metric, Scale};
use crate::pairing::unpaired;
use crate::table::{Column, Entry, Number, Style, Table};

/// A comparison, and whose it is.
pub(super) struct Compared {
    pub(super) metric: Metric,
    pub(super) row: usize,
    /// The records of both.
    pub(super) ids: Vec<String>,
    pub(super) comparison: Comparison,
}

/// Comparisons, and what they leave out.
pub(super) struct All {
    pub(super) found: Vec<Compared>,
    /// Which have no difference, for want of common windows or samples.
    pub(super) unpaired: Option<String>,
}

/// All comparisons of the metrics with the rows of these labels, p-values corrected over all.
pub(super) fn all(cx: &Context<'_>, metrics: &[Metric], pairs: &[(usize, usize)]) -> Result<All> {
    let mut found = Vec::new();
    let mut apart = Vec::new();
    for metric in metrics {
        for &(row, against) in pairs {
            let (own, baseline) = (&cx.rows[row], &cx.rows[against]);
            let comparison = compare(baseline, own, metric, &cx.options.bootstrap)?;
            let Some(comparison) = comparison else {
                if unpaired(baseline, own, metric) {
                    apart.push(format!("{} of {}", metric.name, own.labels));
                }
                continue;
            };
            let mut ids = own.ids();
            ids.extend(baseline.ids());
            found.push(Compared {
                metric: metric.clone(),
                row,
                ids,
                comparison,
            });
        }
    }
    correct(found.iter_mut().map(|one| &mut one.comparison));
    let unpaired = (!apart.is_empty()).then(|| {
        format!(
            "No difference, as the row and what it is held against were not measured on the same \
             windows or samples: {}.",
            apart.join("; ")
        )
    });
    Ok(All { found, unpaired })
}

pub(super) fn table(cx: &Context<'_>) -> Result<Table> {
    let metrics = cx.compared_metrics()?;
    let baseline = cx.baseline()?;
    let All { found, unpaired } = all(cx, &metrics, &cx.pairs(&baseline))?;
    if found.is_empty() {
        return Err(cx.lacks(
            &format!("no row can be held against {baseline}: none has a metric, a seed and a window or sample in common with it"),
            "name another baseline with --baseline LABEL=VALUE",
        ));
    }
    let mut table = cx.table("", &format!("against {baseline}"));
    table.columns = vec![Column::text("metric")];
    table.columns.extend(cx.label_columns());
    table.columns.extend(
        [
            "units",
            "baseline",
            "value",
            "difference",
            "change",
            "p (Holm)",
            "p",
            "p sign-flip",
            "p t",
            "p Wilcoxon",
            "p McNemar",
            "d_z",
            "Cliff's δ",
        ]
        .map(|name| Column::number(name, "")),
    );
    for one in &found {
        let mut entries = vec![Entry::text(&one.metric.name)];
        entries.extend(cx.label_entries(one.row));
        entries.extend(numbers(one));
        table.rows.push(entries);
    }
    table.notes = notes(cx, &metrics, "Difference: the row less the baseline");
    table.notes.extend(unpaired);
    table.notes.push(
        "p: McNemar's exact test where all values are 0 or 1, else the sign-flip test; corrected \
         by Holm over all tests of this table. d_z: mean difference in standard deviations of \
         the differences; Cliff's δ ignores the pairing."
            .into(),
    );
    Ok(table)
}

/// What differences and intervals are.
pub(super) fn notes(cx: &Context<'_>, metrics: &[Metric], difference: &str) -> Vec<String> {
    let logarithmic = metrics
        .iter()
        .filter(|metric| metric.scale == Scale::ExpMean);
    let logarithmic: Vec<&str> = logarithmic.map(|metric| metric.name.as_str()).collect();
    let mut notes = vec![format!(
        "{difference}, on the windows or samples and seeds that both have; change: relative to it."
    )];
    if !logarithmic.is_empty() {
        notes.push(format!(
            "Differences of {} are of the mean negative log-likelihood, in nats.",
            logarithmic.join(", ")
        ));
    }
    let signed = metrics.iter().filter(|metric| metric.signed);
    let signed: Vec<&str> = signed.map(|metric| metric.name.as_str()).collect();
    if !signed.is_empty() {
        notes.push(format!(
            "No change relative to what can be negative: {}.",
            signed.join(", ")
        ));
    }
    notes.push(cx.interval_note());
    notes
}

fn numbers(one: &Compared) -> Vec<Entry> {
    let Comparison {
        baseline,
        value,
        difference,
        interval,
        relative,
        relative_interval,
        tests,
        ..
    } = &one.comparison;
    let number = |value: f64, style: Style| Number::new(value, style, &one.ids);
    let maybe = |value: Option<f64>, style: Style| {
        value.map_or_else(Entry::nothing, |value| Entry::Number(number(value, style)))
    };
    let p = |value: Option<f64>| maybe(value, Style::P);
    let change = relative.map_or_else(Entry::nothing, |change| {
        Entry::Number(number(change, Style::Change).within(*relative_interval))
    });
    vec![
        one.comparison
            .units()
            .map_or_else(Entry::nothing, |units| count(units, &one.ids)),
        Entry::Number(number(*baseline, style(&one.metric))),
        Entry::Number(number(*value, style(&one.metric))),
        Entry::Number(number(*difference, Style::Signed).within(*interval)),
        change,
        p(tests.map(|tests| tests.p_holm)),
        p(tests.map(|tests| tests.p)),
        p(tests.map(|tests| tests.sign_flip)),
        p(tests.and_then(|tests| tests.t)),
        p(tests.and_then(|tests| tests.wilcoxon)),
        p(tests.and_then(|tests| tests.mcnemar)),
        maybe(tests.and_then(|tests| tests.d_z), Style::Signed),
        maybe(tests.and_then(|tests| tests.cliffs_delta), Style::Signed),
    ]
}
