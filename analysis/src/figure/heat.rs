//! Grids of coloured cells: cells, names of rows and columns, the colour bar.

use super::color::{Color, sequential};
use super::data::{AxisFormat, AxisScale};
use super::font;
use super::frame::{axis_stroke, with_unit};
use super::label::Label;
use super::scale::Scale;
use super::scene::{Anchor, Area, Item, Raster, Scene, Stroke};
use super::style::{self, BODY, GAP, SMALL, TICK};
use super::ticks;

/// Width of a colour bar, in points.
const BAR: f64 = 7.0;
/// Steps of a colour bar.
const STEPS: usize = 128;
/// Cells of at least this side are drawn one by one with a gap, in points.
const GAP_FROM: f64 = 5.0;
/// A cell without a value.
pub(crate) const MISSING: Color = Color::new(0xe6, 0xe6, 0xe6);

/// Draws rows of cells over an area.
pub(crate) fn cells(scene: &mut Scene, area: Area, rows: &[Vec<Color>]) {
    let columns = rows.first().map_or(0, Vec::len);
    if columns == 0 {
        return;
    }
    let (across, down) = (area.width / columns as f64, area.height / rows.len() as f64);
    if across < GAP_FROM || down < GAP_FROM {
        scene.items.push(Item::Raster(Raster {
            x: area.left,
            y: area.top,
            width: area.width,
            height: area.height,
            columns,
            cells: rows.concat(),
        }));
        return;
    }
    let gap = Stroke::new(style::PAPER, 0.6);
    for (row, colors) in rows.iter().enumerate() {
        for (column, color) in colors.iter().enumerate() {
            let cell = Area::new(
                area.left + column as f64 * across,
                area.top + row as f64 * down,
                across,
                down,
            );
            scene.rect(cell, Some(*color), Some(gap));
        }
    }
}

/// A frame around cells that are not set apart by gaps.
pub(crate) fn border(scene: &mut Scene, area: Area) {
    scene.rect(area, None, Some(axis_stroke()));
}

/// Writes the names of columns below an area, leaving out those that have no room.
pub(crate) fn column_names(scene: &mut Scene, area: Area, names: &[Label]) {
    let step = area.width / names.len().max(1) as f64;
    let widest = names
        .iter()
        .map(|name| name.width(SMALL))
        .fold(0.0, f64::max);
    let stride = ((widest + 3.0) / step).ceil().max(1.0) as usize;
    let baseline = area.bottom() + TICK + 1.5 + SMALL * font::CAPITAL;
    for (index, name) in names.iter().enumerate().step_by(nice_stride(stride)) {
        let at = area.left + (index as f64 + 0.5) * step;
        let ends = ((at, area.bottom()), (at, area.bottom() + TICK));
        scene.line(ends.0, ends.1, axis_stroke());
        scene.text((at, baseline), Anchor::Middle, SMALL, name.clone());
    }
}

/// Writes the names of rows to the left of an area, leaving out those that have no room.
pub(crate) fn row_names(scene: &mut Scene, area: Area, names: &[Label]) {
    let step = area.height / names.len().max(1) as f64;
    let stride = ((SMALL + 1.5) / step).ceil().max(1.0) as usize;
    for (index, name) in names.iter().enumerate().step_by(nice_stride(stride)) {
        let at = area.top + (index as f64 + 0.5) * step;
        scene.line((area.left - TICK, at), (area.left, at), axis_stroke());
        let baseline = at + SMALL * font::CAPITAL / 2.0;
        scene.text(
            (area.left - TICK - 1.5, baseline),
            Anchor::End,
            SMALL,
            name.clone(),
        );
    }
}

/// The next of 1, 2, 5, 10, 20, … so that every name that stays is a round one.
fn nice_stride(least: usize) -> usize {
    let mut power = 1;
    loop {
        for digit in [1, 2, 5] {
            if digit * power >= least {
                return digit * power;
            }
        }
        power *= 10;
    }
}

/// Room that row names take to the left of an area, in points.
pub(crate) fn row_names_width(names: &[Label]) -> f64 {
    names
        .iter()
        .map(|name| name.width(SMALL))
        .fold(0.0, f64::max)
        + TICK
        + 1.5
}

/// What a colour bar shows.
pub(crate) struct Bar<'a> {
    pub(crate) label: &'a str,
    pub(crate) scale: AxisScale,
    pub(crate) format: AxisFormat,
    pub(crate) domain: (f64, f64),
}

impl Bar<'_> {
    fn ticks(&self, height: f64) -> ticks::Ticks {
        ticks::choose(
            self.scale,
            self.format,
            self.domain,
            (height / 16.0) as usize,
        )
    }

    /// Where a value stands between the ends, 0 to 1.
    pub(crate) fn share(&self, value: f64) -> f64 {
        Scale::exact(self.scale, self.domain, (0.0, 1.0)).clamped(value)
    }

    /// Room that the bar takes with its numbers and label, in points.
    pub(crate) fn width(&self, height: f64) -> f64 {
        let ticks = self.ticks(height);
        let numbers = ticks
            .major
            .iter()
            .map(|(_, label)| label.width(SMALL))
            .fold(0.0, f64::max);
        BAR + TICK + 1.5 + numbers + GAP + BODY
    }

    /// Draws the bar with its left edge at a place.
    pub(crate) fn draw(&self, scene: &mut Scene, left: f64, top: f64, height: f64) {
        let share = |step: usize| 1.0 - (step as f64 + 0.5) / STEPS as f64;
        let area = Area::new(left, top, BAR, height);
        scene.items.push(Item::Raster(Raster {
            x: left,
            y: top,
            width: BAR,
            height,
            columns: 1,
            cells: (0..STEPS).map(|step| sequential(share(step))).collect(),
        }));
        border(scene, area);
        let scale = Scale::exact(self.scale, self.domain, (area.bottom(), top));
        let ticks = self.ticks(height);
        let mut widest: f64 = 0.0;
        for (value, label) in &ticks.major {
            let at = scale.position(*value);
            scene.line((area.right(), at), (area.right() + TICK, at), axis_stroke());
            let place = (area.right() + TICK + 1.5, at + SMALL * font::CAPITAL / 2.0);
            widest = widest.max(label.width(SMALL));
            scene.text(place, Anchor::Start, SMALL, label.clone());
        }
        let label = with_unit(self.label, ticks.unit);
        let baseline = area.right() + TICK + 1.5 + widest + GAP + BODY * font::CAPITAL;
        super::frame::y_label(scene, area, baseline, &label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_round() {
        let strides: Vec<usize> = [1, 2, 3, 5, 6, 11, 30].map(nice_stride).to_vec();
        assert_eq!(strides, [1, 2, 5, 5, 10, 20, 50]);
    }
}
