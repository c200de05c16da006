//! What each part of a method contributes.

use super::{Context, better, ended, source};
use crate::compare::{Comparison, compare, correct};
use crate::error::Result;
use crate::figure::{Ablation, AblationBar, Axis, AxisFormat, Width};
use crate::figures::{Data, Drawing, words};
use crate::group::{baselines, selector};
use crate::label::Labels;
use crate::measure::{Metric, Scale};

/// Probabilities below which a bar has one, two or three stars.
const STARS: [f64; 3] = [0.05, 0.01, 0.001];

/// A figure for each metric.
pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let baseline = baseline(cx)?;
    let against = baselines(&cx.rows, &cx.axes, &baseline);
    let pairs = against.into_iter().enumerate();
    let pairs: Vec<(usize, usize)> = pairs.filter_map(|(row, own)| Some((row, own?))).collect();
    let metrics = cx.metrics()?;
    let drawn = metrics
        .iter()
        .map(|metric| one(cx, metric, &baseline, &pairs));
    drawn.collect()
}

/// The labels of the baseline: those asked for, else the plan's.
fn baseline(cx: &Context<'_>) -> Result<Labels> {
    if let Some(text) = &cx.options.baseline {
        return selector(text, &cx.rows, &cx.axes);
    }
    let own = cx.study.plan.baseline.clone().ok_or_else(|| {
        cx.lacks(
            "it names no baseline",
            "name what variants are held against with --baseline LABEL=VALUE",
        )
    })?;
    if !cx.rows.iter().any(|row| row.labels.matches(&own)) {
        return Err(cx.lacks(
            &format!("no finished cell has the labels {own} of its baseline"),
            "finish the plan, or name another with --baseline LABEL=VALUE",
        ));
    }
    Ok(own)
}

fn one(
    cx: &Context<'_>,
    metric: &Metric,
    baseline: &Labels,
    pairs: &[(usize, usize)],
) -> Result<Drawing> {
    let (mut found, mut lacking) = (Vec::new(), Vec::new());
    for &(row, against) in pairs {
        match compare(
            &cx.rows[against],
            &cx.rows[row],
            metric,
            &cx.options.bootstrap,
        )? {
            Some(comparison) => found.push((row, against, comparison)),
            None => lacking.push(row),
        }
    }
    if found.is_empty() {
        return Err(cx.lacks(
            &format!(
                "no variant has `{}` to be held against {baseline}",
                metric.name
            ),
            "finish the plan, or name another baseline with --baseline LABEL=VALUE",
        ));
    }
    correct(found.iter_mut().map(|(_, _, comparison)| comparison));
    // A share of the baseline where every bar has one: a change from 0 is no share.
    let relative = found.iter().all(|(_, _, own)| own.relative.is_some());
    let rows: Vec<usize> = found.iter().map(|(row, ..)| *row).collect();
    let mut sources = Vec::new();
    let mut bars = Vec::new();
    for ((row, against, own), name) in found.iter().zip(cx.row_names(&rows)) {
        let effect = match own.relative.filter(|_| relative) {
            Some(change) => ended(change, own.relative_interval),
            None => ended(own.difference, own.interval),
        };
        let what = if relative {
            "relative change of"
        } else {
            "change of"
        };
        let number = format!("{what} {}", metric.name);
        sources.push(source(&[&name], &number, effect, cx.ids([*row, *against])));
        bars.push(AblationBar {
            name,
            effect,
            mark: mark(own),
        });
    }
    let data = Ablation {
        title: None,
        effect: axis(metric, baseline, relative),
        better: better(metric),
        bars,
        width: cx.width(Width::Single),
        cells: cx.ids(found.iter().flat_map(|(row, against, _)| [*row, *against])),
    };
    let mut drawing = cx.drawing(&[], Some(metric), Data::Ablation(data));
    drawing.sources = sources;
    drawing.notes = vec![
        format!(
            "Each bar: a row less {baseline}, on the windows or samples and seeds that both have."
        ),
        cx.interval_note(),
        "Marks: p of McNemar's exact test where all values are 0 or 1, else of the sign-flip test, \
         corrected by Holm over the bars: * below 0.05, ** below 0.01, *** below 0.001, n.s. else."
            .into(),
    ];
    if !lacking.is_empty() {
        let names = cx.listed(&lacking);
        let why = format!(
            "without {}, or nothing in common with {baseline}",
            metric.name
        );
        drawing.left_out.push(format!("{names}: {why}"));
    }
    Ok(drawing)
}

fn axis(metric: &Metric, baseline: &Labels, relative: bool) -> Axis {
    let phrase = words::metric_phrase(metric);
    let from = match baseline.0.iter().next() {
        Some((axis, label)) if baseline.0.len() == 1 => words::label(axis, label),
        _ => baseline.to_string(),
    };
    let label = format!("Change in {phrase} from {from}");
    if relative {
        return Axis::linear(label).with_format(AxisFormat::Percent);
    }
    let unit = match metric.scale {
        Scale::ExpMean => "nats",
        Scale::Mean => metric.unit,
    };
    if unit.is_empty() {
        Axis::linear(label)
    } else {
        Axis::linear(format!("{label} ({unit})"))
    }
}

fn mark(own: &Comparison) -> Option<String> {
    let p = own.tests?.p_holm;
    let stars = STARS.iter().filter(|&&bound| p < bound).count();
    Some(if stars == 0 {
        "n.s.".into()
    } else {
        "*".repeat(stars)
    })
}
