//! Windows of an evaluation run once more, token by token: what stood where it went wrong.

use super::ErrorsRead;
use super::read::{Evaluated, Seen};
use crate::assets::Text;
use crate::config::StrategySpec;
use anyhow::Context as _;
use serde::Serialize;
use smartkv_core::{Budget, Cache};
use smartkv_eval::stats::{mean, quantile};
use smartkv_eval::{
    LockstepOptions, Progress, TokenFidelity, TokenRecord, Unwatched, Windows, lockstep,
};
use smartkv_host::Model;

/// Tokens shown before and after one that went wrong.
const BEFORE: usize = 24;
const AFTER: usize = 4;
/// Groups of tokens by difficulty and confidence.
const QUARTERS: usize = 4;

/// A window that lost much.
#[derive(Debug, Clone, Serialize)]
pub struct WorstWindow {
    /// The strategy with its budget.
    pub strategy: String,
    /// First token in the text.
    pub start: usize,
    /// Tokens of its prompt.
    pub prefill_tokens: usize,
    /// Mean negative log-likelihood with f16.
    pub nll_f16: f64,
    /// The same with the strategy.
    pub nll: f64,
    /// Mean KL from f16 in nats.
    pub kl: f64,
    /// Share of tokens with the same first choice.
    pub top1_agreement: f64,
}

impl From<&Seen> for WorstWindow {
    fn from(seen: &Seen) -> Self {
        Self {
            strategy: seen.strategy.clone(),
            start: seen.start,
            prefill_tokens: seen.prefill_tokens,
            nll_f16: seen.nll_f16,
            nll: seen.fidelity.mean_nll_nats,
            kl: seen.fidelity.mean_kl_nats,
            top1_agreement: seen.fidelity.top1_agreement,
        }
    }
}

/// A window that was run again.
#[derive(Debug, Clone, Serialize)]
pub struct RerunWindow {
    /// The window as recorded.
    #[serde(flatten)]
    pub window: WorstWindow,
    /// Mean KL this time.
    pub kl_again: f64,
    /// Its tokens of largest divergence, the worst first.
    pub worst_tokens: Vec<WorstToken>,
    /// KL from f16 of every scored token, in order.
    pub kl_tokens: Vec<f32>,
    /// Negative log-likelihood of every scored token with f16, in order.
    pub nll_f16_tokens: Vec<f32>,
    /// Probability of f16's first choice for every scored token, in order.
    pub max_p_f16_tokens: Vec<f32>,
}

/// A token that was predicted otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct WorstToken {
    /// Its place in the text.
    pub position: usize,
    /// The text before it.
    pub before: String,
    /// Its own.
    pub token: String,
    /// The text after it.
    pub after: String,
    /// KL from f16 in nats.
    pub kl: f64,
    /// Negative log-likelihood with f16.
    pub nll_f16: f64,
    /// The same with the strategy.
    pub nll: f64,
    /// Probability of f16's first choice.
    pub max_p_f16: f64,
    /// Whether both have the same first choice.
    pub top1_agrees: bool,
}

/// Tokens that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenGroup {
    /// The strategy with its budget.
    pub strategy: String,
    /// What they have in common: `f16_nll` or `f16_max_p`.
    pub by: &'static str,
    /// Range of it.
    pub from: f64,
    /// See `from`.
    pub to: f64,
    /// Tokens.
    pub n: usize,
    /// Mean KL from f16.
    pub kl_mean: f64,
    /// Its median.
    pub kl_median: f64,
    /// Share of all tokens' KL.
    pub kl_share: f64,
}

/// What running windows again takes: an evaluation's model, weights and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What the user called the model.
    pub model: String,
    /// How weights were held.
    pub weights: String,
    /// What was read.
    pub text: String,
    windows: Vec<usize>,
}

impl ErrorsRead {
    /// The windows of largest divergence, so many of each strategy (all if `None`), by what they
    /// need.
    #[must_use]
    pub fn needed(&self, count: Option<usize>) -> Vec<Needed> {
        let seen = &self.records.seen;
        let mut order: Vec<usize> = (0..seen.len()).collect();
        let kl = |index: usize| seen[index].fidelity.mean_kl_nats;
        order.sort_by(|&a, &b| kl(b).total_cmp(&kl(a)));
        let mut needed: Vec<Needed> = Vec::new();
        let mut taken: Vec<(&String, usize)> = Vec::new();
        for index in order {
            let strategy = &seen[index].strategy;
            let known = taken.iter().position(|(name, _)| *name == strategy);
            let known = known.unwrap_or_else(|| {
                taken.push((strategy, 0));
                taken.len() - 1
            });
            if count.is_some_and(|count| taken[known].1 >= count) {
                continue;
            }
            taken[known].1 += 1;
            let evaluated = &self.records.evaluations[seen[index].evaluation];
            let own = Needed {
                model: evaluated.model.clone(),
                weights: evaluated.weights.clone().unwrap_or_else(|| "auto".into()),
                text: evaluated.protocol.text.clone(),
                windows: Vec::new(),
            };
            let same = |n: &&mut Needed| {
                (&n.model, &n.weights, &n.text) == (&own.model, &own.weights, &own.text)
            };
            match needed.iter_mut().find(same) {
                Some(needed) => needed.windows.push(index),
                None => needed.push(Needed {
                    windows: vec![index],
                    ..own
                }),
            }
        }
        needed
    }

    /// Runs the windows of `needed` again.
    ///
    /// # Errors
    /// A model or text other than the recorded one, and whatever model and cache refuse.
    pub fn rerun(
        &self,
        needed: &Needed,
        model: &Model,
        model_sha256: Option<&str>,
        text: &Text,
        progress: &dyn Progress,
    ) -> anyhow::Result<Vec<RerunWindow>> {
        let tokens = model.tokenizer().encode(&text.text, false)?;
        let mut rerun = Vec::with_capacity(needed.windows.len());
        for &index in &needed.windows {
            let seen = &self.records.seen[index];
            let evaluated = &self.records.evaluations[seen.evaluation];
            check(evaluated, model_sha256, text)?;
            let window = run(evaluated, seen, model, &tokens, self.worst, progress)
                .with_context(|| format!("window at token {} of {}", seen.start, seen.strategy))?;
            rerun.push(window);
        }
        Ok(rerun)
    }
}

/// Refuses what is not what was evaluated.
fn check(evaluated: &Evaluated, sha256: Option<&str>, text: &Text) -> anyhow::Result<()> {
    let path = evaluated.path.display();
    anyhow::ensure!(
        text.sha256 == evaluated.protocol.text_sha256,
        "{path} was measured on another `{}`: its SHA-256 was {}, this one's is {}; give the text \
         with --text",
        evaluated.protocol.text,
        evaluated.protocol.text_sha256,
        text.sha256
    );
    if let (Some(recorded), Some(found)) = (&evaluated.model_sha256, sha256) {
        anyhow::ensure!(
            recorded == found,
            "{path} was measured with another `{}`: its SHA-256 was {recorded}, this one's is \
             {found}; give the model with --model",
            evaluated.model
        );
    }
    Ok(())
}

fn run(
    evaluated: &Evaluated,
    seen: &Seen,
    model: &Model,
    tokens: &[u32],
    worst: usize,
    progress: &dyn Progress,
) -> anyhow::Result<RerunWindow> {
    let protocol = &evaluated.protocol;
    let strategy = StrategySpec::from_config(&evaluated.config, &[])?;
    let budget = evaluated
        .budget
        .clone()
        .map(serde_json::from_value::<Budget>);
    let budget = budget.transpose().context("the record's budget")?;
    let shape = model.cache_shape(1)?;
    let build = |spec: &StrategySpec, budget| {
        Cache::builder(shape, spec.strategy.clone())
            .rope(model.ropes())
            .budget(budget)
            .prefill(protocol.prefill)
            .seed(protocol.seed)
            .kernels(smartkv_kernels::best())
            .build()
    };
    let mut reference = build(&StrategySpec::resolve("f16", &[])?, None)?;
    let mut candidate = build(&strategy, budget)?;
    let windows = Windows {
        count: 1.into(),
        prefill: protocol.prefill_tokens,
        score: protocol.score_tokens,
    };
    let end = seen.start.saturating_add(windows.tokens_per_window());
    let own = tokens
        .get(seen.start..end)
        .with_context(|| format!("the text has {} tokens", tokens.len()))?;
    let options = LockstepOptions {
        protocol: protocol.name,
        windows,
        prefix: model.tokenizer().bos().into_iter().collect(),
        prefill_chunk: protocol.prefill_chunk,
        keep_tokens: true,
        ..LockstepOptions::default()
    };
    let (result, _) = lockstep(
        model,
        own,
        &options,
        &mut Unwatched(&mut reference),
        Some(&mut Unwatched(&mut candidate)),
        progress,
    )?;
    let records = result
        .windows
        .into_iter()
        .next()
        .map(|window| window.tokens);
    let records = records.context("no window was run")?;
    let scored: Vec<(&TokenRecord, TokenFidelity)> = records
        .iter()
        .filter_map(|record| Some((record, record.candidate?)))
        .collect();
    let mut order: Vec<usize> = (0..scored.len()).collect();
    order.sort_by(|&a, &b| scored[b].1.kl_nats.total_cmp(&scored[a].1.kl_nats));
    let worst_tokens = order.iter().take(worst).map(|&index| {
        let (record, fidelity) = scored[index];
        let (tokenizer, at) = (model.tokenizer(), record.position);
        let after = (at + 1 + AFTER).min(own.len());
        anyhow::Ok(WorstToken {
            position: seen.start + at,
            before: tokenizer.decode(&own[at.saturating_sub(BEFORE)..at])?,
            token: tokenizer.decode(&own[at..=at])?,
            after: tokenizer.decode(&own[at + 1..after])?,
            kl: fidelity.kl_nats,
            nll_f16: record.reference_nll_nats,
            nll: fidelity.nll_nats,
            max_p_f16: record.reference_max_p,
            top1_agrees: fidelity.top1_agrees,
        })
    });
    let kl: Vec<f64> = scored
        .iter()
        .map(|(_, fidelity)| fidelity.kl_nats)
        .collect();
    #[expect(clippy::cast_possible_truncation, reason = "drawn, not computed with")]
    let narrow = |value: f64| value as f32;
    let column = |pick: fn(&TokenRecord) -> f64| -> Vec<f32> {
        scored
            .iter()
            .map(|(record, _)| narrow(pick(record)))
            .collect()
    };
    Ok(RerunWindow {
        window: seen.into(),
        kl_again: mean(&kl).unwrap_or(0.0),
        worst_tokens: worst_tokens.collect::<Result<_, _>>()?,
        nll_f16_tokens: column(|record| record.reference_nll_nats),
        max_p_f16_tokens: column(|record| record.reference_max_p),
        kl_tokens: kl.into_iter().map(narrow).collect(),
    })
}

/// Numbers of the tokens of a window.
type Column = fn(&RerunWindow) -> &[f32];

/// Tokens of all windows by how hard they were for f16, and how sure it was.
pub(super) fn token_groups(rerun: &[RerunWindow]) -> Vec<TokenGroup> {
    let mut strategies: Vec<&String> = rerun.iter().map(|w| &w.window.strategy).collect();
    strategies.sort();
    strategies.dedup();
    let mut groups = Vec::new();
    for strategy in strategies {
        let own = || {
            rerun
                .iter()
                .filter(|window| &window.window.strategy == strategy)
        };
        let columns: [(&'static str, Column); 2] = [
            ("f16_nll", |window| &window.nll_f16_tokens),
            ("f16_max_p", |window| &window.max_p_f16_tokens),
        ];
        for (by, column) in columns {
            let pairs = own().flat_map(|window| column(window).iter().zip(&window.kl_tokens));
            let mut pairs: Vec<(f64, f64)> = pairs
                .map(|(&by, &kl)| (f64::from(by), f64::from(kl)))
                .collect();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            let all: f64 = pairs.iter().map(|(_, kl)| kl).sum();
            let cut = |quarter: usize| quarter * pairs.len() / QUARTERS;
            for quarter in 0..QUARTERS {
                let own = &pairs[cut(quarter)..cut(quarter + 1)];
                let kl: Vec<f64> = own.iter().map(|(_, kl)| *kl).collect();
                let (Some(first), Some(last)) = (own.first(), own.last()) else {
                    continue;
                };
                groups.push(TokenGroup {
                    strategy: strategy.clone(),
                    by,
                    from: first.0,
                    to: last.0,
                    n: own.len(),
                    kl_mean: mean(&kl).unwrap_or(0.0),
                    kl_median: quantile(&kl, 0.5).unwrap_or(0.0),
                    kl_share: if all > 0.0 {
                        kl.iter().sum::<f64>() / all
                    } else {
                        0.0
                    },
                });
            }
        }
    }
    groups
}
