//! A metric along each axis of numbers.

use super::{Context, LeftOut, drawn, names, source};
use crate::error::Result;
use crate::figure::{AxisScale, Estimate, Sweep, SweepPoint, SweepSeries, Width};
use crate::figures::{Data, Drawing, words};
use crate::front::SWEPT;
use crate::group::Row;
use crate::label::{Label, Labels};
use crate::measure::{Metric, Reading};
use crate::summary::Summary;

/// A row at a number of the axis.
type Point = (usize, f64, Estimate);

/// A figure for each metric and each axis of numbers.
pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let swept: Vec<&String> = cx
        .axes
        .iter()
        .filter(|axis| values(cx, axis).len() > 1)
        .collect();
    if swept.is_empty() {
        return Err(cx.lacks(
            "none of its axes has two numbers",
            "sweep a parameter or a budget in its grid",
        ));
    }
    let mut drawings = Vec::new();
    for metric in cx.metrics()? {
        for axis in &swept {
            drawings.extend(along(cx, axis, &metric)?);
        }
    }
    if drawings.is_empty() {
        return Err(cx.lacks(
            "no row has the metric at a number of an axis",
            "name another --metric",
        ));
    }
    Ok(drawings)
}

/// The numbers of an axis, each once.
fn values(cx: &Context<'_>, axis: &str) -> Vec<f64> {
    let numbers = cx
        .rows
        .iter()
        .filter_map(|row| number(row.labels.get(axis)));
    let mut values: Vec<f64> = numbers.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn number(label: &Label) -> Option<f64> {
    match label {
        Label::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// Whether the bytes of a row are those of f16 in the place of its own.
fn is_simulated(row: &Row<'_>) -> bool {
    let mut ratios = row
        .cells
        .iter()
        .filter_map(|cell| cell.measurement("ratio"));
    ratios.any(|one| one.reading == Reading::Simulated)
}

fn along(cx: &Context<'_>, axis: &String, metric: &Metric) -> Result<Option<Drawing>> {
    let y = words::metric_axis(metric);
    let all = cx.all();
    let (mut left_out, mut points): (_, Vec<Point>) = (LeftOut::default(), Vec::new());
    for (&row, name) in all.iter().zip(cx.row_names(&all)) {
        // A budget is of bytes, which simulated strategies do not have.
        let refused = axis == SWEPT && is_simulated(&cx.rows[row]);
        let at = number(cx.rows[row].labels.get(axis));
        match (at, cx.summary(&cx.rows[row], metric)?) {
            (_, Summary::Simulated) => left_out.simulated.push(name),
            _ if refused => left_out.simulated.push(name),
            (Some(_), Summary::Estimate(own))
                if y.scale != AxisScale::Linear && own.mean <= 0.0 =>
            {
                left_out.zero.push(name);
            }
            (Some(at), Summary::Estimate(own)) => points.push((row, at, drawn(&own))),
            (None, _) => left_out.elsewhere.push(name),
            _ => left_out.absent.push(name),
        }
    }
    if points.is_empty() {
        return Ok(None);
    }
    let mut sources = Vec::new();
    let mut series = Vec::new();
    for (name, own) in lines(cx, axis, &points) {
        let mut on_line = Vec::new();
        for &(row, x, y) in own {
            let ids = cx.rows[row].ids();
            sources.push(source(
                &[&name, &format!("{axis}={x}")],
                &metric.name,
                y,
                ids,
            ));
            on_line.push(SweepPoint { x, y });
        }
        series.push(SweepSeries {
            name,
            points: on_line,
        });
    }
    let swept: Vec<f64> = points.iter().map(|(_, at, _)| *at).collect();
    let data = Sweep {
        title: None,
        x: words::swept_axis(axis, &swept),
        y,
        series,
        width: cx.width(Width::Single),
        cells: cx.ids(points.iter().map(|(row, ..)| *row)),
    };
    // By its last word, unless another axis has the same.
    let word = words::axis_word(axis);
    let same = cx
        .study
        .plan
        .axes
        .iter()
        .filter(|other| words::axis_word(other) == word);
    let part = if same.count() > 1 { axis.clone() } else { word };
    let part = part.replace([' ', '.'], "_");
    let mut drawing = cx.drawing(&[&part], Some(metric), Data::Sweep(data));
    drawing.sources = sources;
    drawing.notes = vec![cx.interval_note()];
    drawing.left_out = left_out.sentences(&metric.name);
    Ok(Some(drawing))
}

/// Points that differ in the axis only, by name.
fn lines<'a>(
    cx: &Context<'_>,
    axis: &String,
    points: &'a [Point],
) -> Vec<(String, Vec<&'a Point>)> {
    let mut lines: Vec<(Labels, Vec<&Point>)> = Vec::new();
    for point in points {
        let mut labels = cx.rows[point.0].labels.clone();
        labels.0.remove(axis);
        match lines.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, own)) => own.push(point),
            None => lines.push((labels, vec![point])),
        }
    }
    let shown: Vec<usize> = points.iter().map(|(row, ..)| *row).collect();
    let mut axes = cx.differing(&shown);
    axes.retain(|own| *own != axis);
    let printed = if axes.is_empty() {
        vec![cx.strategy(shown[0])]
    } else {
        let labels: Vec<&Labels> = lines.iter().map(|(labels, _)| labels).collect();
        names(&labels, &axes)
    };
    let points = lines.into_iter().map(|(_, own)| own);
    printed.into_iter().zip(points).collect()
}
