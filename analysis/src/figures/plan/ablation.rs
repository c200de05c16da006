//! What each part of a method contributes.

use super::{Context, better, ended, source};
use crate::compare::{Comparison, compare, correct};
use crate::error::Result;
use crate::figure::{Ablation, AblationBar, Axis, AxisFormat, Estimate, Width};
use crate::figures::{Data, Drawing, words};
use crate::group::{baselines, selector};
use crate::label::Labels;
use crate::measure::{Metric, Scale};

/// Probabilities below which a bar has one, two or three stars.
const STARS: [f64; 3] = [0.05, 0.01, 0.001];

/// A change of more than this factor is drawn as a logarithm: the others would vanish beside it.
const LARGE: f64 = 10.0;

/// A row, what it is held against, and how it compares.
type Found = (usize, usize, Comparison);

/// A figure for each metric, and for each value of the axes that the baseline leaves open.
pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let baseline = baseline(cx)?;
    let against = baselines(&cx.rows, &cx.axes, &baseline);
    let pairs = against.into_iter().enumerate();
    let pairs: Vec<(usize, usize)> = pairs.filter_map(|(row, own)| Some((row, own?))).collect();
    let mut drawings = Vec::new();
    for metric in cx.metrics()? {
        drawings.extend(of_metric(cx, &metric, &baseline, &pairs)?);
    }
    Ok(drawings)
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

fn of_metric(
    cx: &Context<'_>,
    metric: &Metric,
    baseline: &Labels,
    pairs: &[(usize, usize)],
) -> Result<Vec<Drawing>> {
    let (mut found, mut lacking): (Vec<Found>, Vec<usize>) = (Vec::new(), Vec::new());
    let how = &cx.options.bootstrap;
    for &(row, against) in pairs {
        match compare(&cx.rows[against], &cx.rows[row], metric, how)? {
            Some(comparison) => found.push((row, against, comparison)),
            None => lacking.push(row),
        }
    }
    if found.is_empty() {
        let name = &metric.name;
        return Err(cx.lacks(
            &format!("no variant has `{name}` to be held against {baseline}"),
            "finish the plan, or name another baseline with --baseline LABEL=VALUE",
        ));
    }
    correct(found.iter_mut().map(|(_, _, comparison)| comparison));
    let effect = Effect::of(&found);
    let rows: Vec<usize> = found.iter().map(|(row, ..)| *row).collect();
    let fixed = |axis: &&String| !baseline.0.contains_key(*axis);
    let open: Vec<&String> = cx.axes.iter().filter(fixed).collect();
    let facets = cx.facets(&rows, &open).into_iter();
    let drawings = facets.map(|(facet, own)| {
        let own = found.iter().filter(|(row, ..)| own.contains(row));
        let own: Vec<&Found> = own.collect();
        let mut drawing = one(cx, (metric, effect), baseline, &facet, &own);
        if !lacking.is_empty() {
            let names = cx.listed(&lacking);
            let lacks = format!("without {}", metric.name);
            let why = format!("{names}: {lacks}, or nothing in common with {baseline}");
            drawing.left_out.push(why);
        }
        drawing
    });
    Ok(drawings.collect())
}

fn one(
    cx: &Context<'_>,
    (metric, effect): (&Metric, Effect),
    baseline: &Labels,
    facet: &str,
    found: &[&Found],
) -> Drawing {
    let rows: Vec<usize> = found.iter().map(|(row, ..)| *row).collect();
    let number = format!("{} of {}", effect.name(), metric.name);
    let (mut sources, mut bars) = (Vec::new(), Vec::new());
    for ((row, against, own), name) in found.iter().zip(cx.row_names(&rows)) {
        let mark = mark(own);
        let effect = effect.estimate(own);
        sources.push(source(&[&name], &number, effect, cx.ids([*row, *against])));
        bars.push(AblationBar { name, effect, mark });
    }
    let data = Ablation {
        title: (!facet.is_empty()).then(|| words::capital(facet)),
        effect: effect.axis(metric, baseline),
        better: better(metric),
        bars,
        width: cx.width(Width::Single),
        cells: cx.ids(found.iter().flat_map(|(row, against, _)| [*row, *against])),
    };
    let mut drawing = cx.drawing(&[facet], Some(metric), Data::Ablation(data));
    drawing.sources = sources;
    drawing.notes = vec![
        format!(
            "Each bar: a row less {baseline}, on the windows or samples and seeds that both have."
        ),
        cx.interval_note(),
        "Marks: p of McNemar's exact test where all values are 0 or 1, else of the sign-flip test, \
         corrected by Holm over the bars of this metric in all figures of the plan: * below 0.05, \
         ** below 0.01, *** below 0.001, n.s. else."
            .into(),
    ];
    drawing
}

/// What bars show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The change as a share of the baseline.
    Relative,
    /// The logarithm of the row over the baseline.
    Logarithm,
    /// The difference; of a perplexity, that of the mean negative log-likelihood.
    Difference,
}

impl Effect {
    /// One for all bars. A change from 0 is no share, and nothing has no logarithm.
    fn of(found: &[Found]) -> Self {
        let changes = found.iter().map(|(_, _, own)| own.relative);
        let Some(changes) = changes.collect::<Option<Vec<f64>>>() else {
            return Self::Difference;
        };
        let largest = changes.iter().copied().fold(0.0, f64::max);
        let lows = found.iter().filter_map(|(_, _, own)| own.relative_interval);
        let mut lows = lows.map(|ends| ends.low).chain(changes);
        if largest > LARGE && lows.all(|change| change > -1.0) {
            Self::Logarithm
        } else {
            Self::Relative
        }
    }

    fn estimate(self, own: &Comparison) -> Estimate {
        let logarithm = |change: f64| change.ln_1p() / std::f64::consts::LN_10;
        match (self, own.relative) {
            (Self::Relative, Some(change)) => ended(change, own.relative_interval),
            (Self::Logarithm, Some(change)) => {
                let interval = own.relative_interval.map(|ends| ends.map(logarithm));
                ended(logarithm(change), interval)
            }
            _ => ended(own.difference, own.interval),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Relative => "relative change",
            Self::Logarithm => "log10 of the ratio",
            Self::Difference => "change",
        }
    }

    fn axis(self, metric: &Metric, baseline: &Labels) -> Axis {
        let phrase = words::metric_phrase(metric);
        let from = match baseline.0.iter().next() {
            Some((axis, label)) if baseline.0.len() == 1 => words::label(axis, label),
            _ => baseline.to_string(),
        };
        let change = format!("Change in {phrase} from {from}");
        let unit = match metric.scale {
            Scale::ExpMean => "nats",
            Scale::Mean => metric.unit,
        };
        match self {
            Self::Relative => Axis::linear(change).with_format(AxisFormat::Percent),
            Self::Logarithm => Axis::linear(format!("{change} (log10 of ratio)")),
            Self::Difference if unit.is_empty() => Axis::linear(change),
            Self::Difference => Axis::linear(format!("{change} ({unit})")),
        }
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
