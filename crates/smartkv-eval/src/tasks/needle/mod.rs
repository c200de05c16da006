//! Needle in a haystack: facts in a long text, asked for after the text was compressed.

mod prompt;
mod sandwich;

use super::haystack::{Hay, Stack};
use crate::error::{EvalError, Result};
use crate::metrics::ruler::{ControlCharacters, clean, match_all};
use crate::task::{Answer, Part, Sample, Samples, Score, Task, TaskCx};
use prompt::{Cell, Prompts};
use serde_json::json;
use smartkv_core::{config, task};

/// What a needle tells.
#[config]
pub enum NeedleValue {
    /// A number of seven digits, which even small models copy digit by digit, so that what is
    /// lost is lost by the cache.
    #[default]
    Numbers,
    /// An adjective and a noun, which small models tend to paraphrase.
    Words,
    /// A UUID.
    Uuids,
    /// The sentence of the original test, about what to do in San Francisco.
    Sentence,
}

/// Hides facts in prompts of an exact length and asks for them once the prompt is compressed.
///
/// A part of the task is one cell of the heat map: a length and a depth. Magic numbers, words and
/// UUIDs have the wording of RULER's `niah_single` tasks, or of `niah_multivalue` with several
/// needles, and score the share of the values that the answer contains. The sentence is that of
/// Kamradt's `LLMTest_NeedleInAHaystack`, with its question and its system prompt put at the start of
/// the user's turn; the original has a language model grade the answer, here the score is the
/// share of its key words in the answer, with the ROUGE-1 recall of the whole needle beside.
/// Needles stand between sentences, never within one.
#[config]
#[derive(Clone, PartialEq)]
pub struct Needle {
    /// Prompt lengths in tokens, template, question and room for the answer included.
    #[default(vec![512, 1024])]
    #[range(1..)]
    pub lengths: Vec<usize>,
    /// Depths of the first needle in percent of the haystack, 0 its start and 100 its end.
    #[default(vec![10, 50, 90])]
    #[range(0..=100)]
    pub depths: Vec<u32>,
    /// Prompts for each length and depth.
    #[default(5)]
    #[range(1..)]
    pub samples: usize,
    /// Needles in a prompt, all asked for at once: the first at the depth, the others after it in
    /// even steps of what is left divided by their number.
    #[default(1)]
    #[range(1..=100)]
    pub needles: usize,
    /// What a needle tells.
    pub value: NeedleValue,
    /// What it is hidden in.
    pub haystack: Hay,
    /// Most tokens of an answer; if absent, 16 for each number or word, 40 for each UUID and 48
    /// for the sentence.
    #[range(1..)]
    pub max_new_tokens: Option<usize>,
}

impl Needle {
    fn new_tokens(&self) -> usize {
        self.max_new_tokens.unwrap_or(match self.value {
            NeedleValue::Numbers | NeedleValue::Words => 16 * self.needles,
            NeedleValue::Uuids => 40 * self.needles,
            NeedleValue::Sentence => 48,
        })
    }

    fn check(&self, cx: &TaskCx<'_>) -> Result<()> {
        let counts = [
            ("lengths", self.lengths.len()),
            ("depths", self.depths.len()),
            ("samples", self.samples),
            ("needles", self.needles),
            ("max_new_tokens", self.max_new_tokens.unwrap_or(1)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(EvalError::parameter(name, 0, "at least 1"));
        }
        if let Some(depth) = self.depths.iter().find(|&&depth| depth > 100) {
            return Err(EvalError::parameter("depths", depth, "0 to 100"));
        }
        if self.value == NeedleValue::Sentence && self.needles > 1 {
            return Err(EvalError::parameter(
                "needles",
                self.needles,
                "1: there is one sentence",
            ));
        }
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        if longest > cx.context_tokens {
            return Err(EvalError::ContextTooLong {
                what: "a needle prompt".to_owned(),
                needed: longest,
                limit: cx.context_tokens,
            });
        }
        Ok(())
    }

    fn prompts<'a>(&'a self, cx: &'a TaskCx<'a>) -> Result<Prompts<'a>> {
        Ok(Prompts {
            cx,
            stack: Stack::new(self.haystack, cx.haystack)?,
            value: self.value,
            needles: self.needles,
            new_tokens: self.new_tokens(),
        })
    }
}

#[task(
    "needle",
    family = "retrieval",
    paper = "Kamradt, LLMTest_NeedleInAHaystack, 2023"
)]
impl Task for Needle {
    fn parts(&self, cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        self.check(cx)?;
        // A length that is too short is said before the others are run.
        let shortest = self.lengths.iter().copied().min().unwrap_or(0);
        self.prompts(cx)?.make(Cell {
            length_tokens: shortest,
            depth_percent: 0,
            sample: 0,
        })?;
        let metric = match self.value {
            NeedleValue::Sentence => "key-word recall",
            _ => "string match",
        };
        let cells = self.lengths.iter().flat_map(|&length| {
            self.depths.iter().map(move |&depth| Part {
                samples: Some(self.samples),
                meta: [
                    ("length_tokens".to_owned(), json!(length)),
                    ("depth_percent".to_owned(), json!(depth)),
                ]
                .into_iter()
                .collect(),
                ..Part::new(format!("{length} tokens at {depth}%"), metric)
            })
        });
        Ok(cells.collect())
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let number = |name: &str| part.meta.get(name).and_then(serde_json::Value::as_u64);
        let cell = number("length_tokens").zip(number("depth_percent"));
        let cell = cell.and_then(|(length, depth)| {
            Some((usize::try_from(length).ok()?, u32::try_from(depth).ok()?))
        });
        let (length_tokens, depth_percent) =
            cell.ok_or_else(|| EvalError::Task(format!("`{}` is no needle cell", part.name)))?;
        let prompts = self.prompts(cx)?;
        Ok(Box::new((0..self.samples).map(move |sample| {
            prompts.make(Cell {
                length_tokens,
                depth_percent,
                sample,
            })
        })))
    }

    fn score(&self, _part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        if self.value == NeedleValue::Sentence {
            return Ok(sandwich::score(&answer.text));
        }
        let text = clean(&answer.text, ControlCharacters::Broken);
        Ok(match_all(&text, &sample.answers).into())
    }
}
