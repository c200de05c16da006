//! Tables for a paper in LaTeX, with the rules of `booktabs`.

use super::digits::{Written, written};
use super::{Entry, Number, Table};
use std::fmt::Write as _;

/// A `table` with caption, label and notes. The preamble needs `\usepackage{booktabs}`.
#[must_use]
pub fn write(table: &Table) -> String {
    let alignment = table
        .columns
        .iter()
        .map(|c| if c.numeric { 'r' } else { 'l' });
    let mut text = format!(
        "\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\label{{tab:{}}}\n\\begin{{tabular}}{{{}}}\n\\toprule\n",
        escape(&table.title),
        label(&table.name),
        alignment.collect::<String>(),
    );
    let headings = table.columns.iter().map(|column| escape(&column.heading()));
    line(&mut text, headings);
    text.push_str("\\midrule\n");
    for row in &table.rows {
        line(&mut text, row.iter().map(entry));
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n");
    if !table.notes.is_empty() {
        let notes: Vec<String> = table.notes.iter().map(|note| escape(note)).collect();
        let _ = write!(
            text,
            "\n\\smallskip\n{{\\footnotesize {}\\par}}\n",
            notes.join("\n")
        );
    }
    text.push_str("\\end{table}\n");
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    text.push_str(&cells.join(" & "));
    text.push_str(" \\\\\n");
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
    // In mathematics a hyphen is a minus.
    let mut text = escape(&value).replace('-', "$-$") + &escape(suffix);
    if number.best {
        text = format!("\\textbf{{{text}}}");
    }
    if let Some(sd) = sd {
        let _ = write!(text, " $\\pm$ {sd}");
    }
    if let Some((low, high)) = interval {
        let ends = format!(" {{[}}{low}, {high}{{]}}");
        text.push_str(&ends.replace('-', "$-$"));
    }
    text
}

/// What may stand in a label.
fn label(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().map(safe).collect()
}

/// Any text as it is. A star or a bracket is in braces: after `\\` they would be its arguments.
/// Letters beyond ASCII need an engine that reads UTF-8, as all of today's do, and a font that has
/// them.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '"' => escaped.push_str("\\char34{}"),
            '\'' => escaped.push_str("\\char39{}"),
            '`' => escaped.push_str("\\char96{}"),
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => escaped.extend(['\\', c]),
            '*' | '[' | ']' => escaped.extend(['{', c, '}']),
            '±' => escaped.push_str("$\\pm$"),
            '−' => escaped.push_str("$-$"),
            // Two hyphens would become a dash.
            '-' if escaped.ends_with('-') => escaped.push_str("{}-"),
            '–' => escaped.push_str("\\textendash{}"),
            '↓' => escaped.push_str("$\\downarrow$"),
            '↑' => escaped.push_str("$\\uparrow$"),
            'Δ' => escaped.push_str("$\\Delta$"),
            'δ' => escaped.push_str("$\\delta$"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
