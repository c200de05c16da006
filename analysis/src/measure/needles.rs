//! What was found of needles, by the length of the text and the depth in it.

use crate::store::CellRecord;
use serde_json::Value;
use std::collections::BTreeMap;

/// The strategy's place among the sides of a task.
const OWN: usize = 1;

/// The mean score of the needles of one length and depth.
#[derive(Debug, Clone, PartialEq)]
pub struct NeedleScore {
    /// The task.
    pub task: String,
    /// Length of the prompts in tokens.
    pub length_tokens: u64,
    /// Depth in percent, 0 at the start.
    pub depth_percent: u64,
    /// Mean score, 0 to 1.
    pub score: f64,
    /// Prompts.
    pub samples: usize,
}

/// Those of a cell, by task, length and depth; none where it hides no needle.
#[must_use]
pub(crate) fn needles(cell: &CellRecord) -> Vec<NeedleScore> {
    let mut found: BTreeMap<(String, u64, u64), Vec<f64>> = BTreeMap::new();
    let mut add = |task: &str, place: &Value, score: Option<f64>| {
        let at = |field: &str| place.get(field).and_then(Value::as_u64);
        let place = at("length_tokens").zip(at("depth_percent"));
        if let (Some((length, depth)), Some(score)) = (place, score) {
            let scores = found.entry((task.to_string(), length, depth)).or_default();
            scores.push(score);
        }
    };
    for sample in listed(&cell.result, "/samples/needle") {
        let correct = sample.get("correct").and_then(Value::as_bool);
        add(
            "needle",
            sample,
            correct.map(|yes| f64::from(u8::from(yes))),
        );
    }
    for task in listed(&cell.result, "/tasks") {
        let name = task.get("name").and_then(Value::as_str).unwrap_or("task");
        for sample in listed(task, "/result/samples") {
            let score = sample.pointer(&format!("/attempts/{OWN}/score"));
            let place = sample.get("meta").unwrap_or(&Value::Null);
            add(name, place, score.and_then(Value::as_f64));
        }
    }
    let means = found
        .into_iter()
        .filter_map(|((task, length, depth), scores)| {
            Some(NeedleScore {
                task,
                length_tokens: length,
                depth_percent: depth,
                score: smartkv_stats::mean(&scores)?,
                samples: scores.len(),
            })
        });
    means.collect()
}

fn listed<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten()
}
