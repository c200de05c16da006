//! Text with each token on the colour of its bits.

use super::allocation::bits_entry;
use super::color;
use super::data::{Width, finite, some};
use super::font;
use super::frame::Head;
use super::legend::{Entry, Legend};
use super::scene::{Anchor, Area, Scene, Stroke};
use super::style::{self, MARGIN, SMALL};
use super::token_html;
use super::{Draw, Figure, FigureError};
use serde::{Deserialize, Serialize};

/// Height of a line, in points.
const LINE: f64 = 11.0;
/// Height of the colour behind a token, in points.
const GROUND: f64 = 9.2;
/// Bit-widths that the legend names.
const NAMED: [u8; 7] = [0, 1, 2, 3, 4, 8, 16];

/// A text with the bits of each of its tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenText {
    /// A line above the figure.
    #[serde(default)]
    pub title: Option<String>,
    /// The tokens in order.
    pub tokens: Vec<TokenBits>,
    /// The width in print.
    #[serde(default)]
    pub width: Width,
    /// Ids of the records that the numbers come from.
    pub cells: Vec<String>,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenBits {
    /// Its text, spaces and line breaks included.
    pub text: String,
    /// Its bits from 0 (evicted) to 16; between two widths where it is a mean over layers.
    pub bits: f64,
    /// The score that decided, where there is one.
    #[serde(default)]
    pub score: Option<f64>,
}

impl TokenText {
    pub(crate) fn check(&self) -> Result<(), FigureError> {
        some(&self.tokens, "token text", "tokens")?;
        for (index, token) in self.tokens.iter().enumerate() {
            finite(token.bits, &format!("the bits of token {index}"))?;
            if !(0.0..=16.0).contains(&token.bits) {
                return Err(FigureError::OutOfRange {
                    place: format!("the bits of token {index}"),
                    value: token.bits.to_string(),
                    expected: "0 to 16".to_owned(),
                });
            }
            if let Some(score) = token.score {
                finite(score, &format!("the score of token {index}"))?;
            }
        }
        Ok(())
    }

    /// The bit-widths to explain: those in use, or the usual ones around means.
    pub(crate) fn widths(&self) -> Vec<u8> {
        let (low, high) = self
            .tokens
            .iter()
            .fold((16.0_f64, 0.0_f64), |(low, high), t| {
                (low.min(t.bits), high.max(t.bits))
            });
        let whole = self.tokens.iter().all(|token| token.bits.fract() == 0.0);
        if whole {
            let used: std::collections::BTreeSet<u8> =
                self.tokens.iter().map(|token| token.bits as u8).collect();
            return used.into_iter().collect();
        }
        let from = NAMED
            .iter()
            .rposition(|bits| f64::from(*bits) <= low)
            .unwrap_or(0);
        let to = NAMED
            .iter()
            .position(|bits| f64::from(*bits) >= high)
            .unwrap_or(6);
        NAMED[from..=to].to_vec()
    }

    /// The text as a page of HTML: nothing is loaded, each token tells its bits and score.
    ///
    /// # Errors
    /// As [`Draw::draw`].
    pub fn html(&self) -> Result<String, FigureError> {
        self.check()?;
        Ok(token_html::write(self))
    }
}

/// A token laid out.
struct Placed {
    text: String,
    bits: f64,
    area: Area,
}

impl Draw for TokenText {
    fn draw(&self) -> Result<Figure, FigureError> {
        self.check()?;
        let page = self.width.points();
        let entries: Vec<Entry> = self.widths().into_iter().map(bits_entry).collect();
        let head = Head::new(
            self.title.as_deref(),
            vec![Legend::new(entries, page - 2.0 * MARGIN)],
        );
        let placed = place(&self.tokens, page, MARGIN + head.height());
        let bottom = placed.last().map_or(0.0, |last| last.area.bottom());
        let mut scene = Scene::new(page, bottom + MARGIN);
        head.draw(&mut scene, page);
        for token in &placed {
            let ground = color::bits(token.bits);
            let edge = Stroke::new(style::PAPER, 0.4);
            scene.rect(token.area, Some(ground), Some(edge));
            if token.bits <= 0.0 {
                // Evicted: no colour, struck through.
                let middle = token.area.top + GROUND / 2.0;
                let ends = (token.area.left, token.area.right());
                let stroke = Stroke::new(style::MUTED, 0.4);
                scene.line((ends.0, middle), (ends.1, middle), stroke);
            }
            let ink = if token.bits <= 0.0 {
                style::MUTED
            } else {
                ground.contrasting()
            };
            let baseline = token.area.top + GROUND / 2.0 + SMALL * font::CAPITAL / 2.0;
            let at = (token.area.left, baseline);
            scene.colored_text(at, Anchor::Start, SMALL, ink, token.text.clone());
        }
        let title = self.title.as_deref().unwrap_or("Bits of each token");
        Figure::new(scene, title, &self.cells)
    }
}

/// Breaks the tokens into lines; a token too long for a line is cut.
fn place(tokens: &[TokenBits], page: f64, top: f64) -> Vec<Placed> {
    let (left, room) = (MARGIN, page - 2.0 * MARGIN);
    let (mut x, mut y) = (0.0, top);
    let mut placed = Vec::with_capacity(tokens.len());
    for token in tokens {
        let text = font::fit(&visible(&token.text), SMALL, room);
        let width = font::width(&text, SMALL).max(1.0);
        if x > 0.0 && x + width > room {
            x = 0.0;
            y += LINE;
        }
        placed.push(Placed {
            text,
            bits: token.bits,
            area: Area::new(left + x, y, width, GROUND),
        });
        x += width;
        if token.text.contains('\n') {
            x = 0.0;
            y += LINE;
        }
    }
    placed
}

/// The text with what cannot be seen made visible.
pub(crate) fn visible(text: &str) -> String {
    let show = |character: char| match character {
        '\n' => '¶',
        '\t' => '→',
        other if other.is_control() => '□',
        other => other,
    };
    text.chars().map(show).collect()
}
