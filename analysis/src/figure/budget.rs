//! Live bytes while decoding, against the budget.

use super::data::{Axis, AxisFormat, Width, distinct, finite, length, some};
use super::frame::{Frame, Plan};
use super::legend::{Entry, Sample};
use super::marker::look;
use super::scale::domain;
use super::scene::Stroke;
use super::style;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Height of the data area, in points.
const HEIGHT: f64 = 105.0;
/// Points drawn for each point of width; what is finer cannot be seen.
const DETAIL: f64 = 4.0;

/// Live bytes after each decoded token, one line a strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetTrace {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// The strategies.
    pub series: Vec<Trace>,
    /// The budget as a share of the f16 cache, drawn as a line.
    #[serde(default)]
    pub budget: Option<f64>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The name in the legend.
    pub name: String,
    /// Tokens decoded when the first share was taken.
    #[serde(default)]
    pub start: u64,
    /// Live bytes as a share of the f16 cache, after each token from `start` on.
    pub shares: Vec<f64>,
    /// Tokens decoded when each share was taken; one after another from `start` on where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u64>,
}

impl Trace {
    /// Tokens decoded when a share was taken.
    fn token(&self, index: usize) -> f64 {
        let own = self.tokens.get(index).copied();
        own.unwrap_or(self.start + index as u64) as f64
    }
}

impl BudgetTrace {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.series, "budget", "series")?;
        distinct(
            "series",
            self.series.iter().map(|series| series.name.as_str()),
        )?;
        if self.series.iter().all(|series| series.shares.is_empty()) {
            return Err(FigureError::Empty {
                figure: "budget",
                what: "tokens",
            });
        }
        for series in &self.series {
            if !series.tokens.is_empty() {
                length(series.tokens.len(), series.shares.len(), "share", || {
                    format!("`tokens` of `{}`", series.name)
                })?;
            }
            for (index, share) in series.shares.iter().enumerate() {
                let place = format!(
                    "the share of `{}` at token {}",
                    series.name,
                    series.token(index)
                );
                finite(*share, &place)?;
            }
        }
        self.budget
            .map_or(Ok(()), |budget| finite(budget, "the budget"))
    }
}

impl Draw for BudgetTrace {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let x = Axis::linear("Decoded tokens");
        let y = Axis {
            from: Some(0.0),
            ..Axis::linear("Live bytes (share of f16)").with_format(AxisFormat::Percent)
        };
        let tokens = |trace: &Trace| {
            let places = (0..trace.shares.len()).map(|index| trace.token(index));
            places.collect::<Vec<f64>>()
        };
        let drawn = || self.series.iter().filter(|trace| !trace.shares.is_empty());
        let across = domain(&x, drawn().flat_map(tokens))?;
        let shares = drawn().flat_map(|trace| trace.shares.iter().copied());
        let up = domain(&y, shares.chain(self.budget))?;
        let budget_stroke = Stroke::new(style::INK, 0.8).dashed(&[1.5, 1.5]);
        let mut legend: Vec<Entry> = self
            .series
            .iter()
            .enumerate()
            .map(|(index, trace)| Entry::new(Sample::Line(look(index)), &trace.name))
            .collect();
        if self.budget.is_some() {
            legend.push(Entry::new(Sample::Rule(budget_stroke), "Budget"));
        }
        let mut frame = Frame::new(Plan {
            title: self.title.as_deref(),
            width: self.width,
            height: HEIGHT,
            legend,
            x: (&x, across),
            y: (&y, up),
            full_grid: false,
        });
        for (index, trace) in self.series.iter().enumerate() {
            draw_trace(&mut frame, trace, index);
        }
        if let Some(budget) = self.budget {
            let level = frame.y.position(budget);
            let ends = (frame.area.left, frame.area.right());
            frame
                .scene
                .line((ends.0, level), (ends.1, level), budget_stroke);
        }
        let title = self.title.as_deref().unwrap_or("Live bytes over time");
        Figure::new(frame.scene, title, &self.cells)
    }
}

fn draw_trace(frame: &mut Frame, trace: &Trace, index: usize) {
    let look = look(index);
    let place = |(index, share): (usize, &f64)| {
        (
            frame.x.position(trace.token(index)),
            frame.y.position(*share),
        )
    };
    let places: Vec<(f64, f64)> = trace.shares.iter().enumerate().map(place).collect();
    match places[..] {
        [] => {}
        [only] => look.mark(&mut frame.scene, only),
        _ => {
            let stroke = Stroke::new(look.color, style::DATA_LINE).dashed(look.dash);
            frame.scene.polyline(&thin(&places, 1.0 / DETAIL), stroke);
        }
    }
}

/// Keeps the first, lowest, highest and last of the places that share a step of width, so that
/// every spike stays.
fn thin(places: &[(f64, f64)], step: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let column = |place: &(f64, f64)| (place.0 / step).floor();
    for group in places.chunk_by(|a, b| (column(a) - column(b)).abs() < 0.5) {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let mut chosen: Vec<(f64, f64)> = [
            group.first(),
            group.iter().min_by(by),
            group.iter().max_by(by),
            group.last(),
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect();
        chosen.sort_by(|a, b| a.0.total_cmp(&b.0));
        chosen.dedup();
        kept.extend(chosen);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_spikes() {
        let mut places: Vec<(f64, f64)> =
            (0..100_000).map(|i| (f64::from(i) / 500.0, 50.0)).collect();
        places[41_234].1 = 3.0;
        places[77_777].1 = 90.0;
        let kept = thin(&places, 0.25);
        assert!(kept.len() < 4000, "{}", kept.len());
        assert!(kept.contains(&places[41_234]) && kept.contains(&places[77_777]));
        assert_eq!((kept.first(), kept.last()), (places.first(), places.last()));
    }
}
