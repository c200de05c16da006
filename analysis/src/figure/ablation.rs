//! What each component contributes.

use super::color::Color;
use super::data::{Axis, Better, Estimate, Width, distinct, some};
use super::font;
use super::frame::{self, Head};
use super::legend::one_line;
use super::marker::{Bar, error_bar};
use super::scale::{Scale, domain};
use super::scene::{Anchor, Area, Scene};
use super::style::{self, GAP, MARGIN, SMALL};
use super::ticks;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Height of a bar and its row, in points.
const BAR: f64 = 7.0;
const ROW: f64 = 12.0;
/// The part of a figure that names may take.
const NAMES: f64 = 0.42;
/// The part of the data area that marks may take.
const MARKS: f64 = 0.5;

/// Effects of components, one bar each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// The effect: what it is the difference of, with its unit. Always linear.
    pub effect: Axis,
    /// Which sign of the effect is good.
    #[serde(default)]
    pub better: Better,
    /// The components, top first.
    pub bars: Vec<AblationBar>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblationBar {
    /// The name to the left.
    pub name: String,
    /// Its effect with its interval.
    pub effect: Estimate,
    /// What stands behind the bar: `*` or `n.s.`, as the data's test found.
    #[serde(default)]
    pub mark: Option<String>,
}

impl Ablation {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.bars, "ablation", "bars")?;
        distinct("bars", self.bars.iter().map(|bar| bar.name.as_str()))?;
        self.bars
            .iter()
            .try_for_each(|bar| bar.effect.check(&format!("the effect of `{}`", bar.name)))
    }

    fn color(&self, effect: f64) -> Color {
        let good = if self.better == Better::Lower {
            effect <= 0.0
        } else {
            effect >= 0.0
        };
        style::category(usize::from(!good))
    }
}

impl Draw for Ablation {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let page = self.width.points();
        let head = Head::new(self.title.as_deref(), Vec::new());
        let axis = Axis {
            scale: super::AxisScale::Linear,
            ..self.effect.clone()
        };
        let ends = self
            .bars
            .iter()
            .flat_map(|bar| [bar.effect.low(), bar.effect.high(), 0.0]);
        let mut ends = domain(&axis, ends)?;
        let names: Vec<String> = self
            .bars
            .iter()
            .map(|bar| font::fit(&one_line(&bar.name), SMALL, page * NAMES))
            .collect();
        let widest = names
            .iter()
            .map(|name| font::width(name, SMALL))
            .fold(0.0, f64::max);
        let height = self.bars.len() as f64 * ROW;
        let left = MARGIN + widest + GAP + 1.0;
        let right = page - MARGIN - 3.0;
        // Marks stand behind the longest bars: the axis makes room for them.
        let marks = self.bars.iter().filter_map(|bar| bar.mark.as_deref());
        let mark = marks
            .map(|mark| font::width(mark, SMALL) + GAP)
            .fold(0.0, f64::max);
        let room = (right - left).max(1.0);
        let sides = [
            self.bars.iter().any(|bar| bar.effect.value < 0.0),
            self.bars.iter().any(|bar| bar.effect.value >= 0.0),
        ];
        let sides = sides.into_iter().filter(|side| *side).count() as f64;
        let mark = mark.min(room * MARKS / sides);
        let mark = mark / (room - sides * mark) * (ends.1 - ends.0);
        if self.bars.iter().any(|bar| bar.effect.value < 0.0) {
            ends.0 -= mark;
        }
        if self.bars.iter().any(|bar| bar.effect.value >= 0.0) {
            ends.1 += mark;
        }
        let area = Area::new(left, MARGIN + head.height(), room, height);
        let mut scene = Scene::new(page, area.bottom() + frame::below(true) + MARGIN);
        head.draw(&mut scene, page);
        let x = Scale::exact(axis.scale, ends, (area.left, area.right()));
        let ticks = ticks::choose(axis.scale, axis.format, ends, (area.width / 34.0) as usize);
        frame::upright_grid(&mut scene, area, &x, &ticks);
        for (index, (bar, name)) in self.bars.iter().zip(names).enumerate() {
            let middle = area.top + (index as f64 + 0.5) * ROW;
            let baseline = middle + SMALL * font::CAPITAL / 2.0;
            scene.text((left - GAP - 1.0, baseline), Anchor::End, SMALL, name);
            self.draw_bar(&mut scene, bar, middle, &x);
        }
        let zero = x.position(0.0);
        scene.line(
            (zero, area.top),
            (zero, area.bottom()),
            frame::axis_stroke(),
        );
        frame::x_axis_below(&mut scene, area, &x, &ticks);
        let label = frame::with_unit(&axis.label, ticks.unit);
        frame::x_label(&mut scene, area, &label, true);
        let title = self.title.as_deref().unwrap_or("Ablation");
        Figure::new(scene, title, &self.cells)
    }
}

impl Ablation {
    fn draw_bar(&self, scene: &mut Scene, bar: &AblationBar, middle: f64, x: &Scale) {
        let (zero, value) = (x.position(0.0), x.position(bar.effect.value));
        let (left, width) = (zero.min(value), (zero - value).abs());
        let area = Area::new(left, middle - BAR / 2.0, width, BAR);
        scene.rect(area, Some(self.color(bar.effect.value)), None);
        let (low, high) = (x.position(bar.effect.low()), x.position(bar.effect.high()));
        error_bar(scene, (Bar::Level, middle), x, &bar.effect, style::INK);
        if let Some(mark) = &bar.mark {
            let mark = one_line(mark);
            let baseline = middle + SMALL * font::CAPITAL / 2.0;
            if bar.effect.value < 0.0 {
                scene.text((low.min(zero) - GAP, baseline), Anchor::End, SMALL, mark);
            } else {
                scene.text((high.max(zero) + GAP, baseline), Anchor::Start, SMALL, mark);
            }
        }
    }
}
