//! Token text as a page of HTML.

use super::allocation::bits_entry;
use super::color;
use super::svg::escape;
use super::token_text::{TokenText, visible};
use std::fmt::Write as _;

/// The look of the page. The policy forbids everything but this.
const STYLE: &str = "body{font:16px/1.7 'Liberation Sans',Arial,Helvetica,sans-serif;\
max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}\
h1{font-size:1.1em;font-weight:600}.text{white-space:pre-wrap;overflow-wrap:anywhere}\
.text span,.key span{padding:.1em 0}.key{font-size:.85em}\
.key span{padding:.1em .5em;margin-right:.5em;border:1px solid #666}.b0{text-decoration:line-through}";

/// Writes the page.
pub(crate) fn write(text: &TokenText) -> String {
    let title = escape(text.title.as_deref().unwrap_or("Bits of each token"));
    let mut out =
        String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    for cell in &text.cells {
        let _ = writeln!(
            out,
            "<meta name=\"smartkv-cell\" content=\"{}\">",
            escape(cell)
        );
    }
    let _ = writeln!(
        out,
        "<title>{title}</title><style>{STYLE}</style></head><body>"
    );
    let _ = writeln!(out, "<h1>{title}</h1><p class=\"key\">");
    for bits in text.widths() {
        let name = bits_entry(bits).name;
        let _ = writeln!(
            out,
            "<span style=\"{}\">{name}</span>",
            colors(f64::from(bits))
        );
    }
    out.push_str("</p><p class=\"text\">");
    for token in &text.tokens {
        let mut about = format!("{} bits", (token.bits * 100.0).round() / 100.0);
        if let Some(score) = token.score {
            let _ = write!(about, ", score {score:.4}");
        }
        let class = if token.bits <= 0.0 {
            " class=\"b0\""
        } else {
            ""
        };
        let (shown, style) = (escape(&visible(&token.text)), colors(token.bits));
        let _ = write!(
            out,
            "<span{class} style=\"{style}\" title=\"{about}\">{shown}</span>"
        );
        // The mark of a line break is followed by one.
        for _ in 0..token.text.matches('\n').count() {
            out.push('\n');
        }
    }
    out.push_str("</p></body></html>\n");
    out
}

fn colors(bits: f64) -> String {
    let ground = color::bits(bits);
    format!(
        "background:{};color:{}",
        ground.hex(),
        ground.contrasting().hex()
    )
}
