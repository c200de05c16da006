//! The one font of all figures, and how wide text in it is.
//!
//! Liberation Sans has the widths of Arial and Helvetica, so a viewer of the SVG that has
//! either of those shows text where it was laid out.

use std::sync::OnceLock;
use ttf_parser::{Face, GlyphId};

/// The font file (SIL Open Font Licence 1.1, `fonts/LICENSE-OFL.txt`).
pub(crate) const FILE: &[u8] = include_bytes!("../../fonts/LiberationSans-Regular.ttf");

/// What an SVG asks for, first choice first.
pub(crate) const FAMILY: &str = "Liberation Sans, Arial, Helvetica, sans-serif";

/// Height of capitals over the size: half of it centres text on a line.
pub(crate) const CAPITAL: f64 = 0.71;

/// Most characters from here on are wide (the first Hangul letter).
const FIRST_WIDE: char = '\u{1100}';
/// The share of a cut text that stands before the ellipsis.
const HEAD: f64 = 0.6;

/// The parsed font.
pub(crate) fn face() -> &'static Face<'static> {
    static FACE: OnceLock<Face<'static>> = OnceLock::new();
    FACE.get_or_init(|| Face::parse(FILE, 0).expect("the embedded font is a valid TrueType file"))
}

/// The glyph of a character; the empty box of the font where it has none.
pub(crate) fn glyph(character: char) -> GlyphId {
    face().glyph_index(character).unwrap_or(GlyphId(0))
}

/// How far a glyph moves the pen, in units of the size.
pub(crate) fn advance(glyph: GlyphId) -> f64 {
    f64::from(face().glyph_hor_advance(glyph).unwrap_or(0)) / f64::from(face().units_per_em())
}

/// How far a character moves the pen, in units of the size.
///
/// A viewer of the SVG takes what this font lacks from another one, where the scripts of East
/// Asia are a full size wide; room is left for that.
pub(crate) fn character_advance(character: char) -> f64 {
    match face().glyph_index(character) {
        Some(glyph) => advance(glyph),
        None if character >= FIRST_WIDE => 1.0,
        None => advance(GlyphId(0)),
    }
}

/// The width of a text in points at a size in points.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(character_advance).sum::<f64>() * size
}

/// The text, its middle cut out so that it is at most `room` points wide: long names tend to
/// differ at their ends.
pub(crate) fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let room = (room - width("…", size)).max(0.0);
    let take = |characters: &mut dyn Iterator<Item = char>, room: f64| -> Vec<char> {
        let mut used = 0.0;
        let fits = |character: &char| {
            used += character_advance(*character) * size;
            used <= room
        };
        characters.take_while(fits).collect()
    };
    let head: String = take(&mut text.chars(), room * HEAD).into_iter().collect();
    let tail = take(&mut text.chars().rev(), room * (1.0 - HEAD));
    let tail: String = tail.into_iter().rev().collect();
    format!("{}…{}", head.trim_end(), tail.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_equally_wide_and_known() {
        // 1139 units of 2048 in Arial and its metric twins.
        for digit in '0'..='9' {
            assert!(
                (advance(glyph(digit)) - 1139.0 / 2048.0).abs() < 1e-9,
                "{digit}"
            );
        }
    }

    #[test]
    fn cut_text_fits() {
        let long = "a very long strategy name "
            .repeat(20)
            .trim_end()
            .to_owned();
        let cut = fit(&long, 7.0, 100.0);
        assert!(width(&cut, 7.0) <= 100.0, "{cut}");
        assert!(
            cut.starts_with("a very long") && cut.ends_with("name"),
            "{cut}"
        );
        assert_eq!(fit("short", 7.0, 100.0), "short");
        assert_eq!(fit("none at all", 7.0, 0.0), "…");
    }

    #[test]
    fn what_figures_write_is_in_the_font() {
        for character in "−×…–→¶□".chars() {
            assert!(face().glyph_index(character).is_some(), "{character:?}");
        }
    }
}
