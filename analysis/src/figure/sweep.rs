//! A metric over a numeric axis, one line a strategy, with bands for intervals.

use super::data::{Axis, Estimate, Width, distinct, some};
use super::frame::{Frame, Plan};
use super::legend::{Entry, Sample};
use super::marker::{Bar, error_bar, look};
use super::scale::{check, domain, domain_of};
use super::scene::{Stroke, closed};
use super::style;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Height of the data area, in points.
const HEIGHT: f64 = 120.0;
/// Opacity of a band.
const BAND: f64 = 0.18;
/// Lines with more points than this are drawn without marks.
const MOST_MARKS: usize = 24;

/// A metric over what was swept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// What was swept.
    pub x: Axis,
    /// The metric.
    pub y: Axis,
    /// The strategies.
    pub series: Vec<SweepSeries>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSeries {
    /// The name in the legend.
    pub name: String,
    /// Its points, joined in the order of `x`.
    pub points: Vec<SweepPoint>,
}

/// One value of the axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The value swept.
    pub x: f64,
    /// The metric there, with its interval.
    pub y: Estimate,
}

impl Sweep {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.series, "sweep", "series")?;
        distinct(
            "series",
            self.series.iter().map(|series| series.name.as_str()),
        )?;
        if self.series.iter().all(|series| series.points.is_empty()) {
            return Err(FigureError::Empty {
                figure: "sweep",
                what: "points",
            });
        }
        for series in &self.series {
            for (index, point) in series.points.iter().enumerate() {
                let place = format!("point {index} of `{}`", series.name);
                check(&self.x, point.x, &format!("the x of {place}"))?;
                point.y.check(&format!("the y of {place}"))?;
                check(&self.y, point.y.value, &format!("the y of {place}"))?;
            }
        }
        Ok(())
    }
}

impl Draw for Sweep {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let points = || self.series.iter().flat_map(|series| &series.points);
        let across = domain(&self.x, points().map(|point| point.x))?;
        let up = domain_of(&self.y, points().map(|point| point.y))?;
        let entry = |(index, series): (usize, &SweepSeries)| {
            let sample = if series.points.len() > MOST_MARKS {
                Sample::Line(look(index))
            } else {
                Sample::LineAndMark(look(index))
            };
            Entry::new(sample, &series.name)
        };
        let mut frame = Frame::new(Plan {
            title: self.title.as_deref(),
            width: self.width,
            height: HEIGHT,
            legend: self.series.iter().enumerate().map(entry).collect(),
            x: (&self.x, across),
            y: (&self.y, up),
            full_grid: false,
        });
        let sorted: Vec<Vec<SweepPoint>> = self.series.iter().map(|s| sorted(&s.points)).collect();
        // All bands below all lines.
        for (index, points) in sorted.iter().enumerate() {
            draw_band(&mut frame, points, index);
        }
        for (index, points) in sorted.iter().enumerate() {
            draw_line(&mut frame, points, index);
        }
        let title = self.title.as_deref().unwrap_or("Sweep");
        Figure::new(frame.scene, title, &self.cells)
    }
}

fn sorted(points: &[SweepPoint]) -> Vec<SweepPoint> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

fn draw_band(frame: &mut Frame, points: &[SweepPoint], index: usize) {
    if points
        .iter()
        .all(|point| point.y.lower.is_none() && point.y.upper.is_none())
    {
        return;
    }
    let place = |x: f64, y: f64| (frame.x.position(x), frame.y.clamped(y));
    let above = points.iter().map(|point| place(point.x, point.y.high()));
    let below = points
        .iter()
        .rev()
        .map(|point| place(point.x, point.y.low()));
    let outline: Vec<(f64, f64)> = above.chain(below).collect();
    if let [only] = points {
        // A single point has an interval, not a band.
        let (bar, x) = (Bar::Upright, frame.x.position(only.x));
        error_bar(
            &mut frame.scene,
            (bar, x),
            &frame.y,
            &only.y,
            look(index).color,
        );
    } else {
        frame.scene.veil(closed(&outline), look(index).color, BAND);
    }
}

fn draw_line(frame: &mut Frame, points: &[SweepPoint], index: usize) {
    let look = look(index);
    let places: Vec<(f64, f64)> = points
        .iter()
        .map(|point| (frame.x.position(point.x), frame.y.position(point.y.value)))
        .collect();
    if places.len() > 1 {
        let stroke = Stroke::new(look.color, style::DATA_LINE).dashed(look.dash);
        frame.scene.polyline(&places, stroke);
    }
    if places.len() <= MOST_MARKS {
        for place in places {
            look.mark(&mut frame.scene, place);
        }
    }
}
