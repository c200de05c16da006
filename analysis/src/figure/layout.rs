//! Panels of one size in rows.

use super::scene::Area;

/// Where panels stand.
#[derive(Debug, Clone)]
pub(crate) struct Panels {
    pub(crate) columns: usize,
    pub(crate) areas: Vec<Area>,
}

/// What panels need around them, in points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    pub(crate) above: f64,
    pub(crate) below: f64,
    pub(crate) between: f64,
}

impl Panels {
    /// Divides the room between two positions among `count` panels, at most `most` in a row.
    pub(crate) fn new(
        (left, right): (f64, f64),
        top: f64,
        (count, most): (usize, usize),
        around: Around,
        height_of: impl Fn(f64) -> f64,
    ) -> Self {
        let rows = count.div_ceil(most.max(1));
        let columns = count.div_ceil(rows.max(1)).max(1);
        let gaps = (columns - 1) as f64 * around.between;
        let width = (right - left - gaps) / columns as f64;
        let height = height_of(width);
        let step = around.above + height + around.below;
        let area = |index: usize| {
            let (row, column) = (index / columns, index % columns);
            let x = left + column as f64 * (width + around.between);
            Area::new(x, top + row as f64 * step + around.above, width, height)
        };
        Self {
            columns,
            areas: (0..count).map(area).collect(),
        }
    }

    /// Whether a panel is the first of its row.
    pub(crate) fn is_first(&self, index: usize) -> bool {
        index.is_multiple_of(self.columns)
    }

    /// Where the last row ends.
    pub(crate) fn bottom(&self) -> f64 {
        self.areas.last().map_or(0.0, |area| area.bottom())
    }
}
