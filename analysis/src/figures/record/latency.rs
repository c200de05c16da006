//! Time of a token, variant by variant, beside bytes.

use super::read::LATENCY;
use super::{Context, strategy};
use crate::error::Result;
use crate::figure::{Cost, CostRow, Estimate, Width};
use crate::figures::plan::PARTS;
use crate::figures::{Data, Drawing};
use serde::Deserialize;
use serde_json::Value;

/// Times of a token: in records, and in print.
const PHASES: [(&str, &str); 3] = [
    ("mean_ms", "Token"),
    ("attention_ms", "in attention"),
    ("planning_ms", "in planning"),
];

#[derive(Deserialize)]
struct Record {
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
struct Variant {
    role: String,
    strategy: String,
    budget: Value,
    simulated: bool,
    cache: Cache,
    mean_ms: Spread,
    attention_ms: Spread,
    planning_ms: Spread,
}

/// Bytes by part, as records name them.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "names of the record")]
struct Cache {
    payload_bytes: f64,
    metadata_bytes: f64,
    window_bytes: f64,
    policy_bytes: f64,
}

#[derive(Deserialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Variant {
    fn name(&self) -> String {
        let own = strategy(&self.strategy, &self.budget);
        match self.role.as_str() {
            "f16" => "f16".into(),
            "given" => own,
            role => format!("{own}, {role}"),
        }
    }

    fn row(&self) -> CostRow {
        let spread = |spread: &Spread| {
            let Spread { median, min, max } = *spread;
            Some(Estimate::between(median, min.min(median), max.max(median)))
        };
        let cache = &self.cache;
        CostRow {
            name: self.name(),
            bytes: vec![
                cache.payload_bytes,
                cache.metadata_bytes,
                cache.window_bytes,
                cache.policy_bytes,
            ],
            latency: vec![
                spread(&self.mean_ms),
                spread(&self.attention_ms),
                spread(&self.planning_ms),
            ],
        }
    }
}

pub(super) fn bars(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let record: Option<Record> = cx.record.get(LATENCY)?;
    let record = record.ok_or_else(|| {
        cx.lacks(
            "it has no times",
            "give a record of `smartkv analyze latency`",
        )
    })?;
    let (simulated, packed): (Vec<Variant>, Vec<Variant>) = record
        .variants
        .into_iter()
        .partition(|variant| variant.simulated);
    let printed = |list: &[(&str, &str)]| {
        let names = list.iter().map(|(_, printed)| (*printed).to_string());
        names.collect::<Vec<String>>()
    };
    let data = Cost {
        title: None,
        parts: printed(&PARTS),
        phases: printed(&PHASES),
        memory: "Live bytes after the prompt".into(),
        latency: "Time of a token (ms)".into(),
        rows: packed.iter().map(Variant::row).collect(),
        width: cx.width(Width::Double),
        cells: cx.cells(),
    };
    let notes = vec![
        "Times: the median over rounds of a round's mean, from the least to the most of any round. What is spent \
         in attention and planning is part of the token's."
            .into(),
    ];
    let mut drawing = cx.drawing("", Data::Cost(data), notes);
    drawing.sources = vec![cx.source("bytes", "/variants/*/cache")];
    for (field, name) in PHASES {
        drawing
            .sources
            .push(cx.source(name, &format!("/variants/*/{field}")));
    }
    for variant in simulated {
        let why = "simulated, so without bytes or times of its own";
        drawing.left_out.push(format!("{}: {why}", variant.name()));
    }
    Ok(vec![drawing])
}
