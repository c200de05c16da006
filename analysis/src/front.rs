//! Bytes against loss: which rows are on the Pareto front, and what each curve dominates.

use crate::error::Result;
use crate::group::Row;
use crate::label::Labels;
use crate::measure::{Better, Metric};
use crate::pooled::Pooled;
use crate::ranking::incomplete;
use crate::summary::{Summary, summarise};
use smartkv_stats::{Bootstrap, Interval, draw, float, hypervolume, non_dominated, quantile};

/// The axis along which a curve runs: the rows of one curve differ in it alone.
pub const SWEPT: &str = "budget";

/// Rows of one setting, which can be ranked.
#[derive(Debug, Clone)]
pub struct Front {
    /// The rows with both numbers, in their order.
    pub points: Vec<Point>,
    /// The curves through them.
    pub curves: Vec<Curve>,
    /// The corner that areas reach to: bytes, and the metric as it is.
    pub reference: [f64; 2],
    /// Whether areas are taken of the logarithm (base 10) of the metric.
    pub log: bool,
    /// Windows or samples that are drawn for all complete rows at once; absent where they have none
    /// in common, or only one of a part.
    pub units: Option<usize>,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Point {
    /// Its place among the rows.
    pub row: usize,
    /// What it costs in memory.
    pub bytes: f64,
    /// The metric.
    pub metric: f64,
    /// Whether it is measured under all seeds that other rows are. One that is not is a mean over
    /// other windows, and neither on the front nor part of an area.
    pub complete: bool,
    /// Whether no other complete row is at most as large and at least as good, and one of both not
    /// equal.
    pub on_front: bool,
    /// The share of resamples in which it is; absent where they cannot differ.
    pub stability: Option<f64>,
}

/// Rows that differ in their budget only.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Their labels without it.
    pub labels: Labels,
    /// Their places among the rows.
    pub rows: Vec<usize>,
    /// Whether all of them are complete.
    pub complete: bool,
    /// The area that the complete ones dominate within the reference.
    pub area: f64,
    /// Its percentile interval: bytes stay, losses are those of the same drawn units for all.
    pub interval: Option<Interval>,
}

/// The front of each setting, in the order of the rows. Rows without one of the numbers, as
/// simulated ones are without bytes, are on none.
///
/// # Errors
/// Parameters of the bootstrap that do not check.
pub fn fronts(
    rows: &[Row<'_>],
    bytes: &Metric,
    metric: &Metric,
    log: bool,
    how: &Bootstrap,
) -> Result<Vec<Front>> {
    let once = Bootstrap {
        resamples: 1,
        ..*how
    };
    let mut settings: Vec<(String, Vec<Point>)> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let costs = (
            summarise(row, bytes, &once)?,
            summarise(row, metric, &once)?,
        );
        let (Summary::Estimate(held), Summary::Estimate(lost)) = costs else {
            continue;
        };
        let point = Point {
            row: place,
            bytes: held.mean,
            metric: lost.mean,
            complete: true,
            on_front: false,
            stability: None,
        };
        let setting = row.setting();
        match settings.iter_mut().find(|(known, _)| *known == setting) {
            Some((_, points)) => points.push(point),
            None => settings.push((setting, vec![point])),
        }
    }
    let fronts = settings.into_iter().map(|(_, mut points)| {
        let own: Vec<&Row<'_>> = points.iter().map(|point| &rows[point.row]).collect();
        let lacks = incomplete(&own, &[bytes, metric]);
        for (point, lacks) in points.iter_mut().zip(lacks) {
            point.complete = !lacks;
        }
        let log = log && metric.better == Better::Lower;
        front(rows, points, bytes, metric, log, how)
    });
    fronts.collect()
}

fn front(
    rows: &[Row<'_>],
    mut points: Vec<Point>,
    bytes: &Metric,
    metric: &Metric,
    log: bool,
    how: &Bootstrap,
) -> Result<Front> {
    let scale = Scale {
        sign: if metric.better == Better::Higher {
            -1.0
        } else {
            1.0
        },
        log,
    };
    let ranked: Vec<usize> = (0..points.len())
        .filter(|&place| points[place].complete)
        .collect();
    let held: Vec<f64> = ranked.iter().map(|&place| points[place].bytes).collect();
    let lost: Vec<f64> = ranked.iter().map(|&place| points[place].metric).collect();
    let worst = lost
        .iter()
        .map(|lost| lost * scale.sign)
        .fold(f64::NEG_INFINITY, f64::max);
    let most = held.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Beyond f16 nothing is saved.
    let reference = [
        if bytes.name == "ratio" { 1.0 } else { most },
        worst * scale.sign,
    ];
    for (&place, on) in ranked.iter().zip(scale.members(&held, &lost)) {
        points[place].on_front = on;
    }
    let mut curves = curves(rows, &points, &ranked);
    for (curve, places) in &mut curves {
        curve.area = scale.area(&held, &lost, places, reference);
    }
    let own: Vec<&Row<'_>> = ranked
        .iter()
        .map(|&place| &rows[points[place].row])
        .collect();
    let pooled = Pooled::of(&own, metric).filter(Pooled::is_drawable);
    if let Some(pooled) = &pooled {
        let mut members = vec![0_usize; ranked.len()];
        let mut areas: Vec<Vec<f64>> = vec![Vec::new(); curves.len()];
        draw(pooled.strata(), how, |drawn| {
            let lost = pooled.metric(drawn);
            for (count, on) in members.iter_mut().zip(scale.members(&held, &lost)) {
                *count += usize::from(on);
            }
            for (areas, (_, places)) in areas.iter_mut().zip(&curves) {
                areas.push(scale.area(&held, &lost, places, reference));
            }
        })?;
        for (&place, count) in ranked.iter().zip(members) {
            points[place].stability = Some(float(count) / float(how.resamples));
        }
        let tail = (1.0 - how.level) / 2.0;
        for ((curve, _), areas) in curves.iter_mut().zip(areas) {
            let ends = quantile(&areas, tail).zip(quantile(&areas, 1.0 - tail));
            curve.interval = ends.map(|(low, high)| Interval {
                low,
                high,
                level: how.level,
            });
        }
    }
    Ok(Front {
        points,
        curves: curves.into_iter().map(|(curve, _)| curve).collect(),
        reference,
        log,
        units: pooled.map(|pooled| pooled.len()),
    })
}

/// The curves, each with the places of its points among the `ranked`.
fn curves(rows: &[Row<'_>], points: &[Point], ranked: &[usize]) -> Vec<(Curve, Vec<usize>)> {
    let mut curves: Vec<(Curve, Vec<usize>)> = Vec::new();
    for (place, point) in points.iter().enumerate() {
        let mut labels = rows[point.row].labels.clone();
        labels.0.remove(SWEPT);
        let known = curves.iter().position(|(curve, _)| curve.labels == labels);
        let own = known.unwrap_or_else(|| {
            let curve = Curve {
                labels,
                rows: Vec::new(),
                complete: true,
                area: 0.0,
                interval: None,
            };
            curves.push((curve, Vec::new()));
            curves.len() - 1
        });
        let (curve, places) = &mut curves[own];
        curve.rows.push(point.row);
        curve.complete &= point.complete;
        places.extend(ranked.iter().position(|&ranked| ranked == place));
    }
    curves
}

/// How the metric becomes a cost.
struct Scale {
    sign: f64,
    log: bool,
}

impl Scale {
    fn members(&self, held: &[f64], lost: &[f64]) -> Vec<bool> {
        let costs = held
            .iter()
            .zip(lost)
            .map(|(held, lost)| [*held, lost * self.sign]);
        non_dominated(&costs.collect::<Vec<_>>())
    }

    /// A loss of 0 has no logarithm: such a point adds no area.
    fn cost(&self, lost: f64) -> f64 {
        match lost * self.sign {
            cost if !self.log => cost,
            cost if cost > 0.0 => cost.log10(),
            _ => f64::NAN,
        }
    }

    fn area(&self, held: &[f64], lost: &[f64], places: &[usize], reference: [f64; 2]) -> f64 {
        let cost = |&place: &usize| [held[place], self.cost(lost[place])];
        let costs: Vec<[f64; 2]> = places.iter().map(cost).collect();
        hypervolume(&costs, [reference[0], self.cost(reference[1])])
    }
}
