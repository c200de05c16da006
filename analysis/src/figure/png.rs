//! A scene as pixels.

use super::color::Color;
use super::error::FigureError;
use super::font;
use super::label::{self, Label};
use super::scene::{Anchor, Item, Path, Raster, Scene, Segment, Text};
use tiny_skia::{
    FillRule, FilterQuality, LineCap, LineJoin, Paint, PathBuilder, Pixmap, PixmapPaint, Rect,
    StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

/// Points in an inch.
const POINTS_PER_INCH: f64 = 72.0;
/// A picture larger than this is not what anyone wanted.
const MAX_PIXELS: f64 = 1.2e8;

/// Draws the scene at a resolution in dots per inch.
pub(crate) fn write(scene: &Scene, dots_per_inch: f64) -> Result<Vec<u8>, FigureError> {
    let zoom = dots_per_inch / POINTS_PER_INCH;
    let (width, height) = ((scene.width * zoom).round(), (scene.height * zoom).round());
    if !(width >= 1.0 && height >= 1.0 && width * height <= MAX_PIXELS) {
        return Err(FigureError::OutOfRange {
            place: "the resolution".to_owned(),
            value: format!("{dots_per_inch} dots per inch, {width} by {height} pixels"),
            expected: format!("at least one pixel and at most {MAX_PIXELS:e}"),
        });
    }
    let mut page =
        Pixmap::new(width as u32, height as u32).ok_or_else(|| failed("no such size"))?;
    page.fill(tiny_skia::Color::WHITE);
    let zoom = Transform::from_scale(zoom as f32, zoom as f32);
    for item in &scene.items {
        match item {
            Item::Path(path) => draw_path(&mut page, path, zoom),
            Item::Text(text) => draw_text(&mut page, text, zoom),
            Item::Raster(raster) => draw_raster(&mut page, raster, zoom)?,
        }
    }
    encode(&page)
}

/// The cells of a raster as a picture, one pixel each.
pub(crate) fn cells(raster: &Raster) -> Result<Vec<u8>, FigureError> {
    encode(&pixels(raster)?)
}

fn encode(page: &Pixmap) -> Result<Vec<u8>, FigureError> {
    page.encode_png()
        .map_err(|error| failed(&error.to_string()))
}

fn failed(reason: &str) -> FigureError {
    FigureError::Encode {
        format: "PNG",
        reason: reason.to_owned(),
    }
}

fn pixels(raster: &Raster) -> Result<Pixmap, FigureError> {
    let mut picture = Pixmap::new(raster.columns as u32, raster.rows() as u32)
        .ok_or_else(|| failed("a raster without cells"))?;
    for (pixel, cell) in picture.pixels_mut().iter_mut().zip(&raster.cells) {
        let color = tiny_skia::ColorU8::from_rgba(cell.red, cell.green, cell.blue, 255);
        *pixel = color.premultiply();
    }
    Ok(picture)
}

fn paint(color: Color, opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    let alpha = (opacity * 255.0).round() as u8;
    paint.set_color_rgba8(color.red, color.green, color.blue, alpha);
    paint
}

fn draw_path(page: &mut Pixmap, path: &Path, zoom: Transform) {
    let mut builder = PathBuilder::new();
    for segment in &path.segments {
        match *segment {
            Segment::Move(x, y) => builder.move_to(x as f32, y as f32),
            Segment::Line(x, y) => builder.line_to(x as f32, y as f32),
            Segment::Curve(c) => {
                let [a, b, c, d, x, y] = c.map(|value| value as f32);
                builder.cubic_to(a, b, c, d, x, y);
            }
            Segment::Close => builder.close(),
        }
    }
    let Some(outline) = builder.finish() else {
        return;
    };
    if let Some(color) = path.fill {
        let paint = paint(color, path.opacity);
        page.fill_path(&outline, &paint, FillRule::Winding, zoom, None);
    }
    if let Some(stroke) = path.stroke {
        let dash = stroke.dash.iter().map(|part| *part as f32).collect();
        let style = tiny_skia::Stroke {
            width: stroke.width as f32,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            dash: StrokeDash::new(dash, 0.0),
            ..tiny_skia::Stroke::default()
        };
        page.stroke_path(&outline, &paint(stroke.color, 1.0), &style, zoom, None);
    }
}

/// Collects the outline of a glyph.
struct Outline(PathBuilder);

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }
    fn close(&mut self) {
        self.0.close();
    }
}

fn draw_text(page: &mut Pixmap, text: &Text, zoom: Transform) {
    let paint = paint(text.color, 1.0);
    let Label(spans) = &text.label;
    let mut along = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -text.label.width(text.size) / 2.0,
        Anchor::End => -text.label.width(text.size),
    };
    let place = zoom.pre_translate(text.x as f32, text.y as f32);
    let place = if text.upwards {
        place.pre_rotate(-90.0)
    } else {
        place
    };
    for span in spans {
        let size = label::span_size(span, text.size);
        let rise = if span.raised {
            text.size * label::RAISE
        } else {
            0.0
        };
        let scale = (size / f64::from(font::face().units_per_em())) as f32;
        for character in span.text.chars() {
            let glyph = font::glyph(character);
            let mut outline = Outline(PathBuilder::new());
            font::face().outline_glyph(glyph, &mut outline);
            // A space has no outline.
            if let Some(outline) = outline.0.finish() {
                let place = place
                    .pre_translate(along as f32, -rise as f32)
                    .pre_scale(scale, -scale);
                page.fill_path(&outline, &paint, FillRule::Winding, place, None);
            }
            along += font::advance(glyph) * size;
        }
    }
}

fn draw_raster(page: &mut Pixmap, raster: &Raster, zoom: Transform) -> Result<(), FigureError> {
    let picture = pixels(raster)?;
    let across = raster.width / raster.columns as f64;
    let down = raster.height / raster.rows() as f64;
    let place = zoom
        .pre_translate(raster.x as f32, raster.y as f32)
        .pre_scale(across as f32, down as f32);
    if across * f64::from(zoom.sx) >= 1.0 && down * f64::from(zoom.sy) >= 1.0 {
        let exact = PixmapPaint {
            quality: FilterQuality::Nearest,
            ..PixmapPaint::default()
        };
        page.draw_pixmap(0, 0, picture.as_ref(), &exact, place, None);
    } else {
        // More cells than pixels: each cell covers its share of a pixel.
        for (index, cell) in raster.cells.iter().enumerate() {
            let (column, row) = (index % raster.columns, index / raster.columns);
            if let Some(area) = Rect::from_xywh(column as f32, row as f32, 1.0, 1.0) {
                page.fill_rect(area, &paint(*cell, 1.0), place, None);
            }
        }
    }
    Ok(())
}
