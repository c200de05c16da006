//! One number for each head of each layer: the entropy of its attention.

use super::color::{Color, sequential};
use super::data::{AxisFormat, AxisScale, Width, finite, length, some};
use super::font;
use super::frame::{self, Head};
use super::heat::{self, Bar};
use super::label::Label;
use super::scale::SAME;
use super::scene::{Area, Scene};
use super::style::{BODY, GAP, MARGIN};
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Height of a layer, and least and greatest height of the map, in points.
const LAYER: f64 = 9.0;
const HEIGHT: (f64, f64) = (40.0, 190.0);

/// A number for each head of each layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entropy {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// A row for each layer from the first, an entry for each head; null was not measured.
    pub values: Vec<Vec<Option<f64>>>,
    /// What the values are, with their unit, for the colour bar.
    pub label: String,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

impl Entropy {
    /// Checks the shape and returns the least and largest value.
    fn check(&self) -> Result<(f64, f64), FigureError> {
        some(&self.values, "entropy", "layers")?;
        let heads = self.values[0].len();
        for (layer, values) in self.values.iter().enumerate() {
            length(values.len(), heads, "head", || format!("layer {layer}"))?;
            for value in values.iter().flatten() {
                finite(*value, &format!("a value of layer {layer}"))?;
            }
        }
        let values = || self.values.iter().flatten().flatten().copied();
        if values().next().is_none() {
            return Err(FigureError::Empty {
                figure: "entropy",
                what: "values",
            });
        }
        Ok((
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        ))
    }
}

impl Draw for Entropy {
    fn draw(&self) -> Result<Figure, FigureError> {
        let (low, high) = self.check()?;
        let page = self.width.points();
        // All equal: a range around the one value, so that there is a bar to read.
        let equal = high - low <= high.abs().max(low.abs()) * SAME;
        let around = if high == 0.0 { 1.0 } else { high.abs() / 2.0 };
        let domain = if equal {
            (low - around, high + around)
        } else {
            (low, high)
        };
        let bar = Bar {
            label: &self.label,
            scale: AxisScale::Linear,
            format: AxisFormat::Number,
            domain,
        };
        let head = Head::new(self.title.as_deref(), Vec::new());
        let number = |count: usize| -> Vec<Label> {
            (0..count)
                .map(|index| Label::from(index.to_string()))
                .collect()
        };
        let (layers, heads) = (number(self.values.len()), number(self.values[0].len()));
        let height = (layers.len() as f64 * LAYER).clamp(HEIGHT.0, HEIGHT.1);
        let left = MARGIN + BODY + GAP + heat::row_names_width(&layers);
        let right = page - MARGIN - bar.width(height) - 2.0 * GAP;
        let area = Area::new(left, MARGIN + head.height() + GAP, right - left, height);
        let mut scene = Scene::new(page, area.bottom() + frame::below(true) + MARGIN);
        head.draw(&mut scene, page);
        let color =
            |value: &Option<f64>| value.map_or(heat::MISSING, |value| sequential(bar.share(value)));
        let rows: Vec<Vec<Color>> = self
            .values
            .iter()
            .map(|row| row.iter().map(color).collect())
            .collect();
        heat::cells(&mut scene, area, &rows);
        heat::row_names(&mut scene, area, &layers);
        heat::column_names(&mut scene, area, &heads);
        frame::x_label(&mut scene, area, "Head", true);
        frame::y_label(&mut scene, area, MARGIN + BODY * font::CAPITAL, "Layer");
        bar.draw(&mut scene, right + 2.0 * GAP, area.top, height);
        let title = self.title.as_deref().unwrap_or("Entropy");
        Figure::new(scene, title, &self.cells)
    }
}
