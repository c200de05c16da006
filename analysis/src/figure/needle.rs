//! Needle in a haystack: depth × context length → score, one panel a strategy.

use super::color::{Color, sequential};
use super::data::{AxisFormat, AxisScale, Width, distinct, finite, length, some};
use super::font;
use super::frame::{self, Head};
use super::heat::{self, Bar};
use super::label::Label;
use super::layout::{Around, Panels};
use super::legend::one_line;
use super::scene::{Anchor, Area, Scene};
use super::style::{BODY, GAP, MARGIN, SMALL};
use super::ticks;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Least width of a cell with a number in it, in points: three digits.
const NUMBER_CELL: f64 = 14.0;
/// Height of a cell, in points.
const CELL_HEIGHT: f64 = 12.0;

/// Scores over where the needle is and how long the text is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Needle {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// Context lengths in tokens: the columns.
    pub contexts: Vec<u64>,
    /// Depths as shares of the context, 0 at its start: the rows.
    pub depths: Vec<f64>,
    /// One panel a strategy.
    pub panels: Vec<NeedlePanel>,
    /// What the score is, for the colour bar. Scores run from 0 to 1 and are shown in per cent.
    pub score: String,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedlePanel {
    /// The name above the panel.
    pub name: String,
    /// Scores from 0 to 1, a row for each depth, an entry for each context; null was not run.
    pub scores: Vec<Vec<Option<f64>>>,
}

impl Needle {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.contexts, "needle", "context lengths")?;
        some(&self.depths, "needle", "depths")?;
        some(&self.panels, "needle", "panels")?;
        distinct(
            "panels",
            self.panels.iter().map(|panel| panel.name.as_str()),
        )?;
        for depth in &self.depths {
            finite(*depth, "a depth")?;
        }
        for panel in &self.panels {
            let name = &panel.name;
            length(panel.scores.len(), self.depths.len(), "depth", || {
                format!("`{name}`")
            })?;
            for (row, scores) in panel.scores.iter().enumerate() {
                length(scores.len(), self.contexts.len(), "context length", || {
                    format!("row {row} of `{name}`")
                })?;
                for score in scores.iter().flatten() {
                    finite(*score, &format!("a score of `{name}`"))?;
                    if !(0.0..=1.0).contains(score) {
                        return Err(FigureError::OutOfRange {
                            place: format!("a score of `{name}`"),
                            value: score.to_string(),
                            expected: "a share from 0 to 1".to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

impl Draw for Needle {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let page = self.width.points();
        let head = Head::new(self.title.as_deref(), Vec::new());
        let bar = Bar {
            label: &self.score,
            scale: AxisScale::Linear,
            format: AxisFormat::Percent,
            domain: (0.0, 1.0),
        };
        let depth = |share: &f64| Label::from(format!("{:.0}%", share * 100.0));
        let depths: Vec<Label> = self.depths.iter().map(depth).collect();
        let contexts: Vec<Label> = self
            .contexts
            .iter()
            .map(|tokens| ticks::tokens(*tokens as f64))
            .collect();
        let height = self.depths.len() as f64 * CELL_HEIGHT;
        let left = MARGIN + BODY + GAP + heat::row_names_width(&depths);
        let right = page - MARGIN - bar.width(height) - 2.0 * GAP;
        let around = Around {
            above: SMALL + GAP,
            below: frame::below(false) + GAP,
            between: 6.0,
        };
        let least = self.contexts.len() as f64 * NUMBER_CELL + around.between;
        let most = ((right - left + around.between) / least).floor() as usize;
        let top = MARGIN + head.height();
        let room = (left, right);
        let panels = Panels::new(room, top, (self.panels.len(), most.max(1)), around, |_| {
            height
        });
        let mut scene = Scene::new(page, panels.bottom() + frame::below(true) + MARGIN);
        head.draw(&mut scene, page);
        for (index, (panel, area)) in self.panels.iter().zip(&panels.areas).enumerate() {
            draw_panel(&mut scene, panel, *area, &bar);
            if panels.is_first(index) {
                heat::row_names(&mut scene, *area, &depths);
            }
            heat::column_names(&mut scene, *area, &contexts);
        }
        let all = Area::new(
            left,
            panels.areas[0].top,
            right - left,
            panels.bottom() - panels.areas[0].top,
        );
        frame::x_label(&mut scene, all, "Context length (tokens)", true);
        frame::y_label(
            &mut scene,
            all,
            MARGIN + BODY * font::CAPITAL,
            "Needle depth",
        );
        bar.draw(&mut scene, right + 2.0 * GAP, panels.areas[0].top, height);
        let title = self.title.as_deref().unwrap_or("Needle in a haystack");
        Figure::new(scene, title, &self.cells)
    }
}

fn draw_panel(scene: &mut Scene, panel: &NeedlePanel, area: Area, bar: &Bar<'_>) {
    let color = |score: &Option<f64>| score.map_or(heat::MISSING, |s| sequential(bar.share(s)));
    let rows: Vec<Vec<Color>> = panel
        .scores
        .iter()
        .map(|row| row.iter().map(color).collect())
        .collect();
    heat::cells(scene, area, &rows);
    let name = font::fit(&one_line(&panel.name), SMALL, area.width);
    let middle = area.left + area.width / 2.0;
    scene.text((middle, area.top - GAP), Anchor::Middle, SMALL, name);
    let across = area.width / rows[0].len() as f64;
    let down = area.height / rows.len() as f64;
    for (row, (scores, colors)) in panel.scores.iter().zip(&rows).enumerate() {
        for (column, (score, ground)) in scores.iter().zip(colors).enumerate() {
            let said = score.map_or("–".to_owned(), |share| format!("{:.0}", share * 100.0));
            if font::width(&said, SMALL) > across - 1.0 {
                continue;
            }
            let at = (
                area.left + (column as f64 + 0.5) * across,
                area.top + (row as f64 + 0.5) * down + SMALL * font::CAPITAL / 2.0,
            );
            scene.colored_text(at, Anchor::Middle, SMALL, ground.contrasting(), said);
        }
    }
}
