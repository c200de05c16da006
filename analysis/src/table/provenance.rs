//! Where each number of a table comes from.

use super::{Entry, Table};
use serde::Serialize;
use smartkv_stats::Interval;

/// One number and the records behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source<'a> {
    /// The row, from 0.
    pub row: usize,
    /// What the row is called: its texts before the number.
    pub labels: Vec<&'a str>,
    /// The column.
    pub column: &'a str,
    /// The number in full.
    pub value: f64,
    /// Standard deviation over seeds.
    pub sd: Option<f64>,
    /// Interval.
    pub interval: Option<Interval>,
    /// Ids of the cells.
    pub cells: &'a [String],
}

/// The provenance of a table, as it is written beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Provenance<'a> {
    /// The table.
    pub table: &'a str,
    /// Its notes, which say how numbers were made.
    pub notes: &'a [String],
    /// Every number.
    pub numbers: Vec<Source<'a>>,
}

/// Every number of `table`, row by row.
#[must_use]
pub fn of(table: &Table) -> Provenance<'_> {
    let mut numbers = Vec::new();
    for (place, row) in table.rows.iter().enumerate() {
        let labels: Vec<&str> = row
            .iter()
            .map_while(|entry| match entry {
                Entry::Text(text) => Some(text.as_str()),
                Entry::Number(_) => None,
            })
            .collect();
        for (entry, column) in row.iter().zip(&table.columns) {
            if let Entry::Number(number) = entry {
                numbers.push(Source {
                    row: place,
                    labels: labels.clone(),
                    column: &column.name,
                    value: number.value,
                    sd: number.sd,
                    interval: number.interval,
                    cells: &number.cells,
                });
            }
        }
    }
    Provenance {
        table: &table.name,
        notes: &table.notes,
        numbers,
    }
}
