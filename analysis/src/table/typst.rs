//! Tables for a paper in Typst.

use super::digits::{Written, written};
use super::{Entry, Number, Table};
use std::fmt::Write as _;

/// A `figure` with caption, label and notes. Texts are strings of Typst, which it does not read as
/// markup.
#[must_use]
pub fn write(table: &Table) -> String {
    let alignment = table
        .columns
        .iter()
        .map(|c| if c.numeric { "right" } else { "left" });
    let alignment: Vec<&str> = alignment.collect();
    let mut text = format!(
        "#figure(\n  kind: table,\n  caption: {},\n  [#table(\n    columns: {},\n    align: ({},),\n    stroke: none,\n    table.hline(),\n",
        string(&table.title),
        table.columns.len(),
        alignment.join(", "),
    );
    let headings = table.columns.iter().map(|column| string(&column.heading()));
    let headings: Vec<String> = headings.collect();
    let _ = write!(
        text,
        "    table.header({}),\n    table.hline(stroke: 0.5pt),\n",
        headings.join(", ")
    );
    for row in &table.rows {
        let row: Vec<String> = row.iter().map(entry).collect();
        let _ = writeln!(text, "    {},", row.join(", "));
    }
    text.push_str("    table.hline(),\n  )");
    if !table.notes.is_empty() {
        let notes = string(&table.notes.join(" "));
        let _ = write!(text, " #align(left, text(size: 0.8em, {notes}))");
    }
    let _ = write!(
        text,
        "],\n) #label({})\n",
        string(&format!("tab:{}", table.name))
    );
    text
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Text(text) => string(text),
        Entry::Number(own) => number(own),
    }
}

fn number(number: &Number) -> String {
    let Written {
        value,
        sd,
        interval,
        suffix,
    } = written(number);
    let minus = |text: String| text.replace('-', "−");
    let mut text = string(&minus(format!("{value}{suffix}")));
    if number.best {
        text = format!("strong({text})");
    }
    let mut rest = String::new();
    if let Some(sd) = sd {
        let _ = write!(rest, " ± {sd}");
    }
    if let Some((low, high)) = interval {
        rest.push_str(&minus(format!(" [{low}, {high}]")));
    }
    if rest.is_empty() {
        text
    } else {
        format!("{text} + {}", string(&rest))
    }
}

/// Any text as a string of Typst.
#[must_use]
pub fn string(text: &str) -> String {
    let mut escaped = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped.push('"');
    escaped
}
