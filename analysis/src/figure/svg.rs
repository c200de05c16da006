//! A scene as SVG text.

use super::color::Color;
use super::font;
use super::label::{self, Label};
use super::png;
use super::scene::{Anchor, Item, Path, Raster, Scene, Segment, Stroke, Text};
use std::fmt::Write as _;

/// Writes the scene, its title and the cells it comes from.
pub(crate) fn write(scene: &Scene, title: &str, cells: &[String]) -> String {
    let (width, height) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}pt\" height=\"{height}pt\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{}\" xml:space=\"preserve\">",
        font::FAMILY
    );
    let _ = write!(
        out,
        "<title>{}</title><metadata><cells xmlns=\"\">",
        escape(title)
    );
    for cell in cells {
        let _ = write!(out, "<cell>{}</cell>", escape(cell));
    }
    out.push_str("</cells></metadata>\n");
    let _ = writeln!(
        out,
        "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
    );
    for item in &scene.items {
        match item {
            Item::Path(path) => write_path(&mut out, path),
            Item::Text(text) => write_text(&mut out, text),
            Item::Raster(raster) => write_raster(&mut out, raster),
        }
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

fn write_path(out: &mut String, path: &Path) {
    out.push_str("<path d=\"");
    for segment in &path.segments {
        let _ = match segment {
            Segment::Move(x, y) => write!(out, "M{} {}", number(*x), number(*y)),
            Segment::Line(x, y) => write!(out, "L{} {}", number(*x), number(*y)),
            Segment::Curve(c) => {
                let c = c.map(number);
                write!(
                    out,
                    "C{} {} {} {} {} {}",
                    c[0], c[1], c[2], c[3], c[4], c[5]
                )
            }
            Segment::Close => write!(out, "Z"),
        };
    }
    let _ = write!(
        out,
        "\" fill=\"{}\"",
        path.fill.map_or_else(|| "none".into(), Color::hex)
    );
    if path.opacity < 1.0 {
        let _ = write!(out, " fill-opacity=\"{}\"", number(path.opacity));
    }
    if let Some(Stroke { color, width, dash }) = path.stroke {
        let _ = write!(
            out,
            " stroke=\"{}\" stroke-width=\"{}\"",
            color.hex(),
            number(width)
        );
        out.push_str(" stroke-linejoin=\"round\"");
        if !dash.is_empty() {
            let dash: Vec<String> = dash.iter().map(|part| number(*part)).collect();
            let _ = write!(out, " stroke-dasharray=\"{}\"", dash.join(" "));
        }
    }
    out.push_str("/>");
}

fn write_text(out: &mut String, text: &Text) {
    let (x, y) = (number(text.x), number(text.y));
    let _ = write!(
        out,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\"",
        number(text.size),
        text.color.hex()
    );
    match text.anchor {
        Anchor::Start => {}
        Anchor::Middle => out.push_str(" text-anchor=\"middle\""),
        Anchor::End => out.push_str(" text-anchor=\"end\""),
    }
    if text.upwards {
        let _ = write!(out, " transform=\"rotate(-90 {x} {y})\"");
    }
    out.push('>');
    let Label(spans) = &text.label;
    let mut raised = false;
    for span in spans {
        let rise = number(text.size * label::RAISE);
        if span.raised {
            let size = number(label::span_size(span, text.size));
            let _ = write!(
                out,
                "<tspan dy=\"-{rise}\" font-size=\"{size}\">{}</tspan>",
                escape(&span.text)
            );
        } else if raised {
            let _ = write!(out, "<tspan dy=\"{rise}\">{}</tspan>", escape(&span.text));
        } else {
            out.push_str(&escape(&span.text));
        }
        raised = span.raised;
    }
    out.push_str("</text>");
}

fn write_raster(out: &mut String, raster: &Raster) {
    let image = png::cells(&raster.enlarged());
    let _ = write!(
        out,
        "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
        number(raster.x),
        number(raster.y),
        number(raster.width),
        number(raster.height),
        base64(&image)
    );
}

/// A coordinate: hundredths of a point are finer than print.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Text for XML and HTML: markup escaped, characters that XML forbids replaced.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// Base 64 of RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = group >> (18 - 6 * place) & 63;
                out.push(char::from(ALPHABET[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let known = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (length, expected) in known.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *expected);
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(1.0), "1");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(12.345_6), "12.35");
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn forbidden_characters_are_replaced() {
        assert_eq!(
            escape("a<b>&\"'\u{0}\u{1b}"),
            "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}"
        );
    }
}
