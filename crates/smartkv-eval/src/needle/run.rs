//! Running the grid.

use super::haystack::Haystack;
use super::prompt::{Cell, NeedlePrompt};
use super::{NeedleCell, NeedleOptions, NeedleResult, NeedleSample, Stop, contains_answer, score};
use crate::error::{EvalError, Result};
use crate::perplexity::log_prob;
use crate::progress::{NoProgress, Progress};
use crate::speed::{PhaseTime, Timing};
use crate::stats::float;
use crate::stepper::{Stepper, check_context, check_subject};
use crate::subject::{Phase, Subject, Unwatched};
use smartkv_host::{Logits, LogitsFor, Model, argmax};

/// Runs every prompt of the grid through `subject`.
///
/// The context is prefilled and the prompt ended there, so that the cache is compressed; then the
/// question is run in one forward against it, and the answer decoded greedily.
///
/// # Errors
/// Options that ask for nothing, lengths beyond the model's context or too short for a sentence
/// of haystack, a template that is missing or cannot be split, a cache for more than one
/// sequence, and whatever model and cache refuse.
pub fn needles(
    model: &Model,
    options: &NeedleOptions,
    haystack: &Haystack,
    subject: &mut dyn Subject,
    progress: &dyn Progress,
) -> Result<(NeedleResult, Timing)> {
    options.check()?;
    check_subject(subject)?;
    for &length in &options.lengths_tokens {
        check_context(model, "a needle prompt", length)?;
    }
    let stack = haystack.stack()?;
    let prompts = options.prompts(model, &stack)?;
    progress.begin(options.cells().map(|cell| cell.length_tokens).sum());
    let mut samples = Vec::new();
    let mut timing = Timing::default();
    for (unit, cell) in options.cells().enumerate() {
        let Cell {
            length_tokens,
            depth_percent,
            ..
        } = cell;
        progress.message(&format!(
            "needle in {length_tokens} tokens at {depth_percent}%"
        ));
        let prompt = prompts.make(cell)?;
        let run = Run {
            stepper: Stepper {
                model,
                progress,
                unit,
            },
            options,
            prompt: &prompt,
        };
        samples.push(run.sample(cell, subject, &mut timing)?);
    }
    let chat_template = prompts.template.is_some();
    let result = summarise(options, chat_template, haystack.name(), samples);
    Ok((
        result.ok_or_else(|| EvalError::Statistics("accuracy of no samples".into()))?,
        timing,
    ))
}

fn summarise(
    options: &NeedleOptions,
    chat_template: bool,
    haystack: &str,
    samples: Vec<NeedleSample>,
) -> Option<NeedleResult> {
    let cells = samples.chunks(options.samples).map(|cell| {
        let (accuracy, gold_log_prob_per_token_nats) = score(cell.iter())?;
        let NeedleSample {
            length_tokens,
            depth_percent,
            ..
        } = *cell.first()?;
        Some(NeedleCell {
            length_tokens,
            depth_percent,
            accuracy,
            gold_log_prob_per_token_nats,
        })
    });
    let cells = cells.collect::<Option<_>>()?;
    let (accuracy, gold_log_prob_per_token_nats) = score(samples.iter())?;
    Some(NeedleResult {
        options: options.clone(),
        chat_template,
        haystack: haystack.into(),
        accuracy,
        gold_log_prob_per_token_nats,
        cells,
        samples,
    })
}

#[derive(Clone, Copy)]
struct Run<'a> {
    stepper: Stepper<'a>,
    options: &'a NeedleOptions,
    prompt: &'a NeedlePrompt,
}

/// A greedy answer, and the log-probability of the right one as far as they are the same.
struct Answer {
    tokens: Vec<u32>,
    stop: Stop,
    /// One entry per token of the right answer, up to the first where the greedy one differs.
    gold: Vec<f64>,
}

impl Run<'_> {
    fn sample(
        &self,
        cell: Cell,
        subject: &mut dyn Subject,
        timing: &mut Timing,
    ) -> Result<NeedleSample> {
        let Self {
            options,
            prompt,
            stepper,
        } = self;
        let mut prefill = PhaseTime::default();
        let logits = self.ask(subject, &mut prefill)?;
        timing.prefill.push(prefill);
        let mut decode = PhaseTime::default();
        let answer = self.answer(subject, logits, &mut decode)?;
        timing.decode.push(decode);
        let prompt_tokens = prompt.context_tokens.len() + prompt.question_tokens.len();
        // The rest of the room was not needed.
        stepper.progress.advance(
            cell.length_tokens
                .saturating_sub(prompt_tokens + decode.tokens),
        );

        let gold_tokens = prompt.gold_tokens.len();
        let gold = if !options.gold_log_prob || gold_tokens == 0 {
            None
        } else if answer.gold.len() == gold_tokens {
            Some(answer.gold)
        } else {
            Some(self.force_gold(subject)?)
        };
        let prediction = stepper.model.tokenizer().decode(&answer.tokens)?;
        Ok(NeedleSample {
            length_tokens: cell.length_tokens,
            depth_percent: cell.depth_percent,
            sample: cell.sample,
            key: prompt.key.clone(),
            value: prompt.value.clone(),
            context_tokens: prompt.context_tokens.len(),
            prompt_tokens,
            needle_at_percent: 100.0 * float(prompt.needle_at_token)
                / float(prompt.context_tokens.len().max(1)),
            correct: contains_answer(&prediction, &prompt.value),
            prediction,
            generated_tokens: answer.tokens.len(),
            stop: answer.stop,
            gold_log_prob_per_token_nats: gold
                .map(|gold| gold.iter().sum::<f64>() / float(gold_tokens)),
        })
    }

    /// Compresses the context, then runs the question against it: the logits after the question.
    fn ask(&self, subject: &mut dyn Subject, time: &mut PhaseTime) -> Result<Logits> {
        let Self {
            stepper,
            options,
            prompt,
        } = self;
        subject.hook().reset();
        stepper.prefill(subject, &prompt.context_tokens, options.prefill_chunk, time)?;
        let mut question = PhaseTime::default();
        let (tokens, want) = (&prompt.question_tokens, LogitsFor::Last);
        let logits = stepper.step(subject, tokens, Phase::Question, want, &mut question);
        time.seconds += question.seconds;
        time.tokens += question.tokens;
        time.forwards += question.forwards;
        logits
    }

    fn answer(
        &self,
        subject: &mut dyn Subject,
        mut logits: Logits,
        time: &mut PhaseTime,
    ) -> Result<Answer> {
        let tokenizer = self.stepper.model.tokenizer();
        let mut answer = Answer {
            tokens: Vec::new(),
            stop: Stop::MaxNewTokens,
            gold: Vec::new(),
        };
        let mut same = true;
        loop {
            let row = last(&logits)?;
            let next = argmax(row)?;
            let gold = self
                .prompt
                .gold_tokens
                .get(answer.tokens.len())
                .filter(|_| same);
            answer
                .gold
                .extend(gold.and_then(|&gold| log_prob(row, gold)));
            same = gold == Some(&next);
            if tokenizer.is_eos(next) {
                answer.stop = Stop::Eos;
                return Ok(answer);
            }
            answer.tokens.push(next);
            if answer.tokens.len() >= self.options.max_new_tokens {
                return Ok(answer);
            }
            let want = LogitsFor::Last;
            logits = self
                .stepper
                .step(subject, &[next], Phase::Decode, want, time)?;
        }
    }

    /// Log-probabilities of the right answer, its tokens forced one by one as in decoding. What
    /// this costs is neither timed nor observed.
    fn force_gold(&self, subject: &mut dyn Subject) -> Result<Vec<f64>> {
        let subject = &mut Unwatched(subject.hook());
        let quiet = Self {
            stepper: Stepper {
                progress: &NoProgress,
                ..self.stepper
            },
            ..*self
        };
        let mut time = PhaseTime::default();
        let mut logits = quiet.ask(subject, &mut time)?;
        let mut gold = Vec::with_capacity(self.prompt.gold_tokens.len());
        for (index, &token) in self.prompt.gold_tokens.iter().enumerate() {
            if index > 0 {
                let before = &self.prompt.gold_tokens[index - 1..index];
                let want = LogitsFor::Last;
                logits = quiet
                    .stepper
                    .step(subject, before, Phase::Decode, want, &mut time)?;
            }
            // `argmax` refuses logits that are not finite, and says which.
            argmax(last(&logits)?)?;
            gold.extend(log_prob(last(&logits)?, token));
        }
        Ok(gold)
    }
}

fn last(logits: &Logits) -> Result<&[f32]> {
    let none = || EvalError::Statistics("the model gave no logits for the last token".into());
    logits.last(0).ok_or_else(none)
}
