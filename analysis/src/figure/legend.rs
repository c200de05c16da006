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
    /// A point alone.
    Mark(Look),
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
            Sample::Mark(_) | Sample::Swatch(_) => SWATCH,
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
    columns: Vec<f64>,
}

impl Legend {
    /// Chooses the most columns that fit; a name too long even for one is cut.
    pub(crate) fn new(mut entries: Vec<Entry>, room: f64) -> Self {
        for entry in &mut entries {
            let name_room = room - entry.sample_width() - AFTER_SAMPLE;
            entry.name = font::fit(&one_line(&entry.name), SMALL, name_room);
        }
        let columns = (1..=entries.len())
            .rev()
            .map(|count| column_widths(&entries, count))
            .find(|widths| total(widths) <= room)
            .unwrap_or_default();
        // Three entries over two are better than four over one.
        let rows = if columns.is_empty() {
            0
        } else {
            entries.len().div_ceil(columns.len())
        };
        let even = if rows == 0 {
            0
        } else {
            entries.len().div_ceil(rows)
        };
        let evened = column_widths(&entries, even);
        let columns = if total(&evened) <= room {
            evened
        } else {
            columns
        };
        Self { entries, columns }
    }

    /// Height in points; nothing for no entries.
    pub(crate) fn height(&self) -> f64 {
        if self.columns.is_empty() {
            return 0.0;
        }
        self.entries.len().div_ceil(self.columns.len()) as f64 * ROW
    }

    /// Draws the legend with its top left corner at a place.
    pub(crate) fn draw(&self, scene: &mut Scene, left: f64, top: f64) {
        for (index, entry) in self.entries.iter().enumerate() {
            let column = index % self.columns.len();
            let before: f64 = self.columns[..column]
                .iter()
                .map(|width| width + BETWEEN)
                .sum();
            let x = left + before;
            let middle = top + (index / self.columns.len()) as f64 * ROW + ROW / 2.0;
            draw_sample(scene, entry, x, middle);
            let baseline = middle + SMALL * font::CAPITAL / 2.0;
            let text = x + entry.sample_width() + AFTER_SAMPLE;
            scene.text((text, baseline), Anchor::Start, SMALL, entry.name.clone());
        }
    }
}

fn draw_sample(scene: &mut Scene, entry: &Entry, x: f64, middle: f64) {
    let ends = ((x, middle), (x + LINE_SAMPLE, middle));
    match entry.sample {
        Sample::Mark(look) => look.mark(scene, (x + SWATCH / 2.0, middle)),
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
                assert!(total(&legend.columns) <= 200.0);
                assert_eq!(legend.columns.is_empty(), count == 0);
            }
        }
    }
}
