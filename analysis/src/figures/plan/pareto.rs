//! Quality against live bytes.

use super::{Context, LeftOut, better, drawn, names, source};
use crate::error::Result;
use crate::figure::{AxisScale, Estimate, Pareto, ParetoPoint, ParetoSeries, Width};
use crate::figures::{Data, Drawing, words};
use crate::front::SWEPT;
use crate::group::Row;
use crate::label::Labels;
use crate::measure::{Kind, Metric};
use crate::ranking::incomplete;
use crate::summary::Summary;

/// Rows whose bytes differ by less than this factor are not told apart by them.
const SAME_BYTES: f64 = 1.05;
/// Axes that name what is compared within one figure.
const WITHIN: [&str; 3] = [SWEPT, "strategy", "variant"];

/// A figure for each metric and each setting: what was measured differently is not compared.
pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let bytes = cx.study.metric("ratio").map_err(|_| {
        cx.lacks(
            "no cell has a `ratio` of bytes to f16's",
            "measure strategies that pack what they store",
        )
    })?;
    let settings = settings(cx);
    let mut drawings = Vec::new();
    for metric in cx.metrics()? {
        if metric.kind == Kind::Memory {
            let reason = format!(
                "`{}` counts bytes, which have no front against bytes",
                metric.name
            );
            return Err(cx.lacks(&reason, "name a --metric of quality or speed"));
        }
        for place in 0..settings.len() {
            drawings.extend(of_setting(cx, &bytes, &metric, &settings, place)?);
        }
    }
    if drawings.is_empty() {
        return Err(cx.lacks(
            "no two rows of one protocol have both numbers and differ in bytes",
            "finish the plan, sweep a budget, or name another --metric",
        ));
    }
    Ok(drawings)
}

/// Rows of one protocol on one model.
fn settings(cx: &Context<'_>) -> Vec<Vec<usize>> {
    let mut settings: Vec<(String, Vec<usize>)> = Vec::new();
    for (place, row) in cx.rows.iter().enumerate() {
        let own = row.setting();
        match settings.iter_mut().find(|(known, _)| *known == own) {
            Some((_, rows)) => rows.push(place),
            None => settings.push((own, vec![place])),
        }
    }
    settings.into_iter().map(|(_, rows)| rows).collect()
}

fn of_setting(
    cx: &Context<'_>,
    bytes: &Metric,
    metric: &Metric,
    settings: &[Vec<usize>],
    place: usize,
) -> Result<Option<Drawing>> {
    let rows = &settings[place];
    let quality = words::metric_axis(metric);
    let (mut left_out, mut points) = (LeftOut::default(), Vec::new());
    // A row that lacks a seed is a mean over other windows: on no front with the others.
    let own: Vec<&Row<'_>> = rows.iter().map(|&row| &cx.rows[row]).collect();
    let lacks = incomplete(&own, &[bytes, metric]);
    for ((&row, name), lacks) in rows.iter().zip(cx.row_names(rows)).zip(lacks) {
        if lacks {
            left_out.incomplete.push(name);
            continue;
        }
        let held = cx.summary(&cx.rows[row], bytes)?;
        let lost = cx.summary(&cx.rows[row], metric)?;
        match (held, lost) {
            (Summary::Simulated, _) | (_, Summary::Simulated) => left_out.simulated.push(name),
            (Summary::Estimate(_), Summary::Estimate(lost))
                if quality.scale != AxisScale::Linear && lost.mean <= 0.0 =>
            {
                left_out.zero.push(name);
            }
            (Summary::Estimate(held), Summary::Estimate(lost)) => {
                // Bytes hardly differ between seeds: their mean is a point.
                points.push((row, Estimate::exact(held.mean), drawn(&lost)));
            }
            _ => left_out.absent.push(name),
        }
    }
    let held = || points.iter().map(|(_, held, _)| held.value);
    let least = held().fold(f64::INFINITY, f64::min);
    if points.len() < 2 || held().fold(0.0, f64::max) < least * SAME_BYTES {
        return Ok(None);
    }
    let shown: Vec<usize> = points.iter().map(|(row, ..)| *row).collect();
    let mut sources = Vec::new();
    let mut series = Vec::new();
    for (name, own) in curves(cx, &shown) {
        let mut on_curve = Vec::new();
        for &(row, cost, quality) in points.iter().filter(|(row, ..)| own.contains(row)) {
            let budget = format!("{SWEPT}={}", cx.rows[row].labels.get(SWEPT));
            let ids = cx.rows[row].ids();
            sources.push(source(&[&name, &budget], &bytes.name, cost, ids.clone()));
            sources.push(source(&[&name, &budget], &metric.name, quality, ids));
            on_curve.push(ParetoPoint { cost, quality });
        }
        series.push(ParetoSeries {
            name,
            points: on_curve,
        });
    }
    let facet = facet(cx, settings, place);
    let data = Pareto {
        title: (!facet.is_empty()).then(|| words::capital(&facet)),
        cost: words::metric_axis(bytes),
        quality,
        better: better(metric),
        series,
        front: true,
        width: cx.width(Width::Single),
        cells: cx.ids(shown),
    };
    let mut drawing = cx.drawing(&[&facet], Some(metric), Data::Pareto(data));
    drawing.sources = sources;
    drawing.notes = vec![
        cx.interval_note(),
        "Front: no other point holds at most as many bytes and is at least as good, one of both \
         strictly."
            .into(),
    ];
    drawing.left_out = left_out.sentences(&metric.name);
    Ok(Some(drawing))
}

/// Rows that differ in their budget only, by name.
fn curves(cx: &Context<'_>, shown: &[usize]) -> Vec<(String, Vec<usize>)> {
    let mut curves: Vec<(Labels, Vec<usize>)> = Vec::new();
    for &row in shown {
        let mut labels = cx.rows[row].labels.clone();
        labels.0.remove(SWEPT);
        match curves.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, rows)) => rows.push(row),
            None => curves.push((labels, vec![row])),
        }
    }
    let mut axes = cx.differing(shown);
    axes.retain(|axis| *axis != SWEPT);
    let printed = if axes.is_empty() {
        vec![cx.strategy(shown[0])]
    } else {
        let labels: Vec<&Labels> = curves.iter().map(|(labels, _)| labels).collect();
        names(&labels, &axes)
    };
    let rows = curves.into_iter().map(|(_, rows)| rows);
    printed.into_iter().zip(rows).collect()
}

/// What tells a setting from the plan's others; nothing where it is the only one.
/// What all rows of a setting have in common and others have not.
fn common(cx: &Context<'_>, settings: &[Vec<usize>], place: usize) -> String {
    if settings.len() == 1 {
        return String::new();
    }
    let all = cx.all();
    let own = cx.differing(&settings[place]);
    let fixed = cx
        .differing(&all)
        .into_iter()
        .filter(|axis| !own.contains(axis) && !WITHIN.contains(&axis.as_str()));
    let label = |axis: &String| words::label(axis, cx.rows[settings[place][0]].labels.get(axis));
    fixed.map(label).collect::<Vec<_>>().join(", ")
}

/// The same, with a number where labels do not tell protocols apart, as those of variants.
fn facet(cx: &Context<'_>, settings: &[Vec<usize>], place: usize) -> String {
    let text = common(cx, settings, place);
    let others = (0..settings.len()).filter(|&other| other != place);
    if settings.len() > 1
        && others
            .clone()
            .any(|other| common(cx, settings, other) == text)
    {
        let number = format!("protocol {}", place + 1);
        return if text.is_empty() {
            number
        } else {
            format!("{text}, {number}")
        };
    }
    text
}
