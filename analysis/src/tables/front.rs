//! Bytes against loss: the front, and the areas of curves.

use super::Context;
use super::summary::{count, style};
use crate::error::Result;
use crate::front::{Front, Point, SWEPT, fronts};
use crate::measure::{Better, Kind, Metric};
use crate::table::digits::{decimals, fixed};
use crate::table::{Column, Entry, Number, Style, Table};
use smartkv_stats::Bootstrap;

/// For each metric, a table of points and one of areas.
pub(super) fn tables(cx: &Context<'_>) -> Result<Vec<Table>> {
    let bytes = cx.study.metric("ratio").map_err(|_| {
        cx.lacks(
            "no cell has a `ratio` of bytes to f16's",
            "measure strategies that pack what they store",
        )
    })?;
    let mut metrics = cx.compared_metrics()?;
    metrics.retain(|metric| metric.kind != Kind::Memory);
    if metrics.is_empty() {
        return Err(cx.lacks(
            "bytes have no front against bytes",
            "name a --metric of quality or speed",
        ));
    }
    if let Some(metric) = metrics.iter().find(|one| one.better == Better::Neither) {
        return Err(cx.lacks(
            &format!("neither more nor less of `{}` is better", metric.name),
            "name a --metric with a better side",
        ));
    }
    if cx.options.metrics.is_empty() {
        // One is enough unless more are asked for.
        metrics.truncate(1);
    }
    let mut tables = Vec::new();
    for metric in metrics {
        let how = &cx.options.bootstrap;
        let fronts = fronts(&cx.rows, &bytes, &metric, cx.options.log, how)?;
        if fronts.is_empty() {
            return Err(cx.lacks(
                &format!("no row has both `ratio` and `{}`", metric.name),
                "simulated strategies have no bytes; name another --metric",
            ));
        }
        tables.push(points(cx, &bytes, &metric, &fronts));
        tables.push(areas(cx, &metric, &fronts));
    }
    Ok(tables)
}

fn points(cx: &Context<'_>, bytes: &Metric, metric: &Metric, fronts: &[Front]) -> Table {
    let mut table = cx.table(
        &format!("-{}", metric.name),
        &format!("{} against bytes", metric.name),
    );
    table.columns = cx.label_columns();
    table.columns.extend([
        Column::number(&bytes.name, bytes.unit),
        Column {
            better: metric.better,
            ..Column::number(&metric.name, metric.unit)
        },
        Column::text("front"),
        Column::number("on it in", "share of resamples"),
    ]);
    for point in fronts.iter().flat_map(|front| &front.points) {
        let ids = cx.rows[point.row].ids();
        let mut entries = cx.label_entries(point.row);
        entries.push(Entry::Number(Number::new(point.bytes, Style::Plain, &ids)));
        entries.push(Entry::Number(Number::new(
            point.metric,
            style(metric),
            &ids,
        )));
        entries.push(match (point.complete, point.on_front) {
            (false, _) => Entry::nothing(),
            (true, true) => Entry::text("yes"),
            (true, false) => Entry::text("no"),
        });
        entries.push(point.stability.map_or_else(Entry::nothing, |share| {
            Entry::Number(Number::new(share, Style::Plain, &ids))
        }));
        table.rows.push(entries);
    }
    let left_out = cx.rows.len() - table.rows.len();
    let Bootstrap {
        resamples, seed, ..
    } = cx.options.bootstrap;
    table.notes = vec![format!(
        "Front: no other row of the same model and protocol holds at most as many bytes and is at \
         least as good, one of both strictly. {resamples} resamples (seed {seed}) draw the same \
         windows or samples for all rows; bytes stay."
    )];
    let fewer = fronts.iter().flat_map(|front| &front.points);
    let fewer = fewer.filter(|point| !point.complete);
    let fewer: Vec<String> = fewer
        .map(|point| cx.rows[point.row].labels.to_string())
        .collect();
    if !fewer.is_empty() {
        table.notes.push(format!(
            "Incomplete and on no front, as seeds are missing that other rows have: {}.",
            fewer.join("; ")
        ));
    }
    if left_out > 0 {
        table.notes.push(format!(
            "Rows left out, without bytes of their own or without the metric: {left_out}."
        ));
    }
    table
}

fn areas(cx: &Context<'_>, metric: &Metric, fronts: &[Front]) -> Table {
    let mut table = cx.table(
        &format!("-{}-area", metric.name),
        &format!("area that curves dominate, {} against bytes", metric.name),
    );
    let axes: Vec<&String> = cx.axes.iter().filter(|axis| *axis != SWEPT).collect();
    table.columns = axes.iter().map(|axis| Column::text(*axis)).collect();
    table.columns.push(Column::number("points", ""));
    table.columns.push(Column {
        better: Better::Higher,
        ..Column::number("hypervolume", "")
    });
    let mut groups = Vec::new();
    for (place, front) in fronts.iter().enumerate() {
        for curve in &front.curves {
            let ids: Vec<String> = curve
                .rows
                .iter()
                .flat_map(|&row| cx.rows[row].ids())
                .collect();
            let labels = axes.iter().map(|axis| Entry::text(curve.labels.get(axis)));
            let mut entries: Vec<Entry> = labels.collect();
            entries.push(count(curve.rows.len(), &ids));
            let mut area = Number::new(curve.area, Style::Plain, &ids).within(curve.interval);
            area.ranked = curve.complete;
            let ranked = |point: &Point| point.complete && curve.rows.contains(&point.row);
            entries.push(if front.points.iter().any(ranked) {
                Entry::Number(area)
            } else {
                Entry::nothing()
            });
            table.rows.push(entries);
            groups.push(place.to_string());
        }
        if !front.points.iter().any(|point| point.complete) {
            continue;
        }
        let [bytes, loss] = front.reference;
        let plain = |value: f64| fixed(value, decimals(&Number::new(value, Style::Plain, &[])));
        let log = if front.log {
            format!(" of log10 {}; rows where it is 0 add nothing", metric.name)
        } else {
            String::new()
        };
        let units = front.units.map_or_else(
            || "no common windows or samples, or a single one of a part, so no intervals".to_string(),
            |units| format!("{units} common windows or samples drawn for all curves at once, percentile intervals"),
        );
        table.notes.push(format!(
            "Hypervolume: the area between the curve and the reference point ratio {} (f16), {} {} \
             (the worst row){log}; larger is better; {units}.",
            plain(bytes),
            metric.name,
            plain(loss),
        ));
    }
    table.mark_best(&groups);
    let curves = fronts.iter().flat_map(|front| &front.curves);
    if curves.into_iter().any(|curve| !curve.complete) {
        table.notes.push(
            "Rows that lack seeds add no area, and curves with such rows are not ranked.".into(),
        );
    }
    let Bootstrap {
        resamples,
        level,
        seed,
    } = cx.options.bootstrap;
    table.notes.push(format!(
        "Intervals: {}%, {resamples} resamples, seed {seed}; the reference stays.",
        (level * 1e4).round() / 100.0
    ));
    table
}
