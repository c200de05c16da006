//! How long cells will take, from records of others.

use super::cell::{Cell, Measure};
use super::error::ExperimentError;
use super::store::{Held, Store};
use serde::Serialize;
use serde_json::Value;
use smartkv_eval::WindowCount;

/// What cells will cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Cells to be run.
    pub cells: usize,
    /// Wall-clock time of all of them one after another; `null` where no record tells.
    pub seconds: Option<f64>,
    /// Most memory that one of them will hold resident.
    pub peak_resident_bytes: Option<u64>,
    /// Records it is judged by.
    pub records: usize,
}

/// A cell that was run, and what that cost.
struct Known {
    cell: Cell,
    seconds: f64,
    peak: Option<u64>,
}

/// Judges by the records of the same model and kind of measure: those of the same strategy where
/// there are any, scaled by the work that the cells' windows or samples are.
///
/// # Errors
/// A store that cannot be read.
pub fn estimate(cells: &[&Cell], store: &Store) -> Result<Estimate, ExperimentError> {
    let mut known = Vec::new();
    for id in store.records()? {
        let Some(facts) = store.facts(&id)? else {
            continue;
        };
        let Held::Record(record) = store.held(&id)? else {
            continue;
        };
        if let Some(seconds) = facts.get("seconds").and_then(Value::as_f64) {
            known.push(Known {
                cell: record.cell,
                seconds,
                peak: facts.get("peak_resident_bytes").and_then(Value::as_u64),
            });
        }
    }
    let mut total = Some(0.0);
    let mut peak = None;
    for cell in cells {
        let near = |known: &&Known, strategy: bool| {
            let both = [&known.cell, cell];
            both[0].model.sha256 == both[1].model.sha256
                && kind(both[0]) == kind(both[1])
                && (!strategy || both[0].strategy.config["type"] == both[1].strategy.config["type"])
        };
        let mut rates: Vec<&Known> = known.iter().filter(|k| near(k, true)).collect();
        if rates.is_empty() {
            rates = known.iter().filter(|k| near(k, false)).collect();
        }
        let mut seconds: Vec<f64> = rates
            .iter()
            .map(|known| known.seconds * work(cell) / work(&known.cell))
            .collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied();
        total = total.zip(median).map(|(total, one)| total + one);
        peak = peak.max(rates.iter().filter_map(|known| known.peak).max());
    }
    Ok(Estimate {
        cells: cells.len(),
        seconds: total,
        peak_resident_bytes: peak,
        records: known.len(),
    })
}

/// Cells of the same kind cost the same for the same work.
fn kind(cell: &Cell) -> String {
    match &cell.measure {
        Measure::Eval(measure) => format!("eval {}", measure.protocol),
        Measure::Tasks(measure) => {
            let names = measure
                .tasks
                .iter()
                .map(|task| task.config["type"].to_string());
            names.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Tokens or samples, with a little that every process pays.
#[expect(clippy::cast_precision_loss, reason = "a rough count")]
fn work(cell: &Cell) -> f64 {
    /// A scored token costs about as much as this many of a prompt.
    const DECODE: usize = 8;
    match &cell.measure {
        Measure::Eval(measure) => {
            let count = match measure.windows.count {
                WindowCount::UpTo(count) => count,
                WindowCount::All => 100,
            };
            let window = measure.windows.prefill + DECODE * measure.windows.score;
            let needles = measure.needle.as_ref().map_or(0, |needle| {
                needle.lengths.iter().sum::<usize>() * needle.depths.len() * needle.samples
            });
            (1000 + count * window + needles) as f64
        }
        Measure::Tasks(measure) => {
            let samples = measure.options.limit.unwrap_or(50);
            let context = measure.options.context_tokens.unwrap_or(2048);
            (1000 + samples * measure.tasks.len() * context) as f64
        }
    }
}
