//! A row a combination of labels.

use super::Context;
use crate::error::Result;
use crate::measure::{Better, Metric};
use crate::summary::{Estimate, Summary, summarise};
use crate::table::{Column, Entry, Number, SIMULATED, Style, Table};

/// Axes that name what is compared; rows that differ in them alone are ranked.
const RANKED: [&str; 2] = ["strategy", "variant"];

pub(super) fn table(cx: &Context<'_>) -> Result<Table> {
    let metrics = cx.metrics(|metric| metric.better != Better::Neither)?;
    let mut table = cx.table("", "means");
    table.columns = cx.label_columns();
    table.columns.push(Column::number("seeds", ""));
    table.columns.push(Column::number("units", ""));
    for metric in &metrics {
        table.columns.push(Column {
            better: metric.better,
            ..Column::number(&metric.name, metric.unit)
        });
    }
    for (place, row) in cx.rows.iter().enumerate() {
        let ids = row.ids();
        let mut entries = cx.label_entries(place);
        let mut units = None;
        let mut numbers = Vec::new();
        for metric in &metrics {
            let summary = summarise(row, metric, &cx.options.bootstrap)?;
            if let Summary::Estimate(estimate) = summary {
                units = units.max(estimate.units);
            }
            numbers.push(entry(summary, metric, &ids));
        }
        entries.push(count(row.cells.len(), &ids));
        entries.push(units.map_or_else(Entry::nothing, |units| count(units, &ids)));
        entries.extend(numbers);
        table.rows.push(entries);
    }
    table.mark_best(&groups(cx));
    table.notes = vec![
        "Mean over seeds ± standard deviation over seeds [interval]; seeds: cells averaged; \
         units: windows or samples behind the intervals, counted once however many seeds measured \
         them."
            .into(),
        cx.interval_note(),
        "Shares of right answers have Wilson's interval.".into(),
        "Bold: the best mean among rows that differ in strategy or variant alone, and what is \
         written alike; no test."
            .into(),
    ];
    Ok(table)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) fn count(count: usize, ids: &[String]) -> Entry {
    Entry::Number(Number::new(count as f64, Style::Whole, ids))
}

fn entry(summary: Summary, metric: &Metric, ids: &[String]) -> Entry {
    match summary {
        Summary::Estimate(Estimate {
            mean, sd, interval, ..
        }) => {
            let style = style(metric);
            let number = Number::new(mean, style, ids);
            Entry::Number(number.spread(sd).within(interval))
        }
        Summary::Simulated => Entry::text(SIMULATED),
        Summary::Absent => Entry::nothing(),
    }
}

/// Bytes are whole numbers.
pub(super) fn style(metric: &Metric) -> Style {
    if metric.unit == "bytes" {
        Style::Whole
    } else {
        Style::Plain
    }
}

/// What each row is ranked within: its labels but those that name what is compared.
fn groups(cx: &Context<'_>) -> Vec<String> {
    let of = |row: &crate::group::Row<'_>| {
        let mut labels = row.labels.clone();
        labels.0.retain(|axis, _| !RANKED.contains(&axis.as_str()));
        format!("{labels} {}", row.setting())
    };
    cx.rows.iter().map(of).collect()
}
