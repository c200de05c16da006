//! A scene as pixels.

use super::color::Color;
use super::error::FigureError;
use super::font;
use super::label::{self, Label};
use super::legend::one_line;
use super::png_file;
use super::scene::{Anchor, Item, Path, Raster, Scene, Segment, Text};
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, PixmapPaint, StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

/// Points in an inch.
const POINTS_PER_INCH: f64 = 72.0;
/// A picture larger than this is not what anyone wanted.
const MAX_PIXELS: f64 = 1.2e8;

/// Draws the scene at a resolution in dots per inch; its title and the cells it comes from are
/// comments of the file.
pub(crate) fn write(
    scene: &Scene,
    title: &str,
    cells: &[String],
    dots_per_inch: f64,
) -> Result<Vec<u8>, FigureError> {
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
    // The page is opaque: what is below its alpha is the colour itself.
    let rgb: Vec<u8> = page
        .pixels()
        .iter()
        .flat_map(|p| [p.red(), p.green(), p.blue()])
        .collect();
    let (title, cells) = (one_line(title), one_line(&cells.join(" ")));
    let comments = [("Title", title.as_str()), ("Cells", cells.as_str())];
    let comments: Vec<_> = comments
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    Ok(png_file::write(width as u32, &rgb, &comments))
}

/// The cells of a raster as a picture, one pixel each.
pub(crate) fn cells(raster: &Raster) -> Vec<u8> {
    png_file::write(raster.columns as u32, &raster.bytes(), &[])
}

fn failed(reason: &str) -> FigureError {
    FigureError::Encode {
        format: "PNG",
        reason: reason.to_owned(),
    }
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
            along += font::character_advance(character) * size;
        }
    }
}

/// Draws a grid of cells over whole pixels; a pixel that several cells share is their mean.
fn draw_raster(page: &mut Pixmap, raster: &Raster, zoom: Transform) -> Result<(), FigureError> {
    let zoom = f64::from(zoom.sx);
    let ends = |from: f64, length: f64| {
        let (first, last) = ((from * zoom).round(), ((from + length) * zoom).round());
        (first as i32, (last - first).max(1.0) as usize)
    };
    let (left, width) = ends(raster.x, raster.width);
    let (top, height) = ends(raster.y, raster.height);
    let across = shares(raster.columns, width);
    let down = shares(raster.rows(), height);
    let mut picture = Pixmap::new(width as u32, height as u32)
        .ok_or_else(|| failed("a raster without pixels"))?;
    for (y, rows) in down.iter().enumerate() {
        for (x, columns) in across.iter().enumerate() {
            let mut sum = [0.0; 3];
            for (row, tall) in rows {
                for (column, wide) in columns {
                    let cell = raster.cells[row * raster.columns + column];
                    for (sum, channel) in sum.iter_mut().zip([cell.red, cell.green, cell.blue]) {
                        *sum += f64::from(channel) * tall * wide;
                    }
                }
            }
            let [red, green, blue] = sum.map(|channel| channel.round() as u8);
            picture.pixels_mut()[y * width + x] =
                tiny_skia::ColorU8::from_rgba(red, green, blue, 255).premultiply();
        }
    }
    page.draw_pixmap(
        left,
        top,
        picture.as_ref(),
        &PixmapPaint::default(),
        Transform::identity(),
        None,
    );
    Ok(())
}

/// For each pixel, the cells it lies on with their shares of it.
fn shares(cells: usize, pixels: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = cells as f64 / pixels as f64;
    let of = |pixel: usize| {
        let (from, to) = (pixel as f64 * scale, (pixel + 1) as f64 * scale);
        let last = (to.ceil() as usize).clamp(1, cells);
        (from.floor() as usize..last)
            .map(|cell| {
                (
                    cell,
                    (to.min((cell + 1) as f64) - from.max(cell as f64)) / scale,
                )
            })
            .filter(|(_, share)| *share > 0.0)
            .collect()
    };
    (0..pixels).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A pixel is made of cells to exactly one.
        #[test]
        fn shares_sum_to_one(cells in 1_usize..300, pixels in 1_usize..300) {
            for shares in shares(cells, pixels) {
                let sum: f64 = shares.iter().map(|(_, share)| share).sum();
                prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
                prop_assert!(shares.iter().all(|(cell, _)| *cell < cells));
            }
        }
    }
}
