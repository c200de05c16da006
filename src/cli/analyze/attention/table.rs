//! Attention as a researcher reads it: layer by layer, then what rounding does.

use crate::cli::output;
use crate::experiment::analyze::{AttentionRecord, PrecisionRecord, RankedBy, Sensitivity};
use smartkv_eval::attention::HeadAttention;
use smartkv_eval::stats::{Interval, mean};
use std::fmt::Write as _;

/// The tables, and what their numbers mean.
pub(super) fn render(record: &AttentionRecord) -> String {
    let mut text = layers(record);
    text += &top(record);
    if let Some(sensitivity) = &record.sensitivity {
        text += &groups(sensitivity);
        text += &contrasts(sensitivity);
        text += &lone(sensitivity);
    }
    if let Some(precision) = &record.precision {
        text += &bits(precision);
    }
    text
}

/// One row a layer, means over heads.
fn layers(record: &AttentionRecord) -> String {
    let of = |heads: &[HeadAttention], pick: fn(&HeadAttention) -> f64| {
        mean(&heads.iter().map(pick).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let row = |name: String, heads: &[HeadAttention]| {
        let shares = heads.iter().map(|h| h.entropy_share);
        let (least, most) = shares.fold((f64::INFINITY, 0.0f64), |(a, b), s| (a.min(s), b.max(s)));
        let deviation = of(heads, |h| h.key_variance).sqrt() / of(heads, |h| h.key_mean);
        vec![
            name,
            format!("{:.3}", of(heads, |h| h.entropy_nats)),
            format!(
                "{:.3} [{least:.3}, {most:.3}]",
                of(heads, |h| h.entropy_share)
            ),
            format!("{:.1}", 100.0 * of(heads, |h| h.sinks)),
            format!("{:.1}", 100.0 * of(heads, |h| h.recent)),
            format!("{:.1}", 100.0 * of(heads, |h| h.middle)),
            format!("{deviation:.1}"),
        ]
    };
    let mut rows: Vec<Vec<String>> = record
        .heads
        .chunks(record.shape.q_heads.max(1))
        .map(|heads| row(heads[0].layer.to_string(), heads))
        .collect();
    rows.push(row("all".into(), &record.heads));
    let (sinks, recent) = (
        format!("first {} %", record.sinks),
        format!("newest {} %", record.recent),
    );
    let header = [
        "layer",
        "entropy (nats)",
        "of ln n [heads]",
        &sinks,
        &recent,
        "between %",
        "deviation / mean",
    ];
    let mut text = output::table(&header, rows);
    let _ = writeln!(
        text,
        "{}, `{}`: {} windows of {} + {} tokens, {} queries. Entropy of a query's attention, as a \
         share of the\nmost there could be with the least and the most of a layer's heads; shares \
         of its mass; standard deviation of\nwhat the tokens of a prompt receive over its mean.",
        record.model,
        record.text.source,
        record.text.starts.len(),
        record.prompt_tokens,
        record.window_tokens - record.prompt_tokens,
        record.queries,
    );
    text
}

/// The tokens of the first window that get most.
fn top(record: &AttentionRecord) -> String {
    let Some(top) = record.top.first().filter(|top| !top.is_empty()) else {
        return String::new();
    };
    let rows = top.iter().map(|token| {
        let sink = if token.sink { "sink" } else { "" };
        vec![
            format!("{:?}", token.text),
            token.position.to_string(),
            format!("{:.3}", 100.0 * token.attention),
            sink.to_string(),
        ]
    });
    let header = ["token (first prompt)", "position", "attention %", ""];
    format!("\n{}", output::table(&header, rows.collect()))
}

fn within(value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(i) => format!("{value:.4} [{:.4}, {:.4}]", i.low, i.high),
        None => format!("{value:.4}"),
    }
}

fn ranking(by: RankedBy) -> &'static str {
    match by {
        RankedBy::Future => "future attention",
        RankedBy::Past => "past attention",
    }
}

fn groups(sensitivity: &Sensitivity) -> String {
    let rows = sensitivity.groups.iter().map(|group| {
        vec![
            format!("{}, {} bits", ranking(group.ranked_by), group.bits),
            group.rounded.to_string(),
            within(group.kl.mean, group.kl.interval),
            within(group.perplexity_ratio, group.perplexity_ratio_interval),
            format!("{:.0}", group.mean_live_bytes),
        ]
    });
    let share = 100.0 * sensitivity.settings.share;
    let rounded = format!("rounded {share}%");
    let header = [
        "ranked by",
        &rounded,
        "KL from f16 (nats)",
        "perplexity ratio",
        "live bytes",
    ];
    format!("\n{}", output::table(&header, rows.collect()))
}

fn contrasts(sensitivity: &Sensitivity) -> String {
    let rows = sensitivity.contrasts.iter().map(|contrast| {
        let ratio = contrast
            .ratio
            .map_or("-".to_string(), |ratio| format!("{ratio:.2} ×"));
        vec![
            format!("{}, {} bits", ranking(contrast.ranked_by), contrast.bits),
            format!("{} - {}", contrast.group, contrast.minus),
            within(contrast.kl.estimate.mean, contrast.kl.estimate.interval),
            ratio,
            format!("{:.3}", contrast.kl.p_two_sided),
        ]
    });
    let header = ["difference of KL", "groups", "nats", "ratio", "p"];
    let mut text = format!("\n{}", output::table(&header, rows.collect()));
    let _ = writeln!(
        text,
        "Of each layer and head's tokens of the prompt, the first {} apart, one group is rounded \
         and all others stay\nf16: equal bytes. 95% intervals and p from a paired bootstrap and \
         sign flips over windows.",
        sensitivity.sinks
    );
    text
}

fn lone(sensitivity: &Sensitivity) -> String {
    let rows = sensitivity.lone.iter().map(|lone| {
        let last = lone.damage_by_tenth.last().copied().unwrap_or(0.0);
        vec![
            lone.format.clone(),
            within(lone.rank_correlation.mean, lone.rank_correlation.interval),
            format!("{:.2}", lone.log_slope),
            format!("{:.1}", 100.0 * last),
        ]
    });
    let header = [
        "one token at a time",
        "rank correlation with attention",
        "slope of logs",
        "damage in the top tenth %",
    ];
    let mut text = format!("\n{}", output::table(&header, rows.collect()));
    text += "Within a layer and head: what a token of the prompt receives against the squared error \
             of the attention output\nwhen that token alone is rounded. A slope of 2 is damage that \
             goes with the square of attention.\n";
    text
}

fn bits(precision: &PrecisionRecord) -> String {
    let counts = |index: usize| {
        let rows = precision.at.iter().map(|at| at.rows[index].to_string());
        rows.collect::<Vec<_>>()
    };
    let rows = precision.legend.iter().enumerate().map(|(index, entry)| {
        let name = format!("{} {}", entry.symbol, entry.place);
        let bits = format!("{}/{}", entry.key_bits, entry.value_bits);
        [vec![name, bits], counts(index)].concat()
    });
    let after: Vec<String> = precision
        .at
        .iter()
        .map(|at| format!("rows after {} ({} tokens)", at.after, at.seen))
        .collect();
    let budget = precision
        .budget
        .map_or(String::new(), |budget| format!(" @ {budget}"));
    let title = format!("{}{budget}", precision.strategy);
    let mut header = vec![title.as_str(), "K/V bits"];
    header.extend(after.iter().map(String::as_str));
    let mut text = format!("\n{}", output::table(&header, rows.collect()));
    for at in &precision.at {
        let bits = mean(&at.layer_bits).unwrap_or(0.0);
        let _ = writeln!(
            text,
            "After {}: {bits:.2} bits an element on average, by layer {}.",
            at.after,
            at.layer_bits
                .iter()
                .map(|bits| format!("{bits:.1}"))
                .collect::<Vec<_>>()
                .join(" ")
        );
    }
    text
}
