//! Numbers of tasks: scores, and what the gold continuation is given.

use super::{Better, Kind, Measurement, Metric, Reading, Sample, Scale, model_key, number};
use crate::store::CellRecord;
use serde_json::Value;
use std::collections::BTreeMap;

/// The reference's place among the sides, and the strategy's.
const F16: usize = 0;
const OWN: usize = 1;

/// The value of a sample, from the strategy's attempt and f16's.
type OfSample = fn(&Value, &Value) -> Option<f64>;

/// All numbers, and whether the strategy is simulated.
pub(super) fn read(cell: &CellRecord) -> (Vec<Measurement>, bool) {
    let tasks = cell.result.get("tasks").and_then(Value::as_array);
    let tasks: Vec<&Value> = tasks.into_iter().flatten().collect();
    let simulated = tasks
        .iter()
        .flat_map(|task| attempts(task))
        .any(|attempt| attempt.get("simulated") == Some(&Value::Bool(true)));
    let mut all = Vec::new();
    all.extend(ratio(&tasks, simulated));
    let names = names(&tasks);
    for (task, name) in tasks.iter().zip(&names) {
        let result = task.get("result").unwrap_or(&Value::Null);
        let parts: Vec<&Value> = listed(result, "/parts").collect();
        all.extend(of_part(cell, name, result, result.get("overall"), None));
        for part in parts {
            let own = part.get("name").and_then(Value::as_str);
            let Some(own) = own.filter(|own| !own.is_empty()) else {
                continue;
            };
            let full = format!("{name}/{own}");
            all.extend(of_part(cell, &full, result, Some(part), Some(own)));
        }
    }
    (all, simulated)
}

/// The names of tasks, numbered where several are called the same.
fn names(tasks: &[&Value]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for task in tasks {
        let name = task.get("name").and_then(Value::as_str).unwrap_or("task");
        let mut own = name.to_string();
        let mut number = 1;
        while names.contains(&own) {
            number += 1;
            own = format!("{name}#{number}");
        }
        names.push(own);
    }
    names
}

fn listed<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// What the strategy made of each sample of a task.
fn attempts(task: &Value) -> impl Iterator<Item = &Value> {
    listed(task, "/result/samples").filter_map(|sample| sample.get("attempts")?.get(OWN))
}

/// Share of f16's bytes when the question came: the mean over tasks.
fn ratio(tasks: &[&Value], simulated: bool) -> Option<Measurement> {
    let of = |task: &&Value| number(task, "/result/overall/sides/1/ratio");
    let reading = if simulated {
        Reading::Simulated
    } else {
        let all: Vec<f64> = tasks.iter().map(of).collect::<Option<_>>()?;
        Reading::Number(smartkv_stats::mean(&all)?)
    };
    Some(Measurement {
        metric: metric("ratio".into(), "", Better::Lower, Kind::Memory),
        reading,
        samples: Vec::new(),
    })
}

fn metric(name: String, unit: &'static str, better: Better, kind: Kind) -> Metric {
    Metric {
        name,
        unit,
        better,
        kind,
        scale: Scale::Mean,
        answers: false,
    }
}

/// The numbers of a part, or of all parts with equal weight.
fn of_part(
    cell: &CellRecord,
    name: &str,
    result: &Value,
    part: Option<&Value>,
    only: Option<&str>,
) -> Vec<Measurement> {
    let Some(part) = part else {
        return Vec::new();
    };
    let side = |side: usize, field: &str| number(part, &format!("/sides/{side}/{field}"));
    let score = side(OWN, "score/mean");
    let difference = score
        .zip(side(F16, "score/mean"))
        .map(|(own, f16)| own - f16);
    let numbers: [(&str, &'static str, Better, Option<f64>, OfSample); 4] = [
        ("score", "", Better::Higher, score, |own, _| {
            number(own, "/score")
        }),
        ("difference", "", Better::Higher, difference, |own, f16| {
            Some(number(own, "/score")? - number(f16, "/score")?)
        }),
        (
            "gold_nll",
            "nats/token",
            Better::Lower,
            side(OWN, "gold_nll_nats"),
            nll_of,
        ),
        (
            "gold_kl",
            "nats",
            Better::Lower,
            side(OWN, "compared/kl_nats/mean"),
            |own, _| number(own, "/forced/kl_nats"),
        ),
    ];
    let measurement = |(what, unit, better, value, of): (&str, _, _, Option<f64>, OfSample)| {
        Some(Measurement {
            metric: Metric {
                answers: what == "score",
                ..metric(format!("{what}.{name}"), unit, better, Kind::Quality)
            },
            reading: Reading::Number(value?),
            samples: samples(cell, name, result, only, of).unwrap_or_default(),
        })
    };
    numbers.into_iter().filter_map(measurement).collect()
}

fn nll_of(own: &Value, _: &Value) -> Option<f64> {
    Some(number(own, "/forced/nll_nats")? / number(own, "/forced/tokens")?.max(1.0))
}

/// All samples, of one part `only` or of all; none where one lacks the value, as its mean would be
/// over others than the record's.
fn samples(
    cell: &CellRecord,
    name: &str,
    result: &Value,
    only: Option<&str>,
    of: OfSample,
) -> Option<Vec<Sample>> {
    let mut parts: Vec<&str> = Vec::new();
    let mut samples = Vec::new();
    let mut asked = BTreeMap::new();
    for sample in listed(result, "/samples") {
        let part = sample.get("part")?.as_str()?;
        if only.is_some_and(|only| only != part) {
            continue;
        }
        let place = parts.iter().position(|known| *known == part);
        let place = place.unwrap_or_else(|| {
            parts.push(part);
            parts.len() - 1
        });
        let attempts = sample.get("attempts")?;
        let prompt = sample.get("fingerprint")?.as_str()?;
        let key = format!("{name} {} {part} {prompt}", model_key(cell));
        // The same prompt asked twice is two samples. Its index is no part of the key: under
        // another seed it may stand elsewhere.
        let asked = asked.entry(key.clone()).or_insert(0_usize);
        *asked += 1;
        samples.push(Sample {
            key: format!("{key} {asked}"),
            part: place,
            value: of(attempts.get(OWN)?, attempts.get(F16)?)?,
        });
    }
    Some(samples)
}
