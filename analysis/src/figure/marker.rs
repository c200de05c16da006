//! Marks of points: series differ by shape as well as by colour.

use super::color::Color;
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

/// As many shapes as colours less one would repeat pairs late; seven and seven repeat at seven,
/// so the shape moves on by one each time the colours start again.
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

/// Draws an error bar between two places on a vertical or horizontal line, with caps.
pub(crate) fn error_bar(scene: &mut Scene, from: (f64, f64), to: (f64, f64), color: Color) {
    let stroke = Stroke::new(color, style::ERROR_LINE);
    let cap = style::ERROR_CAP;
    let upright = (from.0 - to.0).abs() < (from.1 - to.1).abs();
    let length = (from.0 - to.0).abs() + (from.1 - to.1).abs();
    if length < 0.05 {
        return;
    }
    scene.line(from, to, stroke);
    for (x, y) in [from, to] {
        if upright {
            scene.line((x - cap, y), (x + cap, y), stroke);
        } else {
            scene.line((x, y - cap), (x, y + cap), stroke);
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
