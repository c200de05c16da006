//! A scene as a one-page PDF with its font embedded.

use super::color::Color;
use super::error::FigureError;
use super::font;
use super::label::{self, Label};
use super::scene::{Anchor, Item, Path, Raster, Scene, Segment, Text};
use miniz_oxide::deflate::compress_to_vec_zlib;
use pdf_writer::types::{CidFontType, FontFlags, LineJoinStyle, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use std::collections::BTreeMap;
use subsetter::GlyphRemapper;

/// Level of the deflate streams: small files matter more than a millisecond.
const COMPRESSION: u8 = 9;
/// Name of the font in the document: six letters mark a subset (ISO 32000-2, 9.9.2).
const FONT_NAME: &[u8] = b"SMRTKV+LiberationSans";
/// A page of PDF 1.x is at most this long, in points (ISO 32000-1, annex C).
pub(crate) const MAX_SIDE: f64 = 14_400.0;

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const CONTENT: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
const FONT: Ref = Ref::new(6);
const CID_FONT: Ref = Ref::new(7);
const DESCRIPTOR: Ref = Ref::new(8);
const FONT_FILE: Ref = Ref::new(9);
const UNICODE: Ref = Ref::new(10);
/// Rasters and opacities take the numbers from here on.
const FIRST_FREE: i32 = 11;

/// What the page refers to.
#[derive(Default)]
struct Used {
    glyphs: GlyphRemapper,
    characters: BTreeMap<u16, char>,
    rasters: Vec<Raster>,
    opacities: Vec<u8>,
}

/// Writes the scene; its title and the cells it comes from go into the document's information.
pub(crate) fn write(scene: &Scene, title: &str, cells: &[String]) -> Result<Vec<u8>, FigureError> {
    let mut used = Used::default();
    let content = content(scene, &mut used);
    let mut pdf = Pdf::new();
    pdf.catalog(CATALOG).pages(PAGES);
    pdf.pages(PAGES).kids([PAGE]).count(1);
    write_page(&mut pdf, scene, &used);
    pdf.stream(CONTENT, &compress_to_vec_zlib(&content, COMPRESSION))
        .filter(Filter::FlateDecode);
    let mut info = pdf.document_info(INFO);
    info.title(TextStr(title)).creator(TextStr("smartkv"));
    if !cells.is_empty() {
        info.keywords(TextStr(&cells.join(" ")));
    }
    info.finish();
    write_font(&mut pdf, &used)?;
    for (index, raster) in used.rasters.iter().enumerate() {
        let data = compress_to_vec_zlib(&raster.bytes(), COMPRESSION);
        let mut image = pdf.image_xobject(raster_ref(index), &data);
        image.filter(Filter::FlateDecode);
        image
            .width(raster.columns as i32)
            .height(raster.rows() as i32);
        image.color_space().device_rgb();
        image.bits_per_component(8).interpolate(false);
    }
    for (index, percent) in used.opacities.iter().enumerate() {
        pdf.ext_graphics(opacity_ref(&used, index))
            .non_stroking_alpha(f32::from(*percent) / 100.0);
    }
    Ok(pdf.finish())
}

fn raster_ref(index: usize) -> Ref {
    Ref::new(FIRST_FREE + index as i32)
}

fn opacity_ref(used: &Used, index: usize) -> Ref {
    Ref::new(FIRST_FREE + (used.rasters.len() + index) as i32)
}

fn write_page(pdf: &mut Pdf, scene: &Scene, used: &Used) {
    let mut page = pdf.page(PAGE);
    page.media_box(Rect::new(0.0, 0.0, scene.width as f32, scene.height as f32));
    page.parent(PAGES).contents(CONTENT);
    let mut resources = page.resources();
    resources.fonts().pair(Name(b"F"), FONT);
    let mut images = resources.x_objects();
    for index in 0..used.rasters.len() {
        images.pair(Name(format!("I{index}").as_bytes()), raster_ref(index));
    }
    images.finish();
    let mut states = resources.ext_g_states();
    for (index, percent) in used.opacities.iter().enumerate() {
        states.pair(
            Name(format!("A{percent}").as_bytes()),
            opacity_ref(used, index),
        );
    }
}

fn content(scene: &Scene, used: &mut Used) -> Vec<u8> {
    let mut content = Content::new();
    // PDF counts upwards: one flip for everything, undone for text and pictures.
    content.transform([1.0, 0.0, 0.0, -1.0, 0.0, scene.height as f32]);
    content.set_line_join(LineJoinStyle::RoundJoin);
    for item in &scene.items {
        match item {
            Item::Path(path) => draw_path(&mut content, path, used),
            Item::Text(text) => draw_text(&mut content, text, used),
            Item::Raster(raster) => draw_raster(&mut content, raster, used),
        }
    }
    content.finish().into_vec()
}

fn fill_color(content: &mut Content, color: Color) {
    let [red, green, blue] = color.unit();
    content.set_fill_rgb(red, green, blue);
}

fn draw_path(content: &mut Content, path: &Path, used: &mut Used) {
    let see_through = path.opacity < 1.0;
    if see_through {
        let percent = (path.opacity * 100.0).round() as u8;
        if !used.opacities.contains(&percent) {
            used.opacities.push(percent);
        }
        content
            .save_state()
            .set_parameters(Name(format!("A{percent}").as_bytes()));
    }
    if let Some(color) = path.fill {
        fill_color(content, color);
    }
    if let Some(stroke) = path.stroke {
        let [red, green, blue] = stroke.color.unit();
        content
            .set_stroke_rgb(red, green, blue)
            .set_line_width(stroke.width as f32);
        content.set_dash_pattern(stroke.dash.iter().map(|part| *part as f32), 0.0);
    }
    for segment in &path.segments {
        match *segment {
            Segment::Move(x, y) => content.move_to(x as f32, y as f32),
            Segment::Line(x, y) => content.line_to(x as f32, y as f32),
            Segment::Curve(c) => {
                let [a, b, c, d, x, y] = c.map(|value| value as f32);
                content.cubic_to(a, b, c, d, x, y)
            }
            Segment::Close => content.close_path(),
        };
    }
    match (path.fill, path.stroke) {
        (Some(_), Some(_)) => content.fill_nonzero_and_stroke(),
        (Some(_), None) => content.fill_nonzero(),
        (None, Some(_)) => content.stroke(),
        (None, None) => content.end_path(),
    };
    if see_through {
        content.restore_state();
    }
}

fn draw_text(content: &mut Content, text: &Text, used: &mut Used) {
    let Label(spans) = &text.label;
    let mut along = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -text.label.width(text.size) / 2.0,
        Anchor::End => -text.label.width(text.size),
    };
    content.begin_text();
    fill_color(content, text.color);
    for span in spans {
        let size = label::span_size(span, text.size);
        let rise = if span.raised {
            text.size * label::RAISE
        } else {
            0.0
        };
        content.set_font(Name(b"F"), size as f32);
        // The page is flipped: glyphs are flipped back.
        content.set_text_matrix(if text.upwards {
            let (x, y) = (text.x - rise, text.y - along);
            [0.0, -1.0, -1.0, 0.0, x as f32, y as f32]
        } else {
            let (x, y) = (text.x + along, text.y - rise);
            [1.0, 0.0, 0.0, -1.0, x as f32, y as f32]
        });
        show(content, &span.text, used);
        along += font::width(&span.text, size);
    }
    content.end_text();
}

/// Shows text at the pen; a box stands for what the font lacks, with the room that it has in
/// the SVG.
fn show(content: &mut Content, text: &str, used: &mut Used) {
    let mut shown = content.show_positioned();
    let mut items = shown.items();
    let mut run = Vec::with_capacity(text.len() * 2);
    for character in text.chars() {
        let original = font::glyph(character);
        let glyph = used.glyphs.remap(original.0);
        run.extend(glyph.to_be_bytes());
        if original.0 == 0 {
            items.show(Str(&run));
            run.clear();
            // Positive numbers move the pen back, in thousandths of the size.
            let missing = font::character_advance(character) - font::advance(original);
            items.adjust((-1000.0 * missing) as f32);
        } else {
            used.characters.entry(glyph).or_insert(character);
        }
    }
    if !run.is_empty() {
        items.show(Str(&run));
    }
}

fn draw_raster(content: &mut Content, raster: &Raster, used: &mut Used) {
    let name = format!("I{}", used.rasters.len());
    content.save_state();
    let (width, height) = (raster.width as f32, raster.height as f32);
    content.transform([
        width,
        0.0,
        0.0,
        -height,
        raster.x as f32,
        raster.y as f32 + height,
    ]);
    content.x_object(Name(name.as_bytes()));
    content.restore_state();
    used.rasters.push(raster.enlarged());
}

fn write_font(pdf: &mut Pdf, used: &Used) -> Result<(), FigureError> {
    let face = font::face();
    let subset =
        subsetter::subset(font::FILE, 0, &used.glyphs).map_err(|error| FigureError::Encode {
            format: "PDF",
            reason: format!("font subset: {error}"),
        })?;
    // Fonts are measured in thousandths of the size.
    let thousandths = |units: i16| f32::from(units) * 1000.0 / f32::from(face.units_per_em());
    let identity = SystemInfo {
        registry: Str(b"Adobe"),
        ordering: Str(b"Identity"),
        supplement: 0,
    };
    pdf.type0_font(FONT)
        .base_font(Name(FONT_NAME))
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(CID_FONT)
        .to_unicode(UNICODE);
    let mut cid_font = pdf.cid_font(CID_FONT);
    cid_font
        .subtype(CidFontType::Type2)
        .base_font(Name(FONT_NAME))
        .system_info(identity);
    cid_font
        .font_descriptor(DESCRIPTOR)
        .cid_to_gid_map_predefined(Name(b"Identity"));
    let widths = used
        .glyphs
        .remapped_gids()
        .map(|glyph| (font::advance(ttf_parser::GlyphId(glyph)) * 1000.0) as f32);
    cid_font.widths().consecutive(0, widths);
    cid_font.finish();
    let bounds = face.global_bounding_box();
    pdf.font_descriptor(DESCRIPTOR)
        .name(Name(FONT_NAME))
        .flags(FontFlags::NON_SYMBOLIC)
        .bbox(Rect::new(
            thousandths(bounds.x_min),
            thousandths(bounds.y_min),
            thousandths(bounds.x_max),
            thousandths(bounds.y_max),
        ))
        .italic_angle(0.0)
        .ascent(thousandths(face.ascender()))
        .descent(thousandths(face.descender()))
        .cap_height(thousandths(
            face.capital_height().unwrap_or_else(|| face.ascender()),
        ))
        .stem_v(80.0)
        .font_file2(FONT_FILE);
    let packed = compress_to_vec_zlib(&subset, COMPRESSION);
    let mut file = pdf.stream(FONT_FILE, &packed);
    file.filter(Filter::FlateDecode);
    file.pair(Name(b"Length1"), subset.len() as i32);
    file.finish();
    let mut unicode = UnicodeCmap::new(Name(b"Custom"), identity);
    for (&glyph, &character) in &used.characters {
        unicode.pair(glyph, character);
    }
    pdf.cmap(UNICODE, &unicode.finish());
    Ok(())
}
