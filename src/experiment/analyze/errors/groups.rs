//! Losses by what samples and windows have in common.

use super::read::{Asked, Seen};
use serde::Serialize;
use smartkv_eval::Bootstrap;
use smartkv_eval::stats::{Estimate, bootstrap_mean, mean};
use std::collections::BTreeMap;

/// Groups of equally many by the difficulty for f16.
const QUARTERS: usize = 4;

/// Samples that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleGroup {
    /// The strategy with its budget.
    pub strategy: String,
    /// What they have in common: `all`, `task`, `part`, `context`, `depth`, `f16_gold_nll` or
    /// `f16_score`.
    pub by: &'static str,
    /// Which of those.
    pub key: String,
    /// Samples.
    pub n: usize,
    /// Mean score of f16.
    pub score_f16: f64,
    /// Mean score of the strategy.
    pub score: f64,
    /// Mean of f16's score minus the strategy's.
    pub loss: Estimate,
    /// Samples with a lower, a higher score than f16's, and those that failed.
    pub lost: usize,
    /// See `lost`.
    pub won: usize,
    /// See `lost`.
    pub failed: usize,
    /// Mean rise of the gold continuation's negative log-probability per token; of those that have
    /// one with both.
    pub gold_nll_rise: Option<Estimate>,
}

/// Windows that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowGroup {
    /// The strategy with its budget.
    pub strategy: String,
    /// What they have in common: `all`, `context` or `f16_nll`.
    pub by: &'static str,
    /// Which of those.
    pub key: String,
    /// Windows.
    pub n: usize,
    /// Mean negative log-likelihood with f16.
    pub nll_f16: f64,
    /// Mean KL from f16 in nats.
    pub kl: Estimate,
    /// Mean rise of the negative log-likelihood.
    pub nll_rise: Estimate,
    /// Mean share of tokens with the same first choice.
    pub top1_agreement: f64,
}

/// Every group of samples, strategy by strategy.
pub(super) fn of_samples(asked: &[Asked], how: &Bootstrap) -> anyhow::Result<Vec<SampleGroup>> {
    let mut groups = Vec::new();
    for (strategy, own) in by_strategy(asked, |sample| &sample.strategy) {
        let mut add = |by, keyed: Vec<(String, Vec<&Asked>)>| -> anyhow::Result<()> {
            for (key, samples) in keyed {
                groups.push(sample_group(&strategy, by, key, &samples, how)?);
            }
            Ok(())
        };
        add("all", vec![(String::new(), own.clone())])?;
        add("task", keyed(&own, |s| Some(s.task.clone())))?;
        add(
            "part",
            keyed(&own, |s| {
                (!s.part.is_empty()).then(|| format!("{}: {}", s.task, s.part))
            }),
        )?;
        add("context", keyed(&own, |s| Some(context(s.context_tokens))))?;
        add(
            "depth",
            keyed(&own, |s| {
                s.depth_percent.map(|depth| format!("{depth:>3.0}%"))
            }),
        )?;
        add(
            "f16_score",
            keyed(&own, |s| Some(solved(s.f16.score).to_string())),
        )?;
        add("f16_gold_nll", quarters(&own, |s| s.f16.gold_nll_nats))?;
    }
    Ok(groups)
}

/// Every group of windows, strategy by strategy.
pub(super) fn of_windows(seen: &[Seen], how: &Bootstrap) -> anyhow::Result<Vec<WindowGroup>> {
    let mut groups = Vec::new();
    for (strategy, own) in by_strategy(seen, |window| &window.strategy) {
        let mut add = |by, keyed: Vec<(String, Vec<&Seen>)>| -> anyhow::Result<()> {
            for (key, windows) in keyed {
                groups.push(window_group(&strategy, by, key, &windows, how)?);
            }
            Ok(())
        };
        add("all", vec![(String::new(), own.clone())])?;
        add(
            "context",
            keyed(&own, |w| Some(format!("{:>6} tokens", w.prefill_tokens))),
        )?;
        add("f16_nll", quarters(&own, |w| Some(w.nll_f16)))?;
    }
    Ok(groups)
}

fn by_strategy<T>(all: &[T], strategy: impl Fn(&T) -> &String) -> BTreeMap<String, Vec<&T>> {
    let mut groups: BTreeMap<String, Vec<&T>> = BTreeMap::new();
    for one in all {
        groups.entry(strategy(one).clone()).or_default().push(one);
    }
    groups
}

/// Groups by a key, in its order; what has none is left out.
fn keyed<'a, T>(all: &[&'a T], key: impl Fn(&T) -> Option<String>) -> Vec<(String, Vec<&'a T>)> {
    let mut groups: BTreeMap<String, Vec<&T>> = BTreeMap::new();
    for &one in all {
        if let Some(key) = key(one) {
            groups.entry(key).or_default().push(one);
        }
    }
    groups.into_iter().collect()
}

/// Four groups of equally many by a rising value; none where there are fewer that have one.
fn quarters<'a, T>(all: &[&'a T], value: impl Fn(&T) -> Option<f64>) -> Vec<(String, Vec<&'a T>)> {
    let valued = all.iter().filter_map(|&one| Some((value(one)?, one)));
    let mut valued: Vec<(f64, &T)> = valued.collect();
    if valued.len() < QUARTERS {
        return Vec::new();
    }
    valued.sort_by(|a, b| a.0.total_cmp(&b.0));
    let cut = |quarter: usize| quarter * valued.len() / QUARTERS;
    (0..QUARTERS)
        .map(|quarter| {
            let own = &valued[cut(quarter)..cut(quarter + 1)];
            let (least, most) = (own[0].0, own[own.len() - 1].0);
            let key = format!("{} of {QUARTERS}: {least:.3} to {most:.3}", quarter + 1);
            (key, own.iter().map(|(_, one)| *one).collect())
        })
        .collect()
}

/// A power of two and the next.
fn context(tokens: usize) -> String {
    let least = tokens.checked_ilog2().map_or(0, |log| 1_usize << log);
    format!("{least:>6} to {}", (least.saturating_mul(2)).max(1) - 1)
}

/// What f16 made of it.
fn solved(score: f64) -> &'static str {
    match score {
        score if score >= 1.0 => "solved by f16",
        score if score > 0.0 => "solved in part by f16",
        _ => "not solved by f16",
    }
}

fn sample_group(
    strategy: &str,
    by: &'static str,
    key: String,
    samples: &[&Asked],
    how: &Bootstrap,
) -> anyhow::Result<SampleGroup> {
    let of = |pick: fn(&Asked) -> f64| -> Vec<f64> { samples.iter().map(|s| pick(s)).collect() };
    let losses = of(|s| s.f16.score - s.own.score);
    let rise = |s: &&Asked| Some(s.own.gold_nll_nats? - s.f16.gold_nll_nats?);
    let rises: Vec<f64> = samples.iter().filter_map(rise).collect();
    let count = |which: fn(&Asked) -> bool| samples.iter().filter(|s| which(s)).count();
    Ok(SampleGroup {
        strategy: strategy.to_string(),
        by,
        key,
        n: samples.len(),
        score_f16: mean(&of(|s| s.f16.score)).unwrap_or(0.0),
        score: mean(&of(|s| s.own.score)).unwrap_or(0.0),
        loss: bootstrap_mean(&losses, how)?,
        lost: count(|s| s.own.score < s.f16.score),
        won: count(|s| s.own.score > s.f16.score),
        failed: count(|s| s.own.failure.is_some()),
        gold_nll_rise: if rises.is_empty() {
            None
        } else {
            Some(bootstrap_mean(&rises, how)?)
        },
    })
}

fn window_group(
    strategy: &str,
    by: &'static str,
    key: String,
    windows: &[&Seen],
    how: &Bootstrap,
) -> anyhow::Result<WindowGroup> {
    let of = |pick: fn(&Seen) -> f64| -> Vec<f64> { windows.iter().map(|w| pick(w)).collect() };
    Ok(WindowGroup {
        strategy: strategy.to_string(),
        by,
        key,
        n: windows.len(),
        nll_f16: mean(&of(|w| w.nll_f16)).unwrap_or(0.0),
        kl: bootstrap_mean(&of(|w| w.fidelity.mean_kl_nats), how)?,
        nll_rise: bootstrap_mean(&of(|w| w.fidelity.mean_nll_nats - w.nll_f16), how)?,
        top1_agreement: mean(&of(|w| w.fidelity.top1_agreement)).unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_fall_between_powers_of_two() {
        assert_eq!(context(0), "     0 to 0");
        assert_eq!(context(1), "     1 to 1");
        assert_eq!(context(4095), "  2048 to 4095");
        assert_eq!(context(4096), "  4096 to 8191");
    }

    #[test]
    fn quarters_hold_equally_many_in_rising_order() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0, 8.0, 7.0, 6.0];
        let all: Vec<&f64> = values.iter().collect();
        let groups = quarters(&all, |v| Some(*v));
        let found: Vec<Vec<f64>> = groups
            .iter()
            .map(|(_, own)| own.iter().map(|v| **v).collect())
            .collect();
        assert_eq!(found, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]);
        assert_eq!(groups[0].0, "1 of 4: 1.000 to 2.000");
        assert!(quarters(&all[..3], |v| Some(*v)).is_empty());
        assert!(quarters(&all, |_| None).is_empty());
    }
}
