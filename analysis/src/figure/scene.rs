//! What a figure is made of: paths, lines of text, grids of cells. Points, y downwards.

use super::color::Color;
use super::label::Label;
use super::style;

/// Dots in a point of a grid of cells in SVG and PDF: 300 an inch.
const DOTS_PER_POINT: f64 = 300.0 / 72.0;

/// A part of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Segment {
    Move(f64, f64),
    Line(f64, f64),
    Curve([f64; 6]),
    Close,
}

/// How a path is stroked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) color: Color,
    pub(crate) width: f64,
    pub(crate) dash: &'static [f64],
}

impl Stroke {
    pub(crate) fn new(color: Color, width: f64) -> Self {
        Self {
            color,
            width,
            dash: &[],
        }
    }

    pub(crate) fn dashed(self, dash: &'static [f64]) -> Self {
        Self { dash, ..self }
    }
}

/// Where text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A path with a fill, a stroke or both.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) segments: Vec<Segment>,
    pub(crate) fill: Option<Color>,
    /// Opacity of the fill, 0 to 1.
    pub(crate) opacity: f64,
    pub(crate) stroke: Option<Stroke>,
}

/// A line of text; `y` is its baseline.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) size: f64,
    pub(crate) color: Color,
    pub(crate) anchor: Anchor,
    /// Reads upwards instead of to the right.
    pub(crate) upwards: bool,
    pub(crate) label: Label,
}

/// A grid of coloured cells, row by row from the top.
#[derive(Debug, Clone)]
pub(crate) struct Raster {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) columns: usize,
    pub(crate) cells: Vec<Color>,
}

impl Raster {
    pub(crate) fn rows(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    /// The same grid with each cell repeated until it is finer than print: viewers that blend
    /// the cells of small pictures then blend what is equal.
    pub(crate) fn enlarged(&self) -> Self {
        let repeat = |points: f64, cells: usize| {
            ((points * DOTS_PER_POINT / cells.max(1) as f64).ceil() as usize).max(1)
        };
        let across = repeat(self.width, self.columns);
        let down = repeat(self.height, self.rows());
        let mut cells = Vec::with_capacity(self.cells.len() * across * down);
        for row in self.cells.chunks(self.columns.max(1)) {
            let wide: Vec<Color> = row
                .iter()
                .flat_map(|cell| std::iter::repeat_n(*cell, across))
                .collect();
            for _ in 0..down {
                cells.extend_from_slice(&wide);
            }
        }
        Self {
            columns: self.columns * across,
            cells,
            ..*self
        }
    }

    /// Three bytes a cell.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.cells
            .iter()
            .flat_map(|c| [c.red, c.green, c.blue])
            .collect()
    }
}

/// One thing on the page; later ones cover earlier ones.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Path(Path),
    Text(Text),
    Raster(Raster),
}

/// A page of items.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) items: Vec<Item>,
}

impl Scene {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            items: Vec::new(),
        }
    }

    pub(crate) fn path(
        &mut self,
        segments: Vec<Segment>,
        fill: Option<Color>,
        stroke: Option<Stroke>,
    ) {
        self.items.push(Item::Path(Path {
            segments,
            fill,
            opacity: 1.0,
            stroke,
        }));
    }

    /// A filled path that lets what is below shine through.
    pub(crate) fn veil(&mut self, segments: Vec<Segment>, fill: Color, opacity: f64) {
        self.items.push(Item::Path(Path {
            segments,
            fill: Some(fill),
            opacity,
            stroke: None,
        }));
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        let segments = vec![Segment::Move(from.0, from.1), Segment::Line(to.0, to.1)];
        self.path(segments, None, Some(stroke));
    }

    pub(crate) fn rect(&mut self, area: Area, fill: Option<Color>, stroke: Option<Stroke>) {
        self.path(area.outline(), fill, stroke);
    }

    pub(crate) fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        self.path(open(points), None, Some(stroke));
    }

    /// Text in the ordinary colour.
    pub(crate) fn text(
        &mut self,
        at: (f64, f64),
        anchor: Anchor,
        size: f64,
        label: impl Into<Label>,
    ) {
        self.colored_text(at, anchor, size, style::INK, label);
    }

    pub(crate) fn colored_text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        color: Color,
        label: impl Into<Label>,
    ) {
        let label = label.into();
        self.items.push(Item::Text(Text {
            x,
            y,
            size,
            color,
            anchor,
            upwards: false,
            label,
        }));
    }

    /// Text that reads upwards, its baseline at `x`.
    pub(crate) fn upward_text(&mut self, (x, y): (f64, f64), size: f64, label: impl Into<Label>) {
        self.items.push(Item::Text(Text {
            x,
            y,
            size,
            color: style::INK,
            anchor: Anchor::Middle,
            upwards: true,
            label: label.into(),
        }));
    }
}

/// A rectangle on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    pub(crate) fn new(left: f64, top: f64, width: f64, height: f64) -> Self {
        Self {
            left,
            top,
            width,
            height,
        }
    }

    pub(crate) fn right(self) -> f64 {
        self.left + self.width
    }

    pub(crate) fn bottom(self) -> f64 {
        self.top + self.height
    }

    pub(crate) fn outline(self) -> Vec<Segment> {
        closed(&[
            (self.left, self.top),
            (self.right(), self.top),
            (self.right(), self.bottom()),
            (self.left, self.bottom()),
        ])
    }
}

/// A path through points.
pub(crate) fn open(points: &[(f64, f64)]) -> Vec<Segment> {
    let segment = |(index, &(x, y)): (usize, &(f64, f64))| {
        if index == 0 {
            Segment::Move(x, y)
        } else {
            Segment::Line(x, y)
        }
    };
    points.iter().enumerate().map(segment).collect()
}

/// A path through points and back to the first.
pub(crate) fn closed(points: &[(f64, f64)]) -> Vec<Segment> {
    let mut segments = open(points);
    segments.push(Segment::Close);
    segments
}
