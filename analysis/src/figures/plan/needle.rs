//! What is found of needles, by length and depth.

use super::{Context, source};
use crate::error::Result;
use crate::figure::{Estimate, Needle, NeedlePanel, Width};
use crate::figures::{Data, Drawing, distinct};
use crate::measure::NeedleScore;
use crate::study::Cell;
use std::collections::BTreeSet;

/// A figure for each task that hides needles.
pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let cells = cx.rows.iter().flat_map(|row| &row.cells);
    let all = cells.flat_map(|cell| &cell.needles);
    let tasks = distinct(all.map(|one| one.task.clone()));
    if tasks.is_empty() {
        return Err(cx.lacks(
            "no cell hides needles",
            "leave `needle` on in its grid, or measure the task `needle`",
        ));
    }
    let several = tasks.len() > 1;
    Ok(tasks
        .iter()
        .map(|task| of_task(cx, task, several))
        .collect())
}

/// The needles of a row, with their cells.
fn own<'a>(cx: &'a Context<'_>, row: usize, task: &str) -> Vec<(&'a Cell, &'a NeedleScore)> {
    let cells = cx.rows[row].cells.iter();
    let needles = cells.flat_map(|cell| cell.needles.iter().map(move |one| (*cell, one)));
    needles.filter(|(_, one)| one.task == task).collect()
}

fn of_task(cx: &Context<'_>, task: &str, several: bool) -> Drawing {
    let rows = 0..cx.rows.len();
    let (shown, lacking): (Vec<usize>, Vec<usize>) =
        rows.partition(|&row| !own(cx, row, task).is_empty());
    let all: Vec<_> = shown.iter().flat_map(|&row| own(cx, row, task)).collect();
    let lengths: BTreeSet<u64> = all.iter().map(|(_, one)| one.length_tokens).collect();
    let depths: BTreeSet<u64> = all.iter().map(|(_, one)| one.depth_percent).collect();
    let mut sources = Vec::new();
    let mut panels = Vec::new();
    for (&row, name) in shown.iter().zip(cx.row_names(&shown)) {
        let needles = own(cx, row, task);
        let mut score = |depth: u64, length: u64| {
            let here =
                |one: &NeedleScore| (one.length_tokens, one.depth_percent) == (length, depth);
            let found: Vec<_> = needles.iter().filter(|(_, one)| here(one)).collect();
            let values: Vec<f64> = found.iter().map(|(_, one)| one.score).collect();
            let score = smartkv_stats::mean(&values)?;
            let ids = found.iter().map(|(cell, _)| cell.id.clone()).collect();
            let place = format!("{length} tokens at {depth}%");
            sources.push(source(
                &[&name, &place],
                "score",
                Estimate::exact(score),
                ids,
            ));
            Some(score)
        };
        let scores = depths.iter().map(|&depth| {
            let at_depth = lengths.iter().map(|&length| score(depth, length));
            at_depth.collect()
        });
        let scores = scores.collect();
        panels.push(NeedlePanel { name, scores });
    }
    #[expect(clippy::cast_precision_loss, reason = "percents are small")]
    let data = Needle {
        title: None,
        contexts: lengths.into_iter().collect(),
        depths: depths.iter().map(|&depth| depth as f64 / 100.0).collect(),
        panels,
        score: "Needles found".into(),
        width: cx.width(Width::Single),
        cells: cx.ids(shown),
    };
    let samples = all.iter().map(|(_, one)| one.samples).min().unwrap_or(0);
    let part = if several { task } else { "" };
    let mut drawing = cx.drawing(&[part], None, Data::Needle(data));
    drawing.sources = sources;
    drawing.notes = vec![format!(
        "Mean score of the prompts of a length and depth ({samples} at least), mean over seeds."
    )];
    if !lacking.is_empty() {
        let names = cx.listed(&lacking);
        drawing.left_out.push(format!("{names}: no needles"));
    }
    drawing
}
