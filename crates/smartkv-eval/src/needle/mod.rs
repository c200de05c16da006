//! Needle in a haystack: one fact in a long text, asked for after the text was compressed.
//!
//! The wording is that of RULER's `niah_single` tasks with seven-digit numbers: those are copied
//! digit by digit even by small models, so what is lost is lost by the cache. By default the
//! context is prefilled and compressed before the question is seen; a query-aware run, which is
//! much easier, says so in its result.

mod haystack;
mod prompt;
mod run;
mod words;

pub use haystack::Haystack;
pub use prompt::NeedlePrompt;
pub use run::needles;

use crate::error::{EvalError, Result};
use crate::stats::{Proportion, mean};
use crate::task::PromptStyle;
use prompt::{Cell, Prompts};
use serde::{Deserialize, Serialize};
use smartkv_host::Model;

/// The grid of needles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeedleOptions {
    /// Prompt lengths in tokens, template, question and room for the answer included.
    pub lengths_tokens: Vec<usize>,
    /// Depths of the needle in percent of the haystack, 0 its start and 100 its end.
    pub depths_percent: Vec<u32>,
    /// Prompts per length and depth.
    pub samples: usize,
    /// Seed of keys, numbers and haystack. Together with length, depth and sample index it
    /// determines a prompt, whatever else the grid holds.
    pub seed: u64,
    /// Most tokens generated for an answer.
    pub max_new_tokens: usize,
    /// Let the cache see the question before it compresses. Off unless a method needs it.
    pub query_aware: bool,
    /// How prompts are wrapped.
    pub style: PromptStyle,
    /// Also score the right answer by teacher forcing. Free where greedy decoding gives it, else
    /// it costs the prompt once more.
    pub gold_log_prob: bool,
    /// Tokens per forward while prefilling.
    pub prefill_chunk: usize,
}

impl Default for NeedleOptions {
    fn default() -> Self {
        Self {
            lengths_tokens: vec![512, 1024],
            depths_percent: vec![10, 50, 90],
            samples: 1,
            seed: 0,
            max_new_tokens: 32,
            query_aware: false,
            style: PromptStyle::Auto,
            gold_log_prob: true,
            prefill_chunk: 256,
        }
    }
}

impl NeedleOptions {
    fn check(&self) -> Result<()> {
        let counts = [
            ("lengths_tokens", self.lengths_tokens.len()),
            ("depths_percent", self.depths_percent.len()),
            ("samples", self.samples),
            ("max_new_tokens", self.max_new_tokens),
            ("prefill_chunk", self.prefill_chunk),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(EvalError::parameter(name, 0, "at least 1"));
        }
        match self.depths_percent.iter().find(|&&depth| depth > 100) {
            Some(depth) => Err(EvalError::parameter("depths_percent", depth, "0 to 100")),
            None => Ok(()),
        }
    }

    fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        let seed = self.seed;
        self.lengths_tokens.iter().flat_map(move |&length_tokens| {
            self.depths_percent.iter().flat_map(move |&depth_percent| {
                (0..self.samples).map(move |sample| Cell {
                    seed,
                    length_tokens,
                    depth_percent,
                    sample,
                })
            })
        })
    }

    /// Makes the prompt of one cell, the same that [`needles`] runs.
    ///
    /// # Errors
    /// A haystack without sentences, a length too short for one, a template that is missing or
    /// cannot be split around the user's text.
    pub fn prompt(
        &self,
        model: &Model,
        haystack: &Haystack,
        length_tokens: usize,
        depth_percent: u32,
        sample: usize,
    ) -> Result<NeedlePrompt> {
        self.check()?;
        let stack = haystack.stack()?;
        let cell = Cell {
            seed: self.seed,
            length_tokens,
            depth_percent,
            sample,
        };
        self.prompts(model, &stack)?.make(cell)
    }

    fn prompts<'a>(&self, model: &'a Model, stack: &'a haystack::Stack) -> Result<Prompts<'a>> {
        let template = match self.style {
            PromptStyle::Raw => None,
            PromptStyle::Auto => model.template(),
            PromptStyle::Chat => Some(model.template().ok_or_else(|| {
                EvalError::parameter("style", "chat", "raw: the model has no chat template")
            })?),
        };
        Ok(Prompts {
            tokenizer: model.tokenizer(),
            template,
            stack,
            max_new_tokens: self.max_new_tokens,
            query_aware: self.query_aware,
        })
    }
}

/// Why generation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model ended its answer.
    Eos,
    /// The room for new tokens was used up.
    MaxNewTokens,
}

/// One prompt and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedleSample {
    /// Length of the cell in tokens.
    pub length_tokens: usize,
    /// Depth of the cell.
    pub depth_percent: u32,
    /// Index within the cell.
    pub sample: usize,
    /// The key asked for.
    pub key: String,
    /// The right answer.
    pub value: String,
    /// Tokens of the compressed context.
    pub context_tokens: usize,
    /// Tokens of the whole prompt.
    pub prompt_tokens: usize,
    /// Where the needle really starts, in percent of the context's tokens.
    pub needle_at_percent: f64,
    /// Greedy answer, special tokens left out.
    pub prediction: String,
    /// Tokens generated, an end token not counted.
    pub generated_tokens: usize,
    /// Why generation stopped.
    pub stop: Stop,
    /// Whether the answer contains the value.
    pub correct: bool,
    /// Mean log-probability of the value's tokens, teacher-forced; absent if not asked for, or
    /// if the tokenizer merges the value with the text before it.
    pub gold_log_prob_per_token_nats: Option<f64>,
}

/// One length and depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedleCell {
    /// Length in tokens.
    pub length_tokens: usize,
    /// Depth of the needle.
    pub depth_percent: u32,
    /// Share of correct answers.
    pub accuracy: Proportion,
    /// Mean over samples of the gold log-probability per token.
    pub gold_log_prob_per_token_nats: Option<f64>,
}

/// What was measured. Equal inputs give equal results, to the bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedleResult {
    /// What was asked for.
    pub options: NeedleOptions,
    /// Whether prompts went through the chat template.
    pub chat_template: bool,
    /// Name of the haystack.
    pub haystack: String,
    /// Share of correct answers over all samples.
    pub accuracy: Proportion,
    /// Mean over samples of the gold log-probability per token.
    pub gold_log_prob_per_token_nats: Option<f64>,
    /// Cell by cell, lengths outside, depths inside.
    pub cells: Vec<NeedleCell>,
    /// Prompt by prompt.
    pub samples: Vec<NeedleSample>,
}

/// Whether `prediction` has `value` in it, as RULER scores: control characters become line
/// breaks, the ends are trimmed, case does not matter.
#[must_use]
pub fn contains_answer(prediction: &str, value: &str) -> bool {
    let clean: String = prediction
        .trim()
        .chars()
        .map(|c| if c < ' ' { '\n' } else { c })
        .collect();
    clean.trim().to_lowercase().contains(&value.to_lowercase())
}

/// Accuracy and mean gold log-probability; `None` of nothing.
fn score<'a>(
    samples: impl Iterator<Item = &'a NeedleSample> + Clone,
) -> Option<(Proportion, Option<f64>)> {
    let accuracy = Proportion::of(samples.clone().map(|sample| sample.correct))?;
    let gold: Vec<f64> = samples
        .filter_map(|s| s.gold_log_prob_per_token_nats)
        .collect();
    Some((accuracy, mean(&gold)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_as_ruler_finds_them() {
        assert!(contains_answer(" 1234567.\u{1} Anything", "1234567"));
        assert!(contains_answer("THE NUMBER", "number"));
        assert!(!contains_answer("123\u{0}4567", "1234567"));
        assert!(!contains_answer("", "1"));
    }

    #[test]
    fn options_that_ask_for_nothing_are_refused() {
        let good = NeedleOptions::default();
        assert!(good.check().is_ok());
        assert_eq!(good.cells().count(), 6);
        assert!(
            NeedleOptions {
                samples: 0,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            NeedleOptions {
                depths_percent: vec![101],
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            NeedleOptions {
                lengths_tokens: vec![],
                ..good
            }
            .check()
            .is_err()
        );
    }
}
