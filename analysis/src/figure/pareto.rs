//! Quality against memory, and what no other strategy beats.

use super::data::{Axis, Better, Estimate, Width, distinct, some};
use super::frame::{Frame, Plan};
use super::legend::{Entry, Sample};
use super::marker::{Bar, error_bar, look};
use super::scale::{check, domain_of};
use super::scene::Stroke;
use super::style;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};
use smartkv_stats::non_dominated;

/// Height of the data area, in points.
const HEIGHT: f64 = 135.0;

/// Quality against cost, one series a strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pareto {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// The cost, of which less is better: live bytes as a share of f16.
    pub cost: Axis,
    /// The quality: mean divergence on a logarithmic axis, say.
    pub quality: Axis,
    /// Which end of the quality is good.
    #[serde(default)]
    pub better: Better,
    /// The strategies.
    pub series: Vec<ParetoSeries>,
    /// Whether the front over all points is drawn.
    pub front: bool,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One strategy at several budgets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParetoSeries {
    /// The name in the legend.
    pub name: String,
    /// Its points, joined in the order of cost.
    pub points: Vec<ParetoPoint>,
}

/// One strategy at one budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParetoPoint {
    /// Its cost.
    pub cost: Estimate,
    /// Its quality. On a logarithmic axis an interval that comes close to zero leaves the frame.
    pub quality: Estimate,
}

impl Pareto {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.series, "Pareto", "series")?;
        distinct(
            "series",
            self.series.iter().map(|series| series.name.as_str()),
        )?;
        if self.series.iter().all(|series| series.points.is_empty()) {
            return Err(FigureError::Empty {
                figure: "Pareto",
                what: "points",
            });
        }
        for series in &self.series {
            for (index, point) in series.points.iter().enumerate() {
                for (axis, estimate, what) in [
                    (&self.cost, point.cost, "cost"),
                    (&self.quality, point.quality, "quality"),
                ] {
                    let place = format!("the {what} of point {index} of `{}`", series.name);
                    estimate.check(&place)?;
                    check(axis, estimate.value, &place)?;
                }
            }
        }
        Ok(())
    }

    fn points(&self) -> impl Iterator<Item = &ParetoPoint> {
        self.series.iter().flat_map(|series| &series.points)
    }

    /// The points of the front, by rising cost.
    fn front_points(&self) -> Vec<(f64, f64)> {
        let points: Vec<(f64, f64)> = self
            .points()
            .map(|point| (point.cost.value, point.quality.value))
            .collect();
        let sign = if self.better == Better::Lower {
            1.0
        } else {
            -1.0
        };
        let costs: Vec<[f64; 2]> = points.iter().map(|&(c, q)| [c, q * sign]).collect();
        let on_front = points.iter().zip(non_dominated(&costs));
        let mut front: Vec<(f64, f64)> = on_front
            .filter_map(|(point, on)| on.then_some(*point))
            .collect();
        front.sort_by(|a, b| a.0.total_cmp(&b.0));
        front
    }
}

impl Draw for Pareto {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let costs = self.points().map(|point| point.cost);
        let qualities = self.points().map(|point| point.quality);
        let front_stroke = Stroke::new(style::INK, 1.0);
        let mut legend: Vec<Entry> = self
            .series
            .iter()
            .enumerate()
            .map(|(index, series)| Entry::new(Sample::LineAndMark(look(index)), &series.name))
            .collect();
        if self.front {
            legend.push(Entry::new(Sample::Rule(front_stroke), "Pareto front"));
        }
        let mut frame = Frame::new(Plan {
            title: self.title.as_deref(),
            width: self.width,
            height: HEIGHT,
            legend,
            x: (&self.cost, domain_of(&self.cost, costs)?),
            y: (&self.quality, domain_of(&self.quality, qualities)?),
            full_grid: true,
        });
        if self.front {
            let steps = steps(&self.front_points(), &frame);
            frame.scene.polyline(&steps, front_stroke);
        }
        for (index, series) in self.series.iter().enumerate() {
            draw_series(&mut frame, series, index);
        }
        let title = self.title.as_deref().unwrap_or("Pareto front");
        Figure::new(frame.scene, title, &self.cells)
    }
}

/// The front as steps: from each point on, its quality holds until the next one's cost.
fn steps(front: &[(f64, f64)], frame: &Frame) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for &(cost, quality) in front {
        let (x, y) = (frame.x.position(cost), frame.y.position(quality));
        if let Some(&(_, before)) = steps.last() {
            steps.push((x, before));
        }
        steps.push((x, y));
    }
    if let Some(&(_, last)) = steps.last() {
        steps.push((frame.area.right(), last));
    }
    steps
}

fn draw_series(frame: &mut Frame, series: &ParetoSeries, index: usize) {
    let look = look(index);
    let mut points = series.points.clone();
    points.sort_by(|a, b| a.cost.value.total_cmp(&b.cost.value));
    let place = |point: &ParetoPoint| {
        (
            frame.x.position(point.cost.value),
            frame.y.position(point.quality.value),
        )
    };
    let places: Vec<(f64, f64)> = points.iter().map(place).collect();
    let stroke = Stroke::new(look.color, 0.6).dashed(look.dash);
    if places.len() > 1 {
        frame.scene.polyline(&places, stroke);
    }
    for (point, &(x, y)) in points.iter().zip(&places) {
        let scene = &mut frame.scene;
        error_bar(
            scene,
            (Bar::Upright, x),
            &frame.y,
            &point.quality,
            look.color,
        );
        error_bar(scene, (Bar::Level, y), &frame.x, &point.cost, look.color);
    }
    for place in places {
        look.mark(&mut frame.scene, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(cost: f64, quality: f64) -> ParetoPoint {
        ParetoPoint {
            cost: Estimate::exact(cost),
            quality: Estimate::exact(quality),
        }
    }

    fn two(better: Better) -> Pareto {
        let series = |name: &str, points| ParetoSeries {
            name: name.into(),
            points,
        };
        Pareto {
            title: None,
            cost: Axis::linear("bytes"),
            quality: Axis::log("divergence"),
            better,
            series: vec![
                series("a", vec![point(0.5, 0.01), point(0.2, 0.3)]),
                series("b", vec![point(0.3, 0.4), point(0.4, 0.1)]),
            ],
            front: true,
            width: Width::Single,
            cells: vec![],
        }
    }

    #[test]
    fn the_front_crosses_series_and_follows_the_better_end() {
        assert_eq!(
            two(Better::Lower).front_points(),
            [(0.2, 0.3), (0.4, 0.1), (0.5, 0.01)]
        );
        assert_eq!(two(Better::Higher).front_points(), [(0.2, 0.3), (0.3, 0.4)]);
    }

    #[test]
    fn steps_hold_a_quality_until_the_next_cost() {
        let pareto = two(Better::Lower);
        let (x, y) = ((&pareto.cost, (0.0, 1.0)), (&pareto.quality, (0.001, 1.0)));
        let frame = Frame::new(Plan {
            title: None,
            width: Width::Single,
            height: HEIGHT,
            legend: vec![],
            x,
            y,
            full_grid: true,
        });
        let steps = steps(&pareto.front_points(), &frame);
        assert_eq!(steps.len(), 6);
        for pair in steps.windows(2) {
            // Right at the same quality, or down at the same cost.
            let same = |a: f64, b: f64| (a - b).abs() < 1e-9;
            let (level, upright) = (same(pair[0].1, pair[1].1), same(pair[0].0, pair[1].0));
            assert!(level != upright && pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1);
        }
        assert!((steps[5].0 - frame.area.right()).abs() < 1e-9);
    }
}
