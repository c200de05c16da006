//! One look for all figures: sizes in points at final size, colours, strokes.

use super::color::Color;

/// Size of numbers at ticks, legends and cells, in points.
pub(crate) const SMALL: f64 = 7.0;
/// Size of axis labels and panel titles, in points.
pub(crate) const BODY: f64 = 8.0;
/// Empty border of a figure, in points: nothing touches the edge.
pub(crate) const MARGIN: f64 = 3.0;
/// Space between things that belong together, in points.
pub(crate) const GAP: f64 = 3.0;
/// Length of a tick, in points.
pub(crate) const TICK: f64 = 2.5;
/// Length of a minor tick, in points.
pub(crate) const MINOR_TICK: f64 = 1.5;

/// Width of axes and ticks, in points.
pub(crate) const AXIS_LINE: f64 = 0.5;
/// Width of grid lines, in points.
pub(crate) const GRID_LINE: f64 = 0.35;
/// Width of a line of data, in points.
pub(crate) const DATA_LINE: f64 = 1.1;
/// Width of an error bar, in points.
pub(crate) const ERROR_LINE: f64 = 0.7;
/// Half the length of an error bar's cap, in points.
pub(crate) const ERROR_CAP: f64 = 1.5;
/// Radius of a marker, in points.
pub(crate) const MARKER: f64 = 2.3;

pub(crate) const INK: Color = Color::new(0x22, 0x22, 0x22);
pub(crate) const MUTED: Color = Color::new(0x66, 0x66, 0x66);
pub(crate) const GRID: Color = Color::new(0xdd, 0xdd, 0xdd);
pub(crate) const PAPER: Color = Color::new(0xff, 0xff, 0xff);

/// Okabe and Ito's colours for categories ("Color Universal Design", 2008), without the yellow
/// that vanishes as a line on white; a dark grey takes its place.
const CATEGORIES: [Color; 7] = [
    Color::new(0x00, 0x72, 0xb2),
    Color::new(0xd5, 0x5e, 0x00),
    Color::new(0x00, 0x9e, 0x73),
    Color::new(0xcc, 0x79, 0xa7),
    Color::new(0xe6, 0x9f, 0x00),
    Color::new(0x56, 0xb4, 0xe9),
    Color::new(0x44, 0x44, 0x44),
];

/// Dash patterns, so that lines differ without colour.
const DASHES: [&[f64]; 5] = [
    &[],
    &[4.0, 1.5],
    &[1.2, 1.2],
    &[5.0, 1.5, 1.2, 1.5],
    &[2.5, 1.5],
];

/// The colour of the `index`-th series.
pub(crate) fn category(index: usize) -> Color {
    CATEGORIES[index % CATEGORIES.len()]
}

/// The dash pattern of the `index`-th series.
pub(crate) fn dash(index: usize) -> &'static [f64] {
    DASHES[index % DASHES.len()]
}
