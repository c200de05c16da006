//! Losses as a reader wants them: groups first, then the worst cases with their text.

use crate::cli::output;
use crate::experiment::analyze::{
    ErrorsRecord, RerunWindow, SampleGroup, TokenGroup, WindowGroup, WorstSample,
};
use smartkv_eval::stats::Estimate;
use std::fmt::Write as _;

/// Most characters of a text on one line.
const WIDTH: usize = 96;

pub(super) fn render(record: &ErrorsRecord) -> String {
    let mut text = String::new();
    if !record.samples.is_empty() {
        text += &samples(&record.samples);
    }
    if !record.windows.is_empty() {
        text += &windows(&record.windows);
    }
    if !record.tokens.is_empty() {
        text += &tokens(&record.tokens);
    }
    for sample in &record.worst_samples {
        text += &worst_sample(sample);
    }
    if record.rerun.is_empty() {
        text += &worst_windows(record);
    }
    for window in &record.rerun {
        text += &rerun(window);
    }
    text
}

fn estimate(estimate: &Estimate) -> String {
    match estimate.interval {
        Some(i) => format!("{:.4} [{:.4}, {:.4}]", estimate.mean, i.low, i.high),
        None => format!("{:.4}", estimate.mean),
    }
}

fn named(by: &str, key: &str) -> String {
    match by {
        "all" => "all".to_string(),
        "f16_gold_nll" => format!("gold NLL with f16, {key}"),
        "f16_nll" => format!("NLL with f16, {key}"),
        "f16_score" => key.to_string(),
        by => format!("{by} {}", key.trim()),
    }
}

fn samples(groups: &[SampleGroup]) -> String {
    let rows = groups.iter().map(|group| {
        vec![
            group.strategy.clone(),
            named(group.by, &group.key),
            group.n.to_string(),
            format!("{:.3}", group.score_f16),
            format!("{:.3}", group.score),
            estimate(&group.loss),
            format!("{}/{}", group.lost, group.won),
            group.gold_nll_rise.as_ref().map_or("-".into(), estimate),
        ]
    });
    let header = [
        "strategy",
        "samples",
        "n",
        "f16",
        "score",
        "loss",
        "lost/won",
        "rise of gold NLL",
    ];
    output::table(&header, rows.collect())
}

fn windows(groups: &[WindowGroup]) -> String {
    let rows = groups.iter().map(|group| {
        vec![
            group.strategy.clone(),
            named(group.by, &group.key),
            group.n.to_string(),
            format!("{:.3}", group.nll_f16),
            estimate(&group.kl),
            estimate(&group.nll_rise),
            format!("{:.4}", group.top1_agreement),
        ]
    });
    let header = [
        "strategy",
        "windows",
        "n",
        "NLL f16",
        "KL from f16",
        "rise of NLL",
        "top-1",
    ];
    output::table(&header, rows.collect())
}

fn tokens(groups: &[TokenGroup]) -> String {
    let rows = groups.iter().map(|group| {
        let by = if group.by == "f16_nll" {
            "NLL"
        } else {
            "confidence"
        };
        vec![
            group.strategy.clone(),
            format!("{by} with f16, {:.3} to {:.3}", group.from, group.to),
            group.n.to_string(),
            format!("{:.4}", group.kl_mean),
            format!("{:.4}", group.kl_median),
            format!("{:.1}", 100.0 * group.kl_share),
        ]
    });
    let header = [
        "strategy",
        "tokens run again",
        "n",
        "mean KL",
        "median KL",
        "% of all KL",
    ];
    output::table(&header, rows.collect())
}

/// One line of a text, cut where it is too long.
fn line(text: &str) -> String {
    let flat = flat(text);
    if flat.chars().count() <= WIDTH {
        return flat;
    }
    let cut: String = flat.chars().take(WIDTH - 1).collect();
    format!("{cut}…")
}

/// An answer; none was generated where a continuation was forced.
fn said(text: &str) -> String {
    if text.is_empty() {
        return "(no text)".to_string();
    }
    line(text)
}

fn worst_sample(sample: &WorstSample) -> String {
    let part = if sample.part.is_empty() {
        String::new()
    } else {
        format!(", {}", sample.part)
    };
    let mut text = format!(
        "\n{}: {}{part}, sample {} ({} tokens): {:.3} with f16, {:.3} here",
        sample.strategy,
        sample.task,
        sample.index,
        sample.context_tokens,
        sample.score_f16,
        sample.score
    );
    if let Some(rise) = sample.gold_nll_rise {
        let _ = write!(text, ", gold NLL {rise:+.3}");
    }
    let _ = write!(
        text,
        "\n  right  {}\n  f16    {}\n  here   {}\n",
        line(&sample.answers.join(" | ")),
        said(&sample.text_f16),
        said(sample.failure.as_ref().unwrap_or(&sample.text)),
    );
    text
}

fn worst_windows(record: &ErrorsRecord) -> String {
    if record.worst_windows.is_empty() {
        return String::new();
    }
    let rows = record.worst_windows.iter().map(|window| {
        vec![
            window.strategy.clone(),
            window.start.to_string(),
            format!("{:.3}", window.nll_f16),
            format!("{:.3}", window.nll),
            format!("{:.4}", window.kl),
            format!("{:.4}", window.top1_agreement),
        ]
    });
    let header = [
        "worst windows",
        "start",
        "NLL f16",
        "NLL",
        "KL from f16",
        "top-1",
    ];
    format!(
        "\n{}--rerun N shows the text where they went wrong.\n",
        output::table(&header, rows.collect())
    )
}

fn rerun(rerun: &RerunWindow) -> String {
    let window = &rerun.window;
    let mut text = format!(
        "\n{}: window at token {}, KL {:.4} ({:.4} when run again)\n",
        window.strategy, window.start, window.kl, rerun.kl_again
    );
    for token in &rerun.worst_tokens {
        let first = if token.top1_agrees {
            "same first choice"
        } else {
            "another first choice"
        };
        let _ = writeln!(
            text,
            "  KL {:.3}, NLL {:.3} to {:.3}, f16's first choice had {:.2}, {first}\n    …{}⟦{}⟧{}…",
            token.kl,
            token.nll_f16,
            token.nll,
            token.max_p_f16,
            flat(&token.before),
            flat(&token.token),
            flat(&token.after),
        );
    }
    text
}

fn flat(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '␣' } else { c })
        .collect()
}
