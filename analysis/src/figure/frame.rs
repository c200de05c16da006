//! Axes around data: title and legend above, numbers and labels outside.

use super::data::{Axis, Width};
use super::font;
use super::legend::{Entry, Legend, one_line};
use super::scale::Scale;
use super::scene::{Anchor, Area, Scene, Stroke};
use super::style::{self, BODY, GAP, MARGIN, SMALL, TICK};
use super::ticks::{self, Ticks};

/// Room for a label of an axis at a right angle to it, in points.
const TICK_SPACING_DOWN: f64 = 20.0;
/// Least room for a number below an axis, in points.
const TICK_SPACING_ACROSS: f64 = 30.0;

/// What a figure with two axes needs to be laid out.
pub(crate) struct Plan<'a> {
    pub(crate) title: Option<&'a str>,
    pub(crate) width: Width,
    /// Height of the data area, in points.
    pub(crate) height: f64,
    pub(crate) legend: Vec<Entry>,
    pub(crate) x: (&'a Axis, (f64, f64)),
    pub(crate) y: (&'a Axis, (f64, f64)),
    /// Upright grid lines as well as level ones.
    pub(crate) full_grid: bool,
}

/// A page with its axes drawn.
pub(crate) struct Frame {
    pub(crate) scene: Scene,
    pub(crate) area: Area,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
}

impl Frame {
    pub(crate) fn new(plan: Plan<'_>) -> Self {
        let page = plan.width.points();
        let (y_axis, y_domain) = plan.y;
        let (x_axis, x_domain) = plan.x;
        let most = (plan.height / TICK_SPACING_DOWN) as usize;
        let y_ticks = ticks::choose(y_axis.scale, y_axis.format, y_domain, most);
        let numbers = y_ticks
            .major
            .iter()
            .map(|(_, label)| label.width(SMALL))
            .fold(0.0, f64::max);
        let left = MARGIN + BODY + GAP + numbers + TICK + 1.5;
        let right = page - MARGIN - 3.0;
        let legend = Legend::new(plan.legend, page - 2.0 * MARGIN);
        let head = Head::new(plan.title, vec![legend]);
        let area = Area::new(
            left,
            MARGIN + head.height() + GAP,
            right - left,
            plan.height,
        );
        let most = (area.width / TICK_SPACING_ACROSS) as usize;
        let x_ticks = ticks::choose(x_axis.scale, x_axis.format, x_domain, most);
        let x = Scale::exact(x_axis.scale, x_domain, (area.left, area.right()));
        let y = Scale::exact(y_axis.scale, y_domain, (area.bottom(), area.top));
        let height = area.bottom() + below(true) + MARGIN;
        let mut scene = Scene::new(page, height);
        head.draw(&mut scene, page);
        if plan.full_grid {
            upright_grid(&mut scene, area, &x, &x_ticks);
        }
        level_grid(&mut scene, area, &y, &y_ticks);
        x_axis_below(&mut scene, area, &x, &x_ticks);
        x_label(
            &mut scene,
            area,
            &with_unit(&x_axis.label, x_ticks.unit),
            true,
        );
        y_axis_left(&mut scene, area, &y, &y_ticks);
        let label = with_unit(&y_axis.label, y_ticks.unit);
        y_label(&mut scene, area, MARGIN + BODY * font::CAPITAL, &label);
        Self { scene, area, x, y }
    }
}

/// Title and legends, one below the other.
pub(crate) struct Head {
    title: Option<String>,
    legends: Vec<Legend>,
}

impl Head {
    pub(crate) fn new(title: Option<&str>, legends: Vec<Legend>) -> Self {
        let title = title.map(one_line).filter(|title| !title.trim().is_empty());
        Self { title, legends }
    }

    pub(crate) fn height(&self) -> f64 {
        let title = if self.title.is_some() {
            BODY + GAP
        } else {
            0.0
        };
        let legend: f64 = self.legends.iter().map(Legend::height).sum();
        title + if legend > 0.0 { legend + GAP } else { 0.0 }
    }

    /// Draws title and legend at the top of the page.
    pub(crate) fn draw(&self, scene: &mut Scene, page: f64) {
        let mut top = MARGIN;
        if let Some(title) = &self.title {
            let title = font::fit(title, BODY, page - 2.0 * MARGIN);
            scene.text(
                (MARGIN, top + BODY * font::CAPITAL),
                Anchor::Start,
                BODY,
                title,
            );
            top += BODY + GAP;
        }
        for legend in &self.legends {
            legend.draw(scene, MARGIN, top);
            top += legend.height();
        }
    }
}

/// Room below an area for numbers and perhaps a label, in points.
pub(crate) fn below(label: bool) -> f64 {
    TICK + 1.5 + SMALL + if label { GAP + BODY } else { 0.0 }
}

/// A label with the unit that its numbers are in.
pub(crate) fn with_unit(label: &str, unit: Option<&str>) -> String {
    match unit {
        Some(unit) => format!("{label} ({unit})"),
        None => label.to_owned(),
    }
}

pub(crate) fn axis_stroke() -> Stroke {
    Stroke::new(style::INK, style::AXIS_LINE)
}

pub(crate) fn grid_stroke() -> Stroke {
    Stroke::new(style::GRID, style::GRID_LINE)
}

pub(crate) fn level_grid(scene: &mut Scene, area: Area, y: &Scale, ticks: &Ticks) {
    for (value, _) in &ticks.major {
        let at = y.position(*value);
        scene.line((area.left, at), (area.right(), at), grid_stroke());
    }
}

pub(crate) fn upright_grid(scene: &mut Scene, area: Area, x: &Scale, ticks: &Ticks) {
    for (value, _) in &ticks.major {
        let at = x.position(*value);
        scene.line((at, area.top), (at, area.bottom()), grid_stroke());
    }
}

/// The axis below an area with its numbers.
pub(crate) fn x_axis_below(scene: &mut Scene, area: Area, x: &Scale, ticks: &Ticks) {
    let bottom = area.bottom();
    scene.line((area.left, bottom), (area.right(), bottom), axis_stroke());
    for value in &ticks.minor {
        let at = x.position(*value);
        scene.line(
            (at, bottom),
            (at, bottom + style::MINOR_TICK),
            axis_stroke(),
        );
    }
    let baseline = bottom + TICK + 1.5 + SMALL * font::CAPITAL;
    let mut free_from = f64::NEG_INFINITY;
    for (value, label) in &ticks.major {
        let at = x.position(*value);
        scene.line((at, bottom), (at, bottom + TICK), axis_stroke());
        let half = label.width(SMALL) / 2.0;
        // A number that would run into its neighbour is left out, its tick stays; one at the
        // edge of the page moves in.
        let middle = at
            .min(scene.width - MARGIN / 2.0 - half)
            .max(MARGIN / 2.0 + half);
        if middle - half >= free_from {
            scene.text((middle, baseline), Anchor::Middle, SMALL, label.clone());
            free_from = middle + half + 2.0;
        }
    }
}

/// The label below the numbers of an axis.
pub(crate) fn x_label(scene: &mut Scene, area: Area, label: &str, numbers: bool) {
    let above = if numbers { below(false) } else { TICK };
    let baseline = area.bottom() + above + GAP + BODY * font::CAPITAL;
    let label = font::fit(&one_line(label), BODY, scene.width - 2.0 * MARGIN);
    let half = font::width(&label, BODY) / 2.0;
    let middle = (area.left + area.width / 2.0)
        .min(scene.width - MARGIN - half)
        .max(MARGIN + half);
    scene.text((middle, baseline), Anchor::Middle, BODY, label);
}

/// The axis to the left of an area with its numbers.
pub(crate) fn y_axis_left(scene: &mut Scene, area: Area, y: &Scale, ticks: &Ticks) {
    let left = area.left;
    scene.line((left, area.top), (left, area.bottom()), axis_stroke());
    for value in &ticks.minor {
        let at = y.position(*value);
        scene.line((left - style::MINOR_TICK, at), (left, at), axis_stroke());
    }
    for (value, label) in &ticks.major {
        let at = y.position(*value);
        scene.line((left - TICK, at), (left, at), axis_stroke());
        let baseline = at + SMALL * font::CAPITAL / 2.0;
        scene.text(
            (left - TICK - 1.5, baseline),
            Anchor::End,
            SMALL,
            label.clone(),
        );
    }
}

/// The label of an upright axis, its baseline at `x`.
pub(crate) fn y_label(scene: &mut Scene, area: Area, x: f64, label: &str) {
    let label = font::fit(&one_line(label), BODY, scene.height - 2.0 * MARGIN);
    let half = font::width(&label, BODY) / 2.0;
    let middle = (area.top + area.height / 2.0)
        .min(scene.height - MARGIN - half)
        .max(MARGIN + half);
    scene.upward_text((x, middle), BODY, label);
}
