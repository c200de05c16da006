//! Tables for programs (RFC 4180): every number in full, a column each for spread and interval.

use super::{Entry, Number, Table};

/// What belongs to a number, beside its value.
type Extra = (&'static str, fn(&Number) -> Option<f64>);

const EXTRA: [Extra; 3] = [
    ("sd", |number| number.sd),
    ("low", |number| Some(number.interval?.low)),
    ("high", |number| Some(number.interval?.high)),
];

/// The table without title and notes. Numbers are those that read back to the bit; where there is
/// none the field is empty or says why. Units stand in the headings.
#[must_use]
pub fn write(table: &Table) -> String {
    let numbers = |column: usize| {
        let entries = table.rows.iter().filter_map(move |row| row.get(column));
        entries.filter_map(|entry| match entry {
            Entry::Number(number) => Some(number),
            Entry::Text(_) => None,
        })
    };
    let extras: Vec<Vec<usize>> = (0..table.columns.len())
        .map(|column| {
            let used =
                |extra: &usize| numbers(column).any(|number| EXTRA[*extra].1(number).is_some());
            (0..EXTRA.len()).filter(used).collect()
        })
        .collect();
    let mut headings = Vec::new();
    for (column, extras) in table.columns.iter().zip(&extras) {
        let unit = match column.unit.as_str() {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        headings.push(format!("{}{unit}", column.name));
        for &extra in extras {
            headings.push(format!("{} {}{unit}", column.name, EXTRA[extra].0));
        }
    }
    let mut text = String::new();
    line(&mut text, &headings);
    for row in &table.rows {
        let mut fields = Vec::new();
        for (entry, extras) in row.iter().zip(&extras) {
            match entry {
                Entry::Text(own) => {
                    let own = if own == super::NOTHING { "" } else { own };
                    fields.push(own.to_string());
                    fields.extend(extras.iter().map(|_| String::new()));
                }
                Entry::Number(number) => {
                    fields.push(number.value.to_string());
                    for &extra in extras {
                        let value = EXTRA[extra].1(number);
                        fields.push(value.map(|value| value.to_string()).unwrap_or_default());
                    }
                }
            }
        }
        line(&mut text, &fields);
    }
    text
}

fn line(text: &mut String, fields: &[String]) {
    let fields: Vec<String> = fields.iter().map(|field| escape(field)).collect();
    text.push_str(&fields.join(","));
    text.push_str("\r\n");
}

/// A field: in quotes where it holds what separates fields, or begins or ends with a space.
#[must_use]
pub fn escape(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_string()
    }
}
