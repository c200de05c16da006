//! One question to one compressed cache.

use super::prompt::Prompt;
use super::record::Stop;
use super::sample::{Answer, Ask, Forced, Gold, Sample};
use crate::error::{EvalError, Result};
use crate::fidelity::{Scores, TokenFidelity};
use crate::perplexity::log_prob;
use crate::speed::PhaseTime;
use smartkv_core::MeasuredHook;
use smartkv_host::{Logits, LogitsFor, Model, argmax};
use std::time::Instant;

/// A question to ask of a cache that holds its context.
pub(super) struct Question<'a> {
    pub(super) model: &'a Model,
    pub(super) sample: &'a Sample,
    pub(super) prompt: &'a Prompt,
}

/// The logits that predicted each token of a forced continuation.
pub(super) type Rows = Vec<Vec<f32>>;

/// What a cache is in a comparison.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    /// The one that others are held against.
    Reference,
    /// One that is held against what the reference answered, and the rows of the continuation
    /// that was forced there.
    Candidate(&'a Answer, Option<&'a Rows>),
    /// There is nothing to hold it against: the reference failed, or is asked something else.
    Alone,
}

impl Question<'_> {
    /// Asks a fork of `cache`. The rows of its forced continuation are returned beside the answer.
    pub(super) fn ask(
        &self,
        cache: &dyn MeasuredHook,
        role: Role<'_>,
        time: &mut PhaseTime,
    ) -> Result<(Answer, Option<Rows>)> {
        let Self {
            model,
            sample,
            prompt,
        } = self;
        let tokenizer = model.tokenizer();
        let mut fork = cache.fork();
        let first = forward(
            model,
            fork.as_mut(),
            &prompt.rest,
            &mut PhaseTime::default(),
        )?;
        let mut answer = Answer::default();
        let mut rows = None;
        let mut gold = match (&sample.gold, role) {
            (Gold::Text(gold), _) => prompt.continuation(tokenizer, gold)?,
            (Gold::Reference, Role::Candidate(theirs, _)) => theirs.tokens.clone(),
            _ => Vec::new(),
        };
        // What is forced is no part of the answer and must not fail it: where the context ends, so
        // does the continuation. Its last token is predicted, never run.
        let room = model
            .description()
            .context_length
            .saturating_sub(fork.seen(0));
        gold.truncate(room + 1);
        if !gold.is_empty() {
            let made = self.force(fork.fork(), &first, &gold)?;
            let theirs = match role {
                Role::Candidate(_, rows) => rows,
                Role::Reference | Role::Alone => None,
            };
            answer.forced = Some(judge(&made, &gold, theirs)?);
            rows = Some(made);
        }
        let own = sample.gold == Gold::Reference && matches!(role, Role::Reference);
        match &sample.ask {
            Ask::Generate {
                max_new_tokens,
                stop_at_newline,
            } => {
                let again = own.then(|| (fork.fork(), first.clone()));
                let (tokens, stop) =
                    self.generate(fork, first, *max_new_tokens, *stop_at_newline, time)?;
                if let Some((fork, first)) = again.filter(|_| !tokens.is_empty()) {
                    let made = self.force(fork, &first, &tokens)?;
                    answer.forced = Some(judge(&made, &tokens, None)?);
                    rows = Some(made);
                }
                answer.text = tokenizer.decode(&tokens)?;
                if stop == Stop::Newline {
                    let start = answer.text.len() - answer.text.trim_start_matches('\n').len();
                    let line = answer.text[start..].find('\n');
                    answer
                        .text
                        .truncate(line.map_or(answer.text.len(), |end| start + end));
                }
                answer.tokens = tokens;
                answer.stop = Some(stop);
            }
            Ask::Choose(choices) => {
                let mut best = (f64::NEG_INFINITY, 0);
                for (index, choice) in choices.iter().enumerate() {
                    let tokens = prompt.continuation(tokenizer, choice)?;
                    let rows = self.force(fork.fork(), &first, &tokens)?;
                    let pairs = rows.iter().zip(&tokens);
                    let sum = pairs.map(|(row, &token)| log_prob(row, token)).sum();
                    let sum: Option<f64> = sum;
                    let sum = sum.ok_or_else(not_finite)?;
                    if sum > best.0 {
                        best = (sum, index);
                    }
                }
                answer.choice = Some(best.1);
                answer.text = choices.get(best.1).cloned().unwrap_or_default();
            }
            Ask::Force => {}
        }
        Ok((answer, rows))
    }

    /// The rows that predict each of `tokens`, forced one by one as in decoding.
    fn force(
        &self,
        mut cache: Box<dyn MeasuredHook>,
        first: &Logits,
        tokens: &[u32],
    ) -> Result<Rows> {
        let mut rows = vec![last(first)?.to_vec()];
        for token in tokens.iter().take(tokens.len().saturating_sub(1)) {
            let mut untimed = PhaseTime::default();
            let logits = forward(self.model, cache.as_mut(), &[*token], &mut untimed)?;
            rows.push(last(&logits)?.to_vec());
        }
        Ok(rows)
    }

    /// The logits of an answer's first token where it must have one: none that ends it.
    fn without_ends(&self, row: &[f32]) -> Result<Vec<f32>> {
        let tokenizer = self.model.tokenizer();
        let newline = tokenizer.encode("\n", false)?;
        let mut row = row.to_vec();
        for &end in tokenizer.eos().iter().chain(newline.last()) {
            if let Some(logit) = usize::try_from(end).ok().and_then(|id| row.get_mut(id)) {
                *logit = f32::MIN;
            }
        }
        Ok(row)
    }

    fn generate(
        &self,
        mut cache: Box<dyn MeasuredHook>,
        mut logits: Logits,
        max_new_tokens: usize,
        stop_at_newline: bool,
        time: &mut PhaseTime,
    ) -> Result<(Vec<u32>, Stop)> {
        let tokenizer = self.model.tokenizer();
        let mut tokens: Vec<u32> = Vec::new();
        while tokens.len() < max_new_tokens {
            let row = last(&logits)?;
            let next = if stop_at_newline && tokens.is_empty() {
                argmax(&self.without_ends(row)?)?
            } else {
                argmax(row)?
            };
            if tokenizer.is_eos(next) {
                return Ok((tokens, Stop::Eos));
            }
            tokens.push(next);
            if stop_at_newline && ends_line(&tokenizer.decode(&tokens)?) {
                return Ok((tokens, Stop::Newline));
            }
            if tokens.len() < max_new_tokens {
                logits = forward(self.model, cache.as_mut(), &[next], time)?;
            }
        }
        Ok((tokens, Stop::MaxNewTokens))
    }
}

/// Whether a line with something on it has ended.
fn ends_line(text: &str) -> bool {
    text.trim_start_matches('\n').contains('\n')
}

/// How `rows` predicted `gold`, beside the reference's rows.
fn judge(rows: &Rows, gold: &[u32], reference: Option<&Rows>) -> Result<Forced> {
    let mut forced = Forced {
        tokens: gold.len(),
        correct_tokens: 0,
        nll_nats: 0.0,
        kl_nats: reference.map(|_| 0.0),
    };
    for (index, (row, &token)) in rows.iter().zip(gold).enumerate() {
        let scores = Scores::of(row, token).ok_or_else(not_finite)?;
        forced.nll_nats += scores.nll_nats;
        forced.correct_tokens += usize::from(scores.top.first() == Some(&token));
        if let (Some(sum), Some(other)) = (
            forced.kl_nats.as_mut(),
            reference.and_then(|rows| rows.get(index)),
        ) {
            let theirs = Scores::of(other, token).ok_or_else(not_finite)?;
            let fidelity = TokenFidelity::of((other, &theirs), (row, &scores));
            *sum += fidelity.kl_nats / crate::stats::float(gold.len());
        }
    }
    Ok(forced)
}

fn forward(
    model: &Model,
    cache: &mut dyn MeasuredHook,
    tokens: &[u32],
    time: &mut PhaseTime,
) -> Result<Logits> {
    let start = Instant::now();
    let logits = model.forward(&[tokens], cache, LogitsFor::Last, false)?;
    time.seconds += start.elapsed().as_secs_f64();
    time.tokens += tokens.len();
    time.forwards += 1;
    Ok(logits)
}

fn last(logits: &Logits) -> Result<&[f32]> {
    let none = || EvalError::Statistics("the model gave no logits for the last token".into());
    logits.last(0).ok_or_else(none)
}

fn not_finite() -> EvalError {
    EvalError::Statistics("the model's logits are not finite".into())
}
