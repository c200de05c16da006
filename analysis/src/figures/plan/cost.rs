//! Bytes by part, and time of a token.

use super::{Context, LeftOut, source};
use crate::error::Result;
use crate::figure::{Cost, CostRow, Estimate, Width};
use crate::figures::{Data, Drawing, words};
use crate::front::SWEPT;
use crate::group::Row;
use crate::measure::{Metric, Reading};
use crate::summary::Summary;

/// Parts of live bytes: in records, and in print.
pub(in crate::figures) const PARTS: [(&str, &str); 4] = [
    ("payload_bytes", "Stored rows"),
    ("metadata_bytes", "Scales, positions"),
    ("window_bytes", "f16 window"),
    ("policy_bytes", "Scores, statistics"),
];
/// Phases: in records as tokens a second, and in print.
const PHASES: [(&str, &str); 2] = [
    ("prefill_tokens_per_s", "Prefill"),
    ("decode_tokens_per_s", "Decode"),
];
const MS: f64 = 1e3;

/// More rows than this make a figure for each budget.
const MOST_ROWS: usize = 20;

/// A row with its parts.
type Shown = (usize, Vec<f64>);

pub(super) fn drawings(cx: &Context<'_>) -> Result<Vec<Drawing>> {
    let parts = PARTS.iter().map(|(name, _)| cx.study.metric(name));
    let parts: Vec<Metric> = parts.collect::<Result<_>>().map_err(|_| {
        cx.lacks(
            "no cell has bytes by part",
            "evaluate strategies on windows of a text; tasks count bytes as a whole",
        )
    })?;
    let all = cx.all();
    let (mut left_out, mut shown) = (LeftOut::default(), Vec::new());
    for (&row, name) in all.iter().zip(cx.row_names(&all)) {
        match bytes(cx, row, &parts)? {
            Ok(bytes) => shown.push((row, bytes)),
            Err(Summary::Simulated) => left_out.simulated.push(name),
            Err(_) => left_out.absent.push(name),
        }
    }
    if shown.is_empty() {
        return Err(cx.lacks(
            "no row has bytes of its own",
            "simulated strategies have none; measure one that packs what it stores",
        ));
    }
    let rows: Vec<usize> = shown.iter().map(|(row, _)| *row).collect();
    let budget = SWEPT.to_string();
    let axes: &[&String] = if rows.len() > MOST_ROWS {
        &[&budget]
    } else {
        &[]
    };
    let left_out = left_out.sentences("bytes by part");
    let facets = cx.facets(&rows, axes).into_iter();
    let drawings = facets.map(|(facet, own)| {
        let own = shown.iter().filter(|(row, _)| own.contains(row));
        let mut drawing = one(cx, &facet, &own.collect::<Vec<_>>());
        drawing.left_out.clone_from(&left_out);
        drawing
    });
    Ok(drawings.collect())
}

fn one(cx: &Context<'_>, facet: &str, shown: &[&Shown]) -> Drawing {
    let has_time = |row: usize| {
        PHASES
            .iter()
            .any(|(phase, _)| time(&cx.rows[row], phase).is_some())
    };
    let timed = shown.iter().any(|(row, _)| has_time(*row));
    let phases: &[(&str, &str)] = if timed { &PHASES } else { &[] };
    let places: Vec<usize> = shown.iter().map(|(row, _)| *row).collect();
    let (mut sources, mut rows) = (Vec::new(), Vec::new());
    for (&&(row, ref bytes), name) in shown.iter().zip(cx.row_names(&places)) {
        let ids = cx.rows[row].ids();
        for ((part, _), bytes) in PARTS.iter().zip(bytes) {
            sources.push(source(&[&name], part, Estimate::exact(*bytes), ids.clone()));
        }
        let latency = phases.iter().map(|(phase, _)| time(&cx.rows[row], phase));
        let latency: Vec<Option<Estimate>> = latency.collect();
        for ((phase, _), time) in phases.iter().zip(&latency) {
            let number = format!("milliseconds of a token, from {phase}");
            sources.extend(time.map(|time| source(&[&name], &number, time, ids.clone())));
        }
        rows.push(CostRow {
            name,
            bytes: bytes.clone(),
            latency,
        });
    }
    let printed = |list: &[(&str, &str)]| {
        let names = list.iter().map(|(_, printed)| (*printed).to_string());
        names.collect::<Vec<String>>()
    };
    let (latency, width) = if timed {
        ("Time of a token (ms)", Width::Double)
    } else {
        ("", Width::Single)
    };
    let data = Cost {
        title: (!facet.is_empty()).then(|| words::capital(facet)),
        parts: printed(&PARTS),
        phases: printed(phases),
        memory: "Live bytes".into(),
        latency: latency.into(),
        rows,
        width: cx.width(width),
        cells: cx.ids(places),
    };
    let mut drawing = cx.drawing(&[facet], None, Data::Cost(data));
    drawing.sources = sources;
    drawing.notes = vec![
        "Live bytes after the last scored token, mean over seeds. Times: means over seeds with the \
         least and the most of any; they are of the runs that made the cells and do not repeat."
            .into(),
    ];
    drawing
}

/// The parts of a row, or what it says instead of the first it lacks.
fn bytes(
    cx: &Context<'_>,
    row: usize,
    parts: &[Metric],
) -> Result<std::result::Result<Vec<f64>, Summary>> {
    let mut bytes = Vec::new();
    for part in parts {
        match cx.summary(&cx.rows[row], part)? {
            Summary::Estimate(own) => bytes.push(own.mean),
            other => return Ok(Err(other)),
        }
    }
    Ok(Ok(bytes))
}

/// Milliseconds of a token, from the least to the most of any seed.
fn time(row: &Row<'_>, phase: &str) -> Option<Estimate> {
    let readings = row.cells.iter().filter_map(|cell| cell.measurement(phase));
    let times = readings.filter_map(|one| match one.reading {
        Reading::Number(speed) if speed > 0.0 => Some(MS / speed),
        _ => None,
    });
    let times: Vec<f64> = times.collect();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let most = times.iter().copied().fold(0.0, f64::max);
    let mean = smartkv_stats::mean(&times)?;
    Some(Estimate::between(mean, least.min(mean), most.max(mean)))
}
