//! What a strategy costs: memory by part, latency by phase.

use super::color::{Color, sequential};
use super::data::{Axis, AxisFormat, Estimate, Width, distinct, finite, length, some};
use super::font;
use super::frame::{self, Head};
use super::legend::{Entry, Legend, Sample, one_line};
use super::marker::{Bar, error_bar};
use super::scale::{Scale, domain};
use super::scene::{Anchor, Area, Scene, Stroke};
use super::style::{self, GAP, MARGIN, SMALL};
use super::ticks;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Height of a bar and the space between rows, in points.
const BAR: f64 = 6.0;
const BETWEEN_ROWS: f64 = 5.0;
/// The part of a figure that names may take.
const NAMES: f64 = 0.3;
/// Space between the two halves, in points.
const BETWEEN_HALVES: f64 = 12.0;

/// Memory and latency of several strategies, side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// Parts of the memory, stacked in this order: payload, metadata, window, policy.
    pub parts: Vec<String>,
    /// Phases of the latency, one bar each: prefill, decode. None leaves that half out.
    #[serde(default)]
    pub phases: Vec<String>,
    /// The label of the memory axis.
    pub memory: String,
    /// The label of the latency axis, with its unit.
    #[serde(default)]
    pub latency: String,
    /// The strategies, top first.
    pub rows: Vec<CostRow>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// The name to the left.
    pub name: String,
    /// Bytes, one number for each part.
    pub bytes: Vec<f64>,
    /// Latency, one for each phase; null was not measured.
    #[serde(default)]
    pub latency: Vec<Option<Estimate>>,
}

impl Cost {
    fn check(&self) -> Result<(), FigureError> {
        some(&self.rows, "cost", "rows")?;
        some(&self.parts, "cost", "parts")?;
        distinct("rows", self.rows.iter().map(|row| row.name.as_str()))?;
        for row in &self.rows {
            let name = &row.name;
            length(row.bytes.len(), self.parts.len(), "part", || {
                format!("`bytes` of `{name}`")
            })?;
            length(row.latency.len(), self.phases.len(), "phase", || {
                format!("`latency` of `{name}`")
            })?;
            for (part, bytes) in self.parts.iter().zip(&row.bytes) {
                not_negative(*bytes, &format!("`{part}` of `{name}`"))?;
            }
            for (phase, latency) in self.phases.iter().zip(&row.latency) {
                if let Some(latency) = latency {
                    let place = format!("`{phase}` of `{name}`");
                    latency.check(&place)?;
                    not_negative(latency.low(), &place)?;
                }
            }
        }
        Ok(())
    }

    /// Parts in one legend, phases in another below it.
    fn legends(&self, room: f64) -> Vec<Legend> {
        let part = |(index, name): (usize, &String)| {
            Entry::new(Sample::Swatch(part_color(index, self.parts.len())), name)
        };
        let phase = |(index, name): (usize, &String)| {
            Entry::new(Sample::Swatch(phase_color(index, self.phases.len())), name)
        };
        vec![
            Legend::new(self.parts.iter().enumerate().map(part).collect(), room),
            Legend::new(self.phases.iter().enumerate().map(phase).collect(), room),
        ]
    }
}

fn not_negative(value: f64, place: &str) -> Result<(), FigureError> {
    finite(value, place)?;
    if value >= 0.0 {
        return Ok(());
    }
    Err(FigureError::OutOfRange {
        place: place.to_owned(),
        value: value.to_string(),
        expected: "at least 0".to_owned(),
    })
}

/// Parts differ in lightness first, so that they differ in grey.
fn part_color(index: usize, count: usize) -> Color {
    sequential(0.12 + 0.8 * index as f64 / (count.max(2) - 1) as f64)
}

/// Phases are oranges, to be told from parts.
fn phase_color(index: usize, count: usize) -> Color {
    const DARK: [u8; 3] = [0xa8, 0x45, 0x00];
    const LIGHT: [u8; 3] = [0xf9, 0xc6, 0x7c];
    let share = if count < 2 {
        0.4
    } else {
        index as f64 / (count - 1) as f64
    };
    let mix = |channel: usize| {
        let (dark, light) = (f64::from(DARK[channel]), f64::from(LIGHT[channel]));
        (dark + (light - dark) * share).round() as u8
    };
    Color::new(mix(0), mix(1), mix(2))
}

/// A half of the figure: where it is and what its axis shows.
struct Half {
    area: Area,
    scale: Scale,
}

impl Half {
    fn new(scene: &mut Scene, area: Area, axis: &Axis, high: f64) -> Self {
        let ends = (0.0, high);
        let scale = Scale::exact(axis.scale, ends, (area.left, area.right()));
        let ticks = ticks::choose(axis.scale, axis.format, ends, (area.width / 16.0) as usize);
        frame::upright_grid(scene, area, &scale, &ticks);
        frame::x_axis_below(scene, area, &scale, &ticks);
        let label = frame::with_unit(&axis.label, ticks.unit);
        half_label(scene, area, &label);
        Self { area, scale }
    }

    fn bar(
        &self,
        scene: &mut Scene,
        (from, to): (f64, f64),
        (top, height): (f64, f64),
        color: Color,
    ) {
        let (left, right) = (self.scale.position(from), self.scale.position(to));
        if right - left > 0.0 {
            let area = Area::new(left, top, right - left, height);
            scene.rect(area, Some(color), Some(Stroke::new(style::PAPER, 0.3)));
        }
    }
}

/// A label that stays within its half.
fn half_label(scene: &mut Scene, area: Area, label: &str) {
    let size = style::BODY;
    let baseline = area.bottom() + frame::below(false) + GAP + size * font::CAPITAL;
    let label = font::fit(&one_line(label), size, area.width + BETWEEN_HALVES - GAP);
    let half = font::width(&label, size) / 2.0;
    let middle = (area.left + area.width / 2.0).min(scene.width - MARGIN - half);
    scene.text((middle, baseline), Anchor::Middle, size, label);
}

impl Draw for Cost {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let page = self.width.points();
        let head = Head::new(self.title.as_deref(), self.legends(page - 2.0 * MARGIN));
        let name = |row: &CostRow| font::fit(&one_line(&row.name), SMALL, page * NAMES);
        let names: Vec<String> = self.rows.iter().map(name).collect();
        let widest = names
            .iter()
            .map(|name| font::width(name, SMALL))
            .fold(0.0, f64::max);
        let row_height = BAR * self.phases.len().max(2) as f64 * 0.9;
        let step = row_height + BETWEEN_ROWS;
        let left = MARGIN + widest + GAP + 1.0;
        let right = page - MARGIN - 5.0;
        let top = MARGIN + head.height() + GAP;
        let height = self.rows.len() as f64 * step;
        let halves = if self.phases.is_empty() { 1.0 } else { 2.0 };
        let width = (right - left - (halves - 1.0) * BETWEEN_HALVES) / halves;
        let mut scene = Scene::new(page, top + height + frame::below(true) + MARGIN);
        head.draw(&mut scene, page);
        let bytes = Axis::linear(&self.memory).with_format(AxisFormat::Bytes);
        let totals = self.rows.iter().map(|row| row.bytes.iter().sum::<f64>());
        let most = domain(&bytes, totals.chain([0.0]))?.1;
        let memory = Half::new(
            &mut scene,
            Area::new(left, top, width, height),
            &bytes,
            most,
        );
        let latency = if self.phases.is_empty() {
            None
        } else {
            let axis = Axis::linear(&self.latency);
            let ends = self
                .rows
                .iter()
                .flat_map(|row| row.latency.iter().flatten());
            let most = domain(&axis, ends.map(Estimate::high).chain([0.0]))?.1;
            let area = Area::new(left + width + BETWEEN_HALVES, top, width, height);
            Some(Half::new(&mut scene, area, &axis, most))
        };
        for (index, (row, name)) in self.rows.iter().zip(names).enumerate() {
            let top = top + index as f64 * step + BETWEEN_ROWS / 2.0;
            let baseline = top + row_height / 2.0 + SMALL * font::CAPITAL / 2.0;
            scene.text((left - GAP - 1.0, baseline), Anchor::End, SMALL, name);
            let mut from = 0.0;
            for (part, bytes) in row.bytes.iter().enumerate() {
                let color = part_color(part, self.parts.len());
                memory.bar(&mut scene, (from, from + bytes), (top, row_height), color);
                from += bytes;
            }
            if let Some(half) = &latency {
                self.draw_latency(&mut scene, half, row, (top, row_height));
            }
        }
        for half in [Some(&memory), latency.as_ref()].into_iter().flatten() {
            let (x, area) = (half.area.left, half.area);
            scene.line((x, area.top), (x, area.bottom()), frame::axis_stroke());
        }
        let title = self.title.as_deref().unwrap_or("Memory and latency");
        Figure::new(scene, title, &self.cells)
    }
}

impl Cost {
    fn draw_latency(
        &self,
        scene: &mut Scene,
        half: &Half,
        row: &CostRow,
        (top, height): (f64, f64),
    ) {
        let each = height / self.phases.len() as f64;
        for (phase, latency) in row.latency.iter().enumerate() {
            let top = top + phase as f64 * each;
            let middle = top + each / 2.0;
            let Some(latency) = latency else {
                let at = (half.area.left + GAP, middle + SMALL * font::CAPITAL / 2.0);
                scene.colored_text(at, Anchor::Start, SMALL, style::MUTED, "n/a");
                continue;
            };
            let color = phase_color(phase, self.phases.len());
            half.bar(scene, (0.0, latency.value), (top, each), color);
            error_bar(
                scene,
                (Bar::Level, middle),
                &half.scale,
                latency,
                style::INK,
            );
        }
    }
}
