//! A finished record as a run: rows, summary, and the record itself.

use super::json::{Json, Row};
use super::run::Run;
use serde::Serialize;

impl Run {
    /// Logs a record as `smartkv eval --json` prints it, or the `result` of a stored cell: one row
    /// a window, or one a sample of a task; the numbers of the record as the summary; the record
    /// as the file `record.json`.
    pub fn report(&self, record: &impl Serialize) {
        if !self.is_on() {
            return;
        }
        // A record that does not serialize was not printed either: its error is told there.
        let (Ok(json), Ok(text)) = (Json::of(record), serde_json::to_vec_pretty(record)) else {
            return;
        };
        self.log_all(rows(&json));
        self.summary(summary(&json));
        self.file("record.json", text);
    }
}

/// One row a window, or one a sample.
#[must_use]
pub fn rows(record: &Json) -> Vec<Row> {
    let windows = record
        .get("samples")
        .and_then(|samples| samples.get("windows"));
    let windows = windows.map_or(&[][..], Json::items);
    let window = |(index, window): (usize, &Json)| {
        let mut row = vec![("window/index".to_owned(), index.into())];
        flatten("window", window, &[], &mut row);
        let unnested = |(name, value): (String, Json)| (name.replace("/fidelity/", "/"), value);
        row.into_iter().map(unnested).collect()
    };
    let samples = tasks(record).flat_map(|(name, result)| {
        let sides = result.get("sides").map_or(&[][..], Json::items);
        let samples = result.get("samples").map_or(&[][..], Json::items);
        let samples = samples.iter().enumerate();
        samples.map(move |(index, sample)| sample_row(name, sides, index, sample))
    });
    windows
        .iter()
        .enumerate()
        .map(window)
        .chain(samples)
        .collect()
}

fn sample_row(task: &str, sides: &[Json], index: usize, sample: &Json) -> Row {
    let mut row = vec![(format!("{task}/sample"), index.into())];
    row.extend(
        sample
            .get("part")
            .map(|part| (format!("{task}/part"), part.clone())),
    );
    let attempts = sample.get("attempts").map_or(&[][..], Json::items);
    for (side, attempt) in sides.iter().zip(attempts) {
        let side = side.text().unwrap_or_default();
        let score = attempt.get("score");
        row.extend(score.map(|score| (format!("{task}/{side}/score"), score.clone())));
    }
    row
}

/// The record's numbers by their names, parts divided by `/`. Per-sample results are the history's.
#[must_use]
pub fn summary(record: &Json) -> Row {
    let mut row = Row::new();
    let Json::Object(fields) = record else {
        return row;
    };
    for (key, value) in fields {
        if !["samples", "config", "tasks", "strategies"].contains(&key.as_str()) {
            flatten(key, value, &[], &mut row);
        }
    }
    for (name, result) in tasks(record) {
        if let Some(overall) = result.get("overall") {
            flatten(name, overall, &["sides"], &mut row);
            sides(name, overall, &mut row);
        }
        let parts = result.get("parts").map_or(&[][..], Json::items);
        for part in parts {
            let part_name = part.get("name").and_then(Json::text).unwrap_or_default();
            sides(&format!("{name}/{part_name}"), part, &mut row);
        }
    }
    // Of an evaluation, tasks are an object.
    if let Some(tasks @ Json::Object(_)) = record.get("tasks") {
        flatten("tasks", tasks, &[], &mut row);
    }
    row
}

/// What each cache made of a task or of a part of it.
fn sides(name: &str, part: &Json, row: &mut Row) {
    for side in part.get("sides").map_or(&[][..], Json::items) {
        let side_name = side.get("name").and_then(Json::text).unwrap_or_default();
        flatten(&format!("{name}/{side_name}"), side, &[], row);
    }
}

/// Names and results of the tasks of a record.
fn tasks(record: &Json) -> impl Iterator<Item = (&str, &Json)> {
    fn task(task: &Json) -> Option<(&str, &Json)> {
        Some((task.get("name")?.text()?, task.get("result")?))
    }
    let tasks = record.get("tasks").map_or(&[][..], Json::items);
    tasks.iter().filter_map(task)
}

/// Numbers and truth values below `value`; lists are left out, and so are fields in `except`.
fn flatten(name: &str, value: &Json, except: &[&str], row: &mut Row) {
    match value {
        Json::Bool(_) | Json::Int(_) | Json::Unsigned(_) | Json::Float(_) => {
            row.push((name.to_owned(), value.clone()));
        }
        Json::Object(fields) => {
            for (key, value) in fields {
                if !except.contains(&key.as_str()) {
                    flatten(&format!("{name}/{key}"), value, &[], row);
                }
            }
        }
        Json::Null | Json::Text(_) | Json::List(_) => {}
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
