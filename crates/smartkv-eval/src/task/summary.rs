//! From samples to what a table shows.

use super::data::Source;
use super::record::{Attempt, SampleRecord};
use super::sample::Part;
use super::verdicts::{Pool, judged};
use crate::error::{EvalError, Result};
use crate::stats::{Bootstrap, Difference, Estimate, Verdict, float, mean, paired_difference};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The p-value below which the context is said to matter.
const DISCRIMINATES: f64 = 0.01;

/// With fewer samples no p-value is below that, even if all of them agree: `2 / 2^7 > 0.01`.
const LEAST: usize = 8;

/// What a task measured. Equal inputs give equal results, to the bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Names of the caches, the reference first.
    pub sides: Vec<String>,
    /// All parts together, each with the same weight; its name is empty.
    pub overall: PartResult,
    /// The parts; empty if there is only one.
    pub parts: Vec<PartResult>,
    /// The files of data sets that were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Sample by sample.
    pub samples: Vec<SampleRecord>,
}

/// The scores of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    /// Its name.
    pub name: String,
    /// What the score is.
    pub metric: String,
    /// What distinguishes it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
    /// Samples.
    pub n: usize,
    /// Mean tokens of the compressed contexts.
    pub context_tokens: f64,
    /// The reference without the context; absent if not asked for.
    pub control: Option<Estimate>,
    /// Whether the reference needs the context at all (sign-flip test of its scores against the
    /// control's, p < 0.01): if not, the task tells nothing about a cache of this model. Absent
    /// without a control, and where it cannot be told.
    pub discriminative: Option<bool>,
    /// Why it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// Cache by cache, the reference first.
    pub sides: Vec<SideResult>,
}

/// What one cache reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideResult {
    /// Its name.
    pub name: String,
    /// Mean score, 1 being the best.
    pub score: Estimate,
    /// Samples that failed and count as 0.
    pub failed: usize,
    /// Against the reference, sample by sample; absent of the reference.
    pub compared: Option<Compared>,
    /// Mean negative log-probability per token of the gold continuation; absent without one, and of
    /// a cache that failed where the reference did not.
    pub gold_nll_nats: Option<f64>,
    /// Mean share of live bytes in f16's when the question came; absent where simulated.
    pub ratio: Option<f64>,
    /// Mean tokens generated.
    pub generated_tokens: f64,
}

/// A cache against the reference on the same samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Mean difference of the scores. Where all scores are 0 or 1 its p-value is that of
    /// `McNemar`'s exact test, which the sign-flip test then is.
    pub difference: Difference,
    /// That p-value after Holm's correction for all comparisons of the task.
    pub p_holm: f64,
    /// What may be said of the difference once corrected.
    pub verdict: Verdict,
    /// Mean divergence from the reference at the gold continuation; absent without one.
    pub kl_nats: Option<Estimate>,
}

/// Sums up `records`, which hold the attempts of `names` in that order.
pub(super) fn summarise(
    parts: &[Part],
    names: Vec<String>,
    records: Vec<SampleRecord>,
    how: &Bootstrap,
) -> Result<TaskResult> {
    let mut pools = Vec::new();
    for part in parts {
        let own: Vec<&SampleRecord> = records.iter().filter(|r| r.part == part.name).collect();
        if !own.is_empty() {
            pools.push(Pool {
                part: part.clone(),
                weights: vec![1.0; own.len()],
                strata: Vec::new(),
                records: own,
            });
        }
    }
    let single = pools.len() == 1;
    if !single {
        let metrics: BTreeSet<&str> = pools.iter().map(|p| p.part.metric.as_str()).collect();
        let part = Part {
            metric: metrics.into_iter().collect::<Vec<_>>().join(", "),
            ..Part::default()
        };
        let all: Vec<&SampleRecord> = records.iter().collect();
        pools.push(Pool {
            part,
            weights: balance(&all, pools.len()),
            strata: strata(&all, parts),
            records: all,
        });
    }
    let compared = judged(&pools, names.len(), how)?;
    let results = pools.iter().zip(compared);
    let results = results.map(|(pool, compared)| summary(pool, &names, compared, how));
    let mut parts = results.collect::<Result<Vec<_>>>()?;
    let last = parts.pop();
    let Some(mut overall) = last else {
        return Err(EvalError::Task("no samples to sum up".into()));
    };
    if single && !overall.name.is_empty() {
        parts.push(overall.clone());
        overall.name.clear();
    }
    drop(pools);
    Ok(TaskResult {
        sides: names,
        overall,
        parts,
        sources: Vec::new(),
        samples: records,
    })
}

/// Factors on the values of `records` that make their plain mean the mean of the parts' means.
fn balance(records: &[&SampleRecord], parts: usize) -> Vec<f64> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(&record.part).or_default() += 1;
    }
    let all = float(records.len());
    let weight =
        |record: &&SampleRecord| all / (float(parts) * float(counts[record.part.as_str()]));
    records.iter().map(weight).collect()
}

/// The place of each record's part.
fn strata(records: &[&SampleRecord], parts: &[Part]) -> Vec<usize> {
    let place = |record: &&SampleRecord| parts.iter().position(|part| part.name == record.part);
    records.iter().map(|r| place(r).unwrap_or(0)).collect()
}

fn summary(
    pool: &Pool<'_>,
    names: &[String],
    mut compared: Vec<Option<Compared>>,
    how: &Bootstrap,
) -> Result<PartResult> {
    let Pool {
        part,
        records,
        weights,
        ..
    } = pool;
    let reference = pool.scores(0);
    let controls: Option<Vec<f64>> = records
        .iter()
        .zip(weights)
        .map(|(record, weight)| Some(weight * record.control.as_ref()?.score))
        .collect();
    let control = controls
        .as_ref()
        .map(|scores| pool.estimate(scores, how))
        .transpose()?;
    let undecided = (control.is_some() && records.len() < LEAST).then(|| {
        format!(
            "n = {} is too small: at least {LEAST} are needed",
            records.len()
        )
    });
    let discriminative = controls
        .filter(|_| undecided.is_none())
        .map(|control| paired_difference(&control, &reference, how))
        .transpose()?
        .map(|gain| gain.estimate.mean > 0.0 && gain.p_two_sided < DISCRIMINATES);
    let mut sides = Vec::with_capacity(names.len());
    for (side, name) in names.iter().enumerate() {
        let attempts: Vec<&Attempt> = records.iter().map(|r| &r.attempts[side]).collect();
        sides.push(SideResult {
            name: name.clone(),
            score: pool.estimate(&pool.scores(side), how)?,
            failed: attempts.iter().filter(|a| a.failure.is_some()).count(),
            compared: compared.get_mut(side).and_then(Option::take),
            gold_nll_nats: complete(pool, side, how)?,
            ratio: ratio(&attempts),
            generated_tokens: mean(
                &attempts
                    .iter()
                    .map(|a| float(a.generated_tokens))
                    .collect::<Vec<_>>(),
            )
            .unwrap_or(0.0),
        });
    }
    let context: Vec<f64> = records.iter().map(|r| float(r.context_tokens)).collect();
    Ok(PartResult {
        name: part.name.clone(),
        metric: part.metric.clone(),
        meta: part.meta.clone(),
        n: records.len(),
        context_tokens: mean(&context).unwrap_or(0.0),
        control,
        discriminative,
        undecided,
        sides,
    })
}

/// The mean of [`gold`], unless the cache failed where the reference did not: without the hard
/// samples a mean looks better than it is.
fn complete(pool: &Pool<'_>, side: usize, how: &Bootstrap) -> Result<Option<f64>> {
    let lacks = |record: &&SampleRecord| {
        gold(&record.attempts[0]).is_some() && gold(&record.attempts[side]).is_none()
    };
    if pool.records.iter().any(lacks) {
        return Ok(None);
    }
    Ok(pool.mean_of(side, gold, how)?.map(|gold| gold.mean))
}

/// The gold continuation's negative log-probability per token.
fn gold(attempt: &Attempt) -> Option<f64> {
    let forced = attempt.forced?;
    Some(forced.nll_nats / float(forced.tokens.max(1)))
}

#[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
fn ratio(attempts: &[&Attempt]) -> Option<f64> {
    if attempts.iter().any(|attempt| attempt.simulated) {
        return None;
    }
    let held = attempts
        .iter()
        .filter(|attempt| attempt.f16_bytes > 0 && attempt.failure.is_none());
    let ratios: Vec<f64> = held
        .map(|attempt| attempt.live_bytes as f64 / attempt.f16_bytes as f64)
        .collect();
    mean(&ratios)
}
