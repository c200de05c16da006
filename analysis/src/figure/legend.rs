//! The legend: above the data, in as many columns as fit.

use super::color::Color;
use super::font;
use super::marker::Look;
use super::scene::{Anchor, Area, Scene, Stroke};
use super::style::{self, SMALL};

/// Height of a row, in points.
const ROW: f64 = 10.0;
/// Room for the sample of a line, in points.
const LINE_SAMPLE: f64 = 14.0;
/// Side of a swatch, in points.
const SWATCH: f64 = 6.0;
/// Space between a sample and its name, in points.
const AFTER_SAMPLE: f64 = 3.0;
/// Space between columns, in points.
const BETWEEN: f64 = 9.0;

/// What stands before a name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sample {
    /// A line with the series' dashes.
    Line(Look),
    /// A line with a point on it.
    LineAndMark(Look),
    /// A line of any kind.
    Rule(Stroke),
    /// A filled square.
    Swatch(Color),
}

/// A line of the legend.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) sample: Sample,
    pub(crate) name: String,
}

impl Entry {
    pub(crate) fn new(sample: Sample, name: impl Into<String>) -> Self {
        Self {
            sample,
            name: name.into(),
        }
    }

    fn sample_width(&self) -> f64 {
        match self.sample {
            Sample::Swatch(_) => SWATCH,
            Sample::Line(_) | Sample::LineAndMark(_) | Sample::Rule(_) => LINE_SAMPLE,
        }
    }

    fn width(&self) -> f64 {
        self.sample_width() + AFTER_SAMPLE + font::width(&self.name, SMALL)
    }
}

/// A legend laid out for a width.
#[derive(Debug, Clone)]
pub(crate) struct Legend {
    entries: Vec<Entry>,
    /// Where each entry starts, and its row.
    places: Vec<(f64, usize)>,
}

impl Legend {
    /// Lays entries out in columns, or one after the other where columns would take many more
    /// rows; a name too long even for a row is cut.
    pub(crate) fn new(mut entries: Vec<Entry>, room: f64) -> Self {
        for entry in &mut entries {
            let name_room = room - entry.sample_width() - AFTER_SAMPLE;
            entry.name = font::fit(&one_line(&entry.name), SMALL, name_room);
        }
        let (columns, flow) = (in_columns(&entries, room), in_flow(&entries, room));
        let rows = |places: &[(f64, usize)]| places.last().map_or(0, |(_, row)| row + 1);
        let places = if rows(&columns) <= rows(&flow) + 1 {
            columns
        } else {
            flow
        };
        Self { entries, places }
    }

    /// Height in points; nothing for no entries.
    pub(crate) fn height(&self) -> f64 {
        self.places
            .last()
            .map_or(0.0, |(_, row)| (row + 1) as f64 * ROW)
    }

    /// Draws the legend with its top left corner at a place.
    pub(crate) fn draw(&self, scene: &mut Scene, left: f64, top: f64) {
        for (entry, (x, row)) in self.entries.iter().zip(&self.places) {
            let x = left + x;
            let middle = top + *row as f64 * ROW + ROW / 2.0;
            draw_sample(scene, entry, x, middle);
            let baseline = middle + SMALL * font::CAPITAL / 2.0;
            let text = x + entry.sample_width() + AFTER_SAMPLE;
            scene.text((text, baseline), Anchor::Start, SMALL, entry.name.clone());
        }
    }
}

/// The most columns that fit, evened out over their rows: three over three, not four over two.
fn in_columns(entries: &[Entry], room: f64) -> Vec<(f64, usize)> {
    let fits = |count: &usize| total(&column_widths(entries, *count)) <= room;
    let most = (1..=entries.len()).rev().find(fits).unwrap_or(1);
    let even = entries
        .len()
        .div_ceil(entries.len().div_ceil(most).max(1))
        .max(1);
    let count = if fits(&even) { even } else { most };
    let widths = column_widths(entries, count);
    let start = |column: usize| widths[..column].iter().map(|width| width + BETWEEN).sum();
    (0..entries.len())
        .map(|index| (start(index % count), index / count))
        .collect()
}

/// As many entries in each row as fit.
fn in_flow(entries: &[Entry], room: f64) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (0.0, 0);
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        if x > 0.0 && x + entry.width() > room {
            (x, row) = (0.0, row + 1);
        }
        places.push((x, row));
        x += entry.width() + BETWEEN;
    }
    places
}

fn draw_sample(scene: &mut Scene, entry: &Entry, x: f64, middle: f64) {
    let ends = ((x, middle), (x + LINE_SAMPLE, middle));
    match entry.sample {
        Sample::Line(look) => {
            let stroke = Stroke::new(look.color, style::DATA_LINE).dashed(look.dash);
            scene.line(ends.0, ends.1, stroke);
        }
        Sample::LineAndMark(look) => {
            let stroke = Stroke::new(look.color, style::DATA_LINE).dashed(look.dash);
            scene.line(ends.0, ends.1, stroke);
            look.mark(scene, (x + LINE_SAMPLE / 2.0, middle));
        }
        Sample::Rule(stroke) => scene.line(ends.0, ends.1, stroke),
        Sample::Swatch(color) => {
            let area = Area::new(x, middle - SWATCH / 2.0, SWATCH, SWATCH);
            scene.rect(
                area,
                Some(color),
                Some(Stroke::new(style::MUTED, style::GRID_LINE)),
            );
        }
    }
}

fn column_widths(entries: &[Entry], count: usize) -> Vec<f64> {
    let widest = |column: usize| {
        entries
            .iter()
            .skip(column)
            .step_by(count)
            .map(Entry::width)
            .fold(0.0, f64::max)
    };
    (0..count).map(widest).collect()
}

fn total(widths: &[f64]) -> f64 {
    widths.iter().sum::<f64>() + widths.len().saturating_sub(1) as f64 * BETWEEN
}

/// A name may hold anything; a legend has one line for it.
pub(crate) fn one_line(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_legend_fits_its_room() {
        for count in 0..30 {
            for length in [1, 8, 40, 400] {
                let entries = (0..count)
                    .map(|i| Entry::new(Sample::Swatch(style::category(i)), "x".repeat(length)))
                    .collect();
                let legend = Legend::new(entries, 200.0);
                for (entry, (x, _)) in legend.entries.iter().zip(&legend.places) {
                    assert!(x + entry.width() <= 200.0 + 1e-9);
                }
                assert_eq!(legend.places.len(), count);
            }
        }
    }
}
