//! Scores of tasks as a researcher reads them: a row a part and cache.

use crate::cli::output;
use crate::cli::session::prefill_name;
use crate::experiment::{TaskRecord, TasksRecord};
use smartkv_eval::stats::{Estimate, Interval, Verdict};
use smartkv_eval::task::{PartResult, SideResult};
use std::fmt::Write as _;

/// A table a task, and below it what the numbers mean.
pub(super) fn render(record: &TasksRecord) -> String {
    let mut text = String::new();
    for task in &record.tasks {
        text += &table(task);
        text += &remarks(task);
        text.push('\n');
    }
    let options = &record.options;
    let _ = writeln!(
        text,
        "{}; {} prefill; {}; seed {}.\nScores are percentages [95%: bootstrap over samples]; \
         difference, p (sign-flip test, \
         Holm's correction within a task) and KL are against f16 on the same samples.\nRatio: live \
         bytes to f16 when the question came. Failed samples count as 0.",
        if options.query_aware {
            "Query-aware: the cache saw the question before it compressed"
        } else {
            "Question-agnostic: the context was compressed before the question came"
        },
        prefill_name(record.prefill),
        match options.style {
            smartkv_eval::PromptStyle::Raw => "raw prompts",
            _ => "the model's chat template where the task allows it",
        },
        options.seed,
    );
    text
}

fn table(task: &TaskRecord) -> String {
    let result = &task.result;
    let forced = |part: &PartResult| part.sides.iter().any(|side| side.gold_nll_nats.is_some());
    let gold = forced(&result.overall) || result.parts.iter().any(forced);
    let mut header = vec![
        task.name.as_str(),
        "cache",
        "n",
        "ratio",
        "score",
        "difference",
        "p",
    ];
    if gold {
        header.extend(["gold NLL", "KL (nats)"]);
    }
    let mut rows = Vec::new();
    for part in &result.parts {
        rows.extend(part_rows(part, &part.name, gold));
    }
    // One part is all there is.
    if result.parts.len() != 1 {
        let name = if result.parts.is_empty() { "" } else { "all" };
        rows.extend(part_rows(&result.overall, name, gold));
    }
    output::table(&header, rows)
}

fn part_rows(part: &PartResult, name: &str, gold: bool) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (index, side) in part.sides.iter().enumerate() {
        let first = if index == 0 { name } else { "" };
        rows.push(row(first, side, part.n, gold));
    }
    if let Some(control) = &part.control {
        let mut cells = vec![
            String::new(),
            "no context".to_string(),
            part.n.to_string(),
            String::new(),
            percent(control),
        ];
        cells.resize(if gold { 9 } else { 7 }, String::new());
        rows.insert(1, cells);
    }
    rows
}

fn row(name: &str, side: &SideResult, n: usize, gold: bool) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let compared = side.compared.as_ref();
    let mut cells = vec![
        name.to_string(),
        side.name.clone(),
        n.to_string(),
        side.ratio
            .map_or("simulated".to_string(), |ratio| format!("{ratio:.4}")),
        percent(&side.score),
        compared.map_or(String::new(), |c| signed(&c.difference.estimate)),
        compared.map_or(String::new(), |c| match c.p_holm {
            p if p < 5e-5 => "< 0.0001".to_string(),
            p => format!("{p:.4}"),
        }),
    ];
    if gold {
        cells.push(number(side.gold_nll_nats));
        let divergence = compared.and_then(|c| c.kl_nats.as_ref());
        cells.push(divergence.map_or(String::new(), |kl| match kl.interval {
            Some(Interval { low, high, .. }) => {
                format!("{:.4} [{low:.4}, {high:.4}]", kl.mean)
            }
            None => format!("{:.4}", kl.mean),
        }));
    }
    cells
}

fn percent(estimate: &Estimate) -> String {
    spread(estimate, |value| format!("{:.2}", 100.0 * value))
}

fn signed(estimate: &Estimate) -> String {
    spread(estimate, |value| format!("{:+.2}", 100.0 * value))
}

fn spread(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    match estimate.interval {
        Some(Interval { low, high, .. }) => {
            format!("{} [{}, {}]", show(estimate.mean), show(low), show(high))
        }
        None => show(estimate.mean),
    }
}

/// A cache whose difference may be chance, and how many samples would tell.
fn too_small(side: &SideResult) -> Option<String> {
    let Verdict::TooSmall { units_needed, .. } = side.compared.as_ref()?.verdict else {
        return None;
    };
    Some(match units_needed {
        Some(needed) => format!("{} (about {needed} needed)", side.name),
        None => side.name.clone(),
    })
}

/// What has to be said beside the numbers.
fn remarks(task: &TaskRecord) -> String {
    let result = &task.result;
    let mut text = String::new();
    let metric = &result.overall.metric;
    if !metric.is_empty() {
        let _ = writeln!(text, "Score: {metric}.");
    }
    let all = || result.parts.iter().chain([&result.overall]);
    let names = |wanted: fn(&PartResult) -> bool| {
        let parts = all()
            .filter(|part| wanted(part))
            .map(|part| match &*part.name {
                "" => "all",
                name => name,
            });
        parts.collect::<Vec<_>>().join(", ")
    };
    let blind = names(|part| part.discriminative == Some(false));
    if !blind.is_empty() {
        let _ = writeln!(
            text,
            "Not discriminative for this model (f16 does not beat the prompt without its context \
             at p < 0.01): {blind}."
        );
    }
    let undecided = names(|part| part.undecided.is_some());
    if !undecided.is_empty() {
        let _ = writeln!(
            text,
            "Too few samples to tell whether f16 needs the context: {undecided}."
        );
    }
    let small = result.overall.sides.iter().filter_map(too_small);
    let small: Vec<String> = small.collect();
    if !small.is_empty() {
        let _ = writeln!(text, "n too small to tell from f16: {}.", small.join(", "));
    }
    for side in &result.overall.sides {
        if side.failed > 0 {
            let _ = writeln!(text, "{}: {} samples failed.", side.name, side.failed);
        }
    }
    let mut why = result.samples.iter().flat_map(|sample| &sample.attempts);
    if let Some(reason) = why.find_map(|attempt| attempt.failure.as_ref()) {
        let _ = writeln!(text, "First failure: {reason}");
    }
    if task.timing.recalled > 0 {
        let _ = writeln!(
            text,
            "{} samples were finished by an earlier, interrupted run.",
            task.timing.recalled
        );
    }
    text
}
