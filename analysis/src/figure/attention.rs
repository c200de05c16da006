//! Attention between blocks of queries and keys.

use super::color::{Color, sequential};
use super::data::{AxisFormat, AxisScale, Width, distinct, finite, length, some};
use super::font;
use super::frame::{self, Head};
use super::heat::{self, Bar};
use super::layout::{Around, Panels};
use super::legend::one_line;
use super::scene::{Anchor, Area, Scene};
use super::style::{self, BODY, GAP, MARGIN, SMALL};
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Least width of a panel, in points.
const PANEL: f64 = 40.0;
/// Greatest width of the one panel of a figure, in points.
const SINGLE: f64 = 170.0;
/// More cells than this on a side are finer than print.
const MOST_CELLS: usize = 2000;
/// How far the colours reach below the largest value where no floor is given.
const RANGE: f64 = 1e-4;

/// Mean attention of blocks of queries to blocks of keys, one panel a head or layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// The panels, row by row.
    pub panels: Vec<AttentionPanel>,
    /// What the values are, for the colour bar.
    pub label: String,
    /// Tokens in a block of queries or keys; 1 for single tokens.
    pub block: u64,
    /// The value at the dark end of the logarithmic colours; a ten-thousandth of the largest, or
    /// the smallest value above zero where that is more.
    #[serde(default)]
    pub floor: Option<f64>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttentionPanel {
    /// The name above the panel.
    pub name: String,
    /// A row for each block of queries, an entry for each block of keys; zero is drawn white.
    pub values: Vec<Vec<f64>>,
}

impl Attention {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.panels, "attention", "panels")?;
        distinct(
            "panels",
            self.panels.iter().map(|panel| panel.name.as_str()),
        )?;
        let rows = self.panels[0].values.len();
        let columns = self.panels[0].values.first().map_or(0, Vec::len);
        if rows == 0 || columns == 0 {
            return Err(FigureError::Empty {
                figure: "attention",
                what: "blocks",
            });
        }
        if rows.max(columns) > MOST_CELLS {
            return Err(FigureError::TooLarge {
                what: format!("{rows} by {columns} blocks"),
                available: self.width.points(),
                hint: "take the mean over larger blocks of queries and keys",
            });
        }
        for panel in &self.panels {
            let name = &panel.name;
            length(panel.values.len(), rows, "block of queries", || {
                format!("`{name}`")
            })?;
            for (row, values) in panel.values.iter().enumerate() {
                let place = || format!("row {row} of `{name}`");
                length(values.len(), columns, "block of keys", place)?;
                for value in values {
                    finite(*value, &place())?;
                    if *value < 0.0 {
                        return Err(FigureError::OutOfRange {
                            place: format!("a value in {}", place()),
                            value: value.to_string(),
                            expected: "at least 0".to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The values at the two ends of the colours.
    fn domain(&self) -> Result<(f64, f64), FigureError> {
        let values = || {
            self.panels
                .iter()
                .flat_map(|panel| panel.values.iter().flatten().copied())
        };
        let high = values().fold(0.0, f64::max);
        let least = values()
            .filter(|value| *value > 0.0)
            .fold(f64::INFINITY, f64::min);
        if high <= 0.0 {
            return Err(FigureError::Empty {
                figure: "attention",
                what: "values above zero",
            });
        }
        let floor = match self.floor {
            None => least.max(high * RANGE),
            Some(floor) if floor > 0.0 && floor.is_finite() => floor,
            Some(floor) => {
                let place = "the floor of the colours".to_owned();
                return Err(FigureError::NotPositive {
                    place,
                    value: floor,
                });
            }
        };
        // All equal, or all below the floor: one decade, so that there is a bar to read.
        Ok(if high > floor * 1.01 {
            (floor, high)
        } else {
            (high / 10.0, high)
        })
    }
}

impl Draw for Attention {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let page = self.width.points();
        let head = Head::new(self.title.as_deref(), Vec::new());
        let bar = Bar {
            label: &self.label,
            scale: AxisScale::Log,
            format: AxisFormat::Number,
            domain: self.domain()?,
        };
        let left = MARGIN + BODY + GAP;
        let right = page - MARGIN - bar.width(100.0) - 2.0 * GAP;
        let around = Around {
            above: SMALL + GAP,
            below: GAP,
            between: 5.0,
        };
        let one = self.panels.len() == 1;
        let most = ((right - left + around.between) / (PANEL + around.between)).floor() as usize;
        let end = if one { right.min(left + SINGLE) } else { right };
        let values = &self.panels[0].values;
        let aspect = (values.len() as f64 / values[0].len() as f64).clamp(0.2, 3.0);
        let top = MARGIN + head.height();
        let room = (left, end);
        let panels = Panels::new(room, top, (self.panels.len(), most), around, |width| {
            width * aspect
        });
        let first = panels.areas[0];
        let all = Area::new(left, first.top, end - left, panels.bottom() - first.top);
        let bottom = all.bottom() + style::TICK + GAP + BODY + 2.0;
        let mut scene = Scene::new(page, bottom + MARGIN);
        head.draw(&mut scene, page);
        for (panel, area) in self.panels.iter().zip(&panels.areas) {
            draw_panel(&mut scene, panel, *area, &bar);
        }
        let of = |what: &str| match self.block {
            0 | 1 => format!("{what} position"),
            block => format!("{what} (blocks of {block} tokens)"),
        };
        frame::x_label(&mut scene, all, &of("Key"), false);
        // The other axis says the size of blocks where there is no room for it here.
        let fits = font::width(&of("Query"), BODY) <= scene.height - 2.0 * MARGIN;
        let query = if fits {
            of("Query")
        } else {
            "Query".to_owned()
        };
        frame::y_label(&mut scene, all, MARGIN + BODY * font::CAPITAL, &query);
        let height = all.height.min(110.0);
        bar.draw(&mut scene, end + 2.0 * GAP, all.top, height);
        let title = self.title.as_deref().unwrap_or("Attention");
        Figure::new(scene, title, &self.cells)
    }
}

fn draw_panel(scene: &mut Scene, panel: &AttentionPanel, area: Area, bar: &Bar<'_>) {
    let color = |value: &f64| {
        if *value > 0.0 {
            sequential(bar.share(*value))
        } else {
            style::PAPER
        }
    };
    let rows: Vec<Vec<Color>> = panel
        .values
        .iter()
        .map(|row| row.iter().map(color).collect())
        .collect();
    heat::cells(scene, area, &rows);
    heat::border(scene, area);
    let name = font::fit(&one_line(&panel.name), SMALL, area.width);
    let middle = area.left + area.width / 2.0;
    scene.text((middle, area.top - GAP + 0.5), Anchor::Middle, SMALL, name);
}
