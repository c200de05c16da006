//! Marks of points: series differ by shape as well as by colour.

use super::color::Color;
use super::data::Estimate;
use super::scale::Scale;
use super::scene::{Scene, Segment, Stroke, closed};
use super::style::{self, MARKER};

/// Control points of a quarter circle, over its radius.
const QUARTER: f64 = 0.552_284_75;

/// How a series looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) color: Color,
    pub(crate) dash: &'static [f64],
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Cross,
    Plus,
}

/// As many shapes as colours: each time the colours start again, shapes are one further on.
const SHAPES: [Shape; 7] = [
    Shape::Circle,
    Shape::Square,
    Shape::Up,
    Shape::Diamond,
    Shape::Down,
    Shape::Cross,
    Shape::Plus,
];

/// The look of the `index`-th series.
pub(crate) fn look(index: usize) -> Look {
    let round = index / SHAPES.len();
    Look {
        color: style::category(index),
        dash: style::dash(index),
        shape: SHAPES[(index + round) % SHAPES.len()],
    }
}

impl Look {
    /// Draws the mark of a point, with a thin white edge that keeps neighbours apart.
    pub(crate) fn mark(self, scene: &mut Scene, (x, y): (f64, f64)) {
        let edge = Some(Stroke::new(style::PAPER, 0.4));
        let r = MARKER;
        let points: Vec<(f64, f64)> = match self.shape {
            Shape::Circle => {
                scene.path(circle(x, y, r), Some(self.color), edge);
                return;
            }
            Shape::Cross | Shape::Plus => {
                let d = if matches!(self.shape, Shape::Cross) {
                    r * 0.8
                } else {
                    0.0
                };
                let s = if matches!(self.shape, Shape::Cross) {
                    d
                } else {
                    r * 1.1
                };
                for (width, color) in [(2.0, style::PAPER), (1.2, self.color)] {
                    let stroke = Stroke::new(color, width);
                    scene.line((x - s, y - d), (x + s, y + d), stroke);
                    scene.line((x + d, y - s), (x - d, y + s), stroke);
                }
                return;
            }
            Shape::Square => {
                let s = r * 0.87;
                vec![
                    (x - s, y - s),
                    (x + s, y - s),
                    (x + s, y + s),
                    (x - s, y + s),
                ]
            }
            Shape::Diamond => {
                let s = r * 1.25;
                vec![(x, y - s), (x + s, y), (x, y + s), (x - s, y)]
            }
            Shape::Up => {
                vec![
                    (x, y - r * 1.2),
                    (x + r * 1.1, y + r * 0.8),
                    (x - r * 1.1, y + r * 0.8),
                ]
            }
            Shape::Down => {
                vec![
                    (x, y + r * 1.2),
                    (x + r * 1.1, y - r * 0.8),
                    (x - r * 1.1, y - r * 0.8),
                ]
            }
        };
        scene.path(closed(&points), Some(self.color), edge);
    }
}

fn circle(x: f64, y: f64, r: f64) -> Vec<Segment> {
    let k = r * QUARTER;
    vec![
        Segment::Move(x + r, y),
        Segment::Curve([x + r, y + k, x + k, y + r, x, y + r]),
        Segment::Curve([x - k, y + r, x - r, y + k, x - r, y]),
        Segment::Curve([x - r, y - k, x - k, y - r, x, y - r]),
        Segment::Curve([x + k, y - r, x + r, y - k, x + r, y]),
        Segment::Close,
    ]
}

/// Which way an error bar runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    Upright,
    Level,
}

/// Draws the interval of an estimate through a place across its axis, with caps; an end that the
/// axis does not reach has none.
pub(crate) fn error_bar(
    scene: &mut Scene,
    (bar, across): (Bar, f64),
    axis: &Scale,
    estimate: &Estimate,
    color: Color,
) {
    let (low, high) = (axis.clamped(estimate.low()), axis.clamped(estimate.high()));
    if (low - high).abs() < 0.05 {
        return;
    }
    let stroke = Stroke::new(color, style::ERROR_LINE);
    let place = |along: f64, across: f64| match bar {
        Bar::Upright => (across, along),
        Bar::Level => (along, across),
    };
    scene.line(place(low, across), place(high, across), stroke);
    for (value, at) in [(estimate.low(), low), (estimate.high(), high)] {
        if axis.shows(value) {
            let cap = style::ERROR_CAP;
            scene.line(place(at, across - cap), place(at, across + cap), stroke);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn many_series_look_different() {
        let looks: BTreeSet<String> = (0..49)
            .map(|index| {
                let look = look(index);
                format!("{:?} {:?}", look.color, look.shape)
            })
            .collect();
        assert_eq!(looks.len(), 49);
    }
}
