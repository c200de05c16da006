//! Tables for people: GitHub's pipes.

use super::digits::{Written, written};
use super::{Entry, Number, Table};
use std::fmt::Write as _;

/// The table with its title and notes.
#[must_use]
pub fn write(table: &Table) -> String {
    let mut text = format!("**{}**\n\n", escape(&table.title));
    let headings = table.columns.iter().map(|column| escape(&column.heading()));
    line(&mut text, headings);
    let rules = table.columns.iter().map(|column| {
        let rule = if column.numeric { "---:" } else { "---" };
        rule.to_string()
    });
    line(&mut text, rules);
    for row in &table.rows {
        line(&mut text, row.iter().map(entry));
    }
    for note in &table.notes {
        let _ = write!(text, "\n{}\n", escape(note));
    }
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    text.push('|');
    for cell in cells {
        let _ = write!(text, " {cell} |");
    }
    text.push('\n');
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Text(text) => escape(text),
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
    let mut text = escape(&format!("{value}{suffix}"));
    if number.best {
        text = format!("**{text}**");
    }
    if let Some(sd) = sd {
        let _ = write!(text, " ± {sd}");
    }
    if let Some((low, high)) = interval {
        let _ = write!(text, " \\[{low}, {high}\\]");
    }
    text
}

/// Any text as it is: every character that could mean something is escaped, as `CommonMark` allows
/// for all ASCII punctuation; line breaks become spaces.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.push(' ');
            continue;
        }
        if r"\`*_{}[]<>#|~$&".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
