//! A grid with a search: rung after rung, then the held-out split.

use super::{PoolArgs, execute};
use crate::assets::Policy;
use crate::cli::output;
use crate::experiment::{Grid, Inputs, Plan, Search, SearchRecord, Standing, Store, search};
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn run(
    grid: &Grid,
    how: &Search,
    store: &Store,
    pool: &PoolArgs,
    policy: &Policy,
    threads: Option<usize>,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut rung = |plan: &Plan| {
        eprintln!("{}: {} cells", plan.name, plan.cells.len());
        // A combination that fails has no score; the others go on.
        execute(plan, store, pool, policy, threads, false).map(|_| ())
    };
    let record = search(grid, how, store, &mut Inputs::new(policy), &mut rung)?;
    if as_json {
        return output::json(&record);
    }
    output::text(&render(&record))
}

fn render(record: &SearchRecord) -> String {
    let mut text = String::new();
    for rung in &record.rungs {
        let spent = rung
            .spent
            .as_ref()
            .map_or(String::new(), |spent| format!(", {spent}"));
        let _ = writeln!(text, "{}{spent}", rung.plan);
        text.push_str(&table(&rung.standings, &record.metric, "goes on"));
    }
    let _ = writeln!(text, "held out");
    text.push_str(&table(&record.test, &record.metric, "best"));
    let best: Vec<String> = record
        .best
        .iter()
        .map(|(axis, label)| format!("{axis}={}", plain(label)))
        .collect();
    let _ = writeln!(
        text,
        "Best by {} on the tuning split: {}",
        record.metric,
        best.join(" ")
    );
    text
}

fn table(standings: &[Standing], metric: &str, kept: &str) -> String {
    let axes: Vec<&String> = standings.iter().flat_map(|s| s.labels.keys()).collect();
    let mut once: Vec<&str> = Vec::new();
    for axis in axes {
        if !once.contains(&axis.as_str()) {
            once.push(axis);
        }
    }
    let mut header = once.clone();
    header.extend([metric, "seeds", kept]);
    let row = |standing: &Standing| {
        let mut row: Vec<String> = once
            .iter()
            .map(|axis| standing.labels.get(*axis).map_or("–".to_string(), plain))
            .collect();
        row.push(match (&standing.score, &standing.why) {
            (Some(score), _) => format!("{score:.4e}"),
            (None, why) => why.clone().unwrap_or_default(),
        });
        row.push(standing.seeds.to_string());
        row.push(if standing.kept { "yes" } else { "" }.to_string());
        row
    };
    output::table(&header, standings.iter().map(row).collect())
}

fn plain(label: &Value) -> String {
    label
        .as_str()
        .map_or_else(|| label.to_string(), str::to_string)
}
