//! Whether rounding hurts more where attention is.

use super::Context;
use super::read::ATTENTION;
use crate::error::Result;
use crate::figure::{Axis, AxisFormat, Estimate, Sweep, SweepPoint, SweepSeries, Width};
use crate::figures::{Data, Drawing};
use serde::Deserialize;

#[derive(Deserialize)]
struct Record {
    sensitivity: Option<Sensitivity>,
}

#[derive(Deserialize)]
struct Sensitivity {
    groups: Vec<Group>,
    lone: Vec<Lone>,
}

#[derive(Deserialize)]
struct Group {
    bits: u8,
    ranked_by: String,
    rounded: String,
    kl: Kl,
}

#[derive(PartialEq, Deserialize)]
struct Kl {
    mean: f64,
    interval: Option<smartkv_stats::Interval>,
}

#[derive(Deserialize)]
struct Lone {
    format: String,
    damage_by_tenth: Vec<f64>,
}

/// Divergence by bits, and the damage of single tokens by tenths of attention.
pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let record: Option<Record> = cx.record.get(ATTENTION)?;
    let found = record
        .and_then(|record| record.sensitivity)
        .ok_or_else(|| {
            cx.lacks(
                "it did not round tokens",
                "give a record of `smartkv analyze attention` without --no-sensitivity",
            )
        })?;
    let mut drawings = Vec::new();
    drawings.extend(groups(cx, &found.groups));
    drawings.extend(damage(cx, &found.lone));
    if drawings.is_empty() {
        return Err(cx.lacks("it rounded nothing that shows", "round to fewer bits"));
    }
    Ok(drawings)
}

fn groups(cx: &Context<'_>, groups: &[Group]) -> Option<Drawing> {
    let mut series: Vec<SweepSeries> = Vec::new();
    let mut zero = Vec::new();
    for group in groups {
        let value = group.kl.mean;
        let order = &group.rounded;
        let ranked = format!("{order} by {} attention", group.ranked_by);
        // What is drawn by lot is the same whatever the others are ranked by.
        let by_lot = order == "random" && alike(groups, group);
        let name = if by_lot { order.clone() } else { ranked };
        if value <= 0.0 {
            zero.push(format!("{name} at {} bits: no divergence", group.bits));
            continue;
        }
        let y = match group.kl.interval {
            Some(ends) => Estimate::between(value, ends.low.min(value), ends.high.max(value)),
            None => Estimate::exact(value),
        };
        let point = SweepPoint {
            x: f64::from(group.bits),
            y,
        };
        match series.iter_mut().find(|own| own.name == name) {
            Some(own) if own.points.contains(&point) => {}
            Some(own) => own.points.push(point),
            None => series.push(SweepSeries {
                name,
                points: vec![point],
            }),
        }
    }
    if series.is_empty() {
        return None;
    }
    let data = Sweep {
        title: None,
        x: Axis::linear("Bits of the rounded tokens").with_format(AxisFormat::Whole),
        y: Axis::log("Mean KL divergence (nats)"),
        series,
        width: cx.width(Width::Single),
        cells: cx.cells(),
    };
    let notes = vec![
        "A share of each prompt's tokens rounded, all others in f16; intervals over windows."
            .into(),
    ];
    let mut drawing = cx.drawing("", Data::Sweep(data), notes);
    drawing.sources = vec![cx.source("points", "/sensitivity/groups/*/kl")];
    drawing.left_out = zero;
    Some(drawing)
}

/// Whether all rankings agree on this group.
fn alike(groups: &[Group], own: &Group) -> bool {
    let same = |other: &&Group| (other.bits, &other.rounded) == (own.bits, &own.rounded);
    let mut others = groups.iter().filter(same);
    others.all(|other| other.kl == own.kl)
}

fn damage(cx: &Context<'_>, lone: &[Lone]) -> Option<Drawing> {
    let series = lone
        .iter()
        .filter(|one| !one.damage_by_tenth.is_empty())
        .map(|one| {
            let tenths = one.damage_by_tenth.iter().zip(1_u32..);
            let point = |(share, tenth): (&f64, u32)| SweepPoint {
                x: f64::from(tenth),
                y: Estimate::exact(*share),
            };
            SweepSeries {
                name: one.format.clone(),
                points: tenths.map(point).collect(),
            }
        });
    let series: Vec<SweepSeries> = series.collect();
    if series.is_empty() {
        return None;
    }
    let data = Sweep {
        title: None,
        x: Axis::linear("Tenth of tokens by rising attention").with_format(AxisFormat::Whole),
        y: Axis::linear("Share of the damage").with_format(AxisFormat::Percent),
        series,
        width: cx.width(Width::Single),
        cells: cx.cells(),
    };
    let notes = vec![
        "Squared error of a layer's output when one token is rounded, summed within tenths of the \
         tokens of a layer and head; mean over layers, heads and windows."
            .into(),
    ];
    let mut drawing = cx.drawing("damage", Data::Sweep(data), notes);
    drawing.sources = vec![cx.source("points", "/sensitivity/lone/*/damage_by_tenth")];
    Some(drawing)
}
