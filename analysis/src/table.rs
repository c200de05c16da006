//! A table as data: what its columns are, its numbers with their intervals, the cells each number
//! comes from, and notes. Writers turn it into text.

pub mod csv;
pub mod digits;
pub mod latex;
pub mod markdown;
pub mod provenance;
pub mod typst;

use crate::measure::Better;
use serde::Serialize;
use smartkv_stats::Interval;

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Name for a file: plan and kind.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, an entry a column.
    pub rows: Vec<Vec<Entry>>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The unit of its numbers, empty for a share or a ratio.
    pub unit: String,
    /// Whether it holds numbers, which stand to the right.
    pub numeric: bool,
    /// Which way is better.
    pub better: Better,
}

impl Column {
    /// A column of text.
    pub fn text(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            unit: String::new(),
            numeric: false,
            better: Better::Neither,
        }
    }

    /// A column of numbers.
    pub fn number(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            numeric: true,
            better: Better::Neither,
        }
    }

    /// The name with the unit, and an arrow to where it is better.
    #[must_use]
    pub fn heading(&self) -> String {
        let arrow = match self.better {
            Better::Lower => " ↓",
            Better::Higher => " ↑",
            Better::Neither => "",
        };
        if self.unit.is_empty() {
            format!("{}{arrow}", self.name)
        } else {
            format!("{} ({}){arrow}", self.name, self.unit)
        }
    }
}

/// One entry of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// A word.
    Text(String),
    /// A number.
    Number(Number),
}

impl Entry {
    /// A word.
    pub fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    /// Where there is nothing to say.
    #[must_use]
    pub fn nothing() -> Self {
        Self::Text(NOTHING.into())
    }
}

/// What stands where there is no number.
pub const NOTHING: &str = "–";

/// What stands where a simulated strategy has none.
pub const SIMULATED: &str = "simulated";

/// A number with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Number {
    /// How much.
    pub value: f64,
    /// Standard deviation over seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sd: Option<f64>,
    /// Interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// How it is written.
    #[serde(skip)]
    pub style: Style,
    /// Whether it takes part where the best is marked.
    #[serde(skip)]
    pub ranked: bool,
    /// Whether it is the best of those it is ranked with, or written like it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub best: bool,
    /// The records it comes from.
    pub cells: Vec<String>,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As many digits as its interval or spread tells, else four.
    Plain,
    /// The same, with its sign.
    Signed,
    /// A whole number.
    Whole,
    /// A share in percent, with its sign.
    Change,
    /// A probability.
    P,
}

impl Number {
    /// A number from these records.
    #[must_use]
    pub fn new(value: f64, style: Style, cells: &[String]) -> Self {
        Self {
            value,
            sd: None,
            interval: None,
            style,
            ranked: true,
            best: false,
            cells: cells.to_vec(),
        }
    }

    /// With its interval.
    #[must_use]
    pub fn within(mut self, interval: Option<Interval>) -> Self {
        self.interval = interval;
        self
    }

    /// With its spread over seeds.
    #[must_use]
    pub fn spread(mut self, sd: Option<f64>) -> Self {
        self.sd = sd;
        self
    }
}

/// A format that tables are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people and repositories.
    Markdown,
    /// For a paper, with `booktabs`.
    Latex,
    /// For programs: full precision, no notes.
    Csv,
    /// For a paper in Typst.
    Typst,
}

impl Format {
    /// What names of files end in.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Latex => "tex",
            Self::Csv => "csv",
            Self::Typst => "typ",
        }
    }

    /// Writes a table.
    #[must_use]
    pub fn write(self, table: &Table) -> String {
        match self {
            Self::Markdown => markdown::write(table),
            Self::Latex => latex::write(table),
            Self::Csv => csv::write(table),
            Self::Typst => typst::write(table),
        }
    }
}

impl Table {
    /// Marks the best numbers of each column that has a better side, among the ranked ones of the
    /// rows that `group` gives the same name. Numbers that are written like the best one are marked
    /// too, and one that has none to beat is not.
    pub fn mark_best(&mut self, group: &[String]) {
        for (place, column) in self.columns.iter().enumerate() {
            let sign = match column.better {
                Better::Lower => 1.0,
                Better::Higher => -1.0,
                Better::Neither => continue,
            };
            for own in group
                .iter()
                .enumerate()
                .filter(|(i, g)| !group[..*i].contains(g))
            {
                let members: Vec<usize> = (0..self.rows.len())
                    .filter(|&row| group.get(row) == Some(own.1))
                    .collect();
                mark(&mut self.rows, &members, place, sign);
            }
        }
    }
}

fn mark(rows: &mut [Vec<Entry>], members: &[usize], column: usize, sign: f64) {
    let number = |rows: &[Vec<Entry>], row: usize| match rows[row].get(column) {
        Some(Entry::Number(number)) if number.ranked => Some(number.clone()),
        _ => None,
    };
    let numbers: Vec<Number> = members.iter().filter_map(|&r| number(rows, r)).collect();
    let rivals = numbers.len();
    let best = numbers
        .into_iter()
        .min_by(|a, b| (sign * a.value).total_cmp(&(sign * b.value)));
    let Some(best) = best.filter(|_| rivals > 1) else {
        return;
    };
    for &row in members {
        if let Some(Entry::Number(number)) = rows[row].get_mut(column)
            && number.ranked
        {
            // At the digits of the best one.
            let decimals = digits::decimals(&best);
            number.best =
                digits::fixed(number.value, decimals) == digits::fixed(best.value, decimals);
        }
    }
}
