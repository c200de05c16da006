//! Which token is kept in how many bits, layer by layer.

use super::color::{self, Color};
use super::data::{Axis, AxisFormat, AxisScale, Width, distinct, length, some};
use super::font;
use super::frame::{self, Head};
use super::heat;
use super::label::Label;
use super::legend::{Entry, Legend, Sample, one_line};
use super::scale::Scale;
use super::scene::{Anchor, Area, Scene};
use super::style::{BODY, GAP, MARGIN, SMALL};
use super::ticks;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// More columns than this on a page are finer than print.
const MOST_COLUMNS: usize = 2000;
/// The most bits that an element of the cache has.
const MOST_BITS: u8 = 16;
/// Height of a layer where its number has room, and where only some numbers do, in points.
const NUMBERED_LAYER: f64 = 9.0;
const LAYER: f64 = 4.0;
/// Height of a panel of few layers and of many, in points.
const FEW: f64 = 60.0;
const MANY: f64 = 120.0;

/// Bits of each token in each layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// Position of the first token.
    #[serde(default)]
    pub first_token: u64,
    /// The layers shown, top row first, by their number in the model; a layer of several rows, one
    /// for each head, stands here as often.
    pub layers: Vec<u32>,
    /// Panels below each other: keys and values, or several strategies.
    pub panels: Vec<AllocationPanel>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One map of bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllocationPanel {
    /// The name above the panel; none where there is only one.
    pub name: String,
    /// Bits from 0 (evicted) to 16, a row for each layer, an entry for each token.
    pub bits: Vec<Vec<u8>>,
}

impl Allocation {
    /// Checks the shape and returns the number of tokens.
    fn check(&self) -> Result<usize, FigureError> {
        some(&self.layers, "allocation", "layers")?;
        some(&self.panels, "allocation", "panels")?;
        distinct(
            "panels",
            self.panels.iter().map(|panel| panel.name.as_str()),
        )?;
        let tokens = self.panels[0].bits.first().map_or(0, Vec::len);
        for panel in &self.panels {
            let name = &panel.name;
            length(panel.bits.len(), self.layers.len(), "layer", || {
                format!("`{name}`")
            })?;
            for (row, bits) in panel.bits.iter().enumerate() {
                let place = || format!("layer {} of `{name}`", self.layers[row]);
                length(bits.len(), tokens, "token", place)?;
                if let Some(over) = bits.iter().find(|bits| **bits > MOST_BITS) {
                    return Err(FigureError::OutOfRange {
                        place: format!("a bit-width in {}", place()),
                        value: over.to_string(),
                        expected: format!("0 to {MOST_BITS}"),
                    });
                }
            }
        }
        if tokens == 0 {
            return Err(FigureError::Empty {
                figure: "allocation",
                what: "tokens",
            });
        }
        Ok(tokens)
    }

    /// A name for each layer where all have equally many rows, else one for each row.
    fn names(&self) -> Vec<Label> {
        let groups: Vec<&[u32]> = self.layers.chunk_by(|a, b| a == b).collect();
        let even = groups.iter().all(|group| group.len() == groups[0].len());
        let named = if even {
            groups.iter().map(|group| group[0]).collect()
        } else {
            self.layers.clone()
        };
        let name = |layer: u32| Label::from(layer.to_string());
        named.into_iter().map(name).collect()
    }

    fn legend(&self) -> Vec<Entry> {
        let used: BTreeSet<u8> = self
            .panels
            .iter()
            .flat_map(|panel| panel.bits.iter().flatten().copied())
            .collect();
        used.into_iter().map(bits_entry).collect()
    }
}

fn panel_height(layers: usize) -> f64 {
    let layers = layers as f64;
    (layers * NUMBERED_LAYER)
        .min(FEW)
        .max(layers * LAYER)
        .min(MANY)
}

/// The line of a legend for a bit-width.
pub(crate) fn bits_entry(bits: u8) -> Entry {
    let name = match bits {
        0 => "evicted".to_owned(),
        1 => "1 bit".to_owned(),
        _ => format!("{bits} bits"),
    };
    Entry::new(Sample::Swatch(color::bits(f64::from(bits))), name)
}

impl Draw for Allocation {
    fn draw(&self) -> Result<Figure, FigureError> {
        let tokens = self.check()?;
        let page = self.width.points();
        let legend = Legend::new(self.legend(), page - 2.0 * MARGIN);
        let head = Head::new(self.title.as_deref(), vec![legend]);
        let several = self.layers.windows(2).any(|pair| pair[0] == pair[1]);
        let layers = self.names();
        let left = MARGIN + BODY + GAP + heat::row_names_width(&layers);
        let right = page - MARGIN - 3.0;
        let height = panel_height(self.layers.len());
        let above = if self.panels.len() > 1 {
            SMALL + GAP
        } else {
            GAP
        };
        let area = |index: usize| {
            let top = MARGIN + head.height() + index as f64 * (above + height + GAP) + above;
            Area::new(left, top, right - left, height)
        };
        let last = area(self.panels.len() - 1);
        let mut scene = Scene::new(page, last.bottom() + frame::below(true) + MARGIN);
        head.draw(&mut scene, page);
        for (index, panel) in self.panels.iter().enumerate() {
            let area = area(index);
            let rows: Vec<Vec<Color>> = panel.bits.iter().map(|row| colors(row)).collect();
            heat::cells(&mut scene, area, &rows);
            heat::border(&mut scene, area);
            heat::row_names(&mut scene, area, &layers);
            if self.panels.len() > 1 {
                let name = font::fit(&one_line(&panel.name), SMALL, area.width);
                scene.text(
                    (area.left, area.top - GAP + 0.5),
                    Anchor::Start,
                    SMALL,
                    name,
                );
            }
        }
        let first = self.first_token as f64;
        // The last group may be short of tokens but is drawn as wide as the others.
        let group = tokens.div_ceil(MOST_COLUMNS);
        let ends = (first, first + (tokens.div_ceil(group) * group) as f64);
        let most = (last.width / 36.0) as usize;
        let position = Axis::linear("Token position").with_format(AxisFormat::Number);
        let marks = ticks::choose(AxisScale::Linear, position.format, ends, most);
        let scale = Scale::exact(AxisScale::Linear, ends, (left, right));
        frame::x_axis_below(&mut scene, last, &scale, &marks);
        let label = match group {
            1 => position.label,
            group => format!("Token position (most common bits of every {group})"),
        };
        frame::x_label(&mut scene, last, &label, true);
        let all = Area::new(left, area(0).top, right - left, last.bottom() - area(0).top);
        let rows = if several {
            "Layer (a row a head)"
        } else {
            "Layer"
        };
        frame::y_label(&mut scene, all, MARGIN + BODY * font::CAPITAL, rows);
        let title = self.title.as_deref().unwrap_or("Precision allocation");
        Figure::new(scene, title, &self.cells)
    }
}

/// Colours of a row; groups of tokens where there are more than print can show.
fn colors(bits: &[u8]) -> Vec<Color> {
    let group = bits.len().div_ceil(MOST_COLUMNS);
    bits.chunks(group)
        .map(|bits| color::bits(f64::from(most_common(bits))))
        .collect()
}

/// The most common bit-width; the largest of those equally common.
fn most_common(bits: &[u8]) -> u8 {
    let mut counts = [0_usize; MOST_BITS as usize + 1];
    for bits in bits {
        counts[usize::from(*bits)] += 1;
    }
    (0..=MOST_BITS)
        .max_by_key(|bits| counts[usize::from(*bits)])
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_show_what_is_most_common() {
        assert_eq!(most_common(&[2, 2, 8]), 2);
        assert_eq!(most_common(&[2, 8]), 8);
        assert_eq!(most_common(&[0]), 0);
        assert_eq!(colors(&[4; 5000]).len(), 1667);
    }
    #[test]
    fn rows_of_one_layer_share_its_name() {
        let names = |layers: &[u32]| {
            let allocation = Allocation {
                title: None,
                first_token: 0,
                layers: layers.to_vec(),
                panels: Vec::new(),
                width: Width::Single,
                cells: Vec::new(),
            };
            let names = allocation.names();
            names.iter().map(Label::plain).collect::<Vec<_>>()
        };
        assert_eq!(names(&[0, 0, 1, 1]), ["0", "1"]);
        assert_eq!(names(&[3, 5]), ["3", "5"]);
        assert_eq!(names(&[0, 0, 1]), ["0", "0", "1"]);
    }
}
