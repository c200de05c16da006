//! How far generated text stays that of the exact cache.

use super::columns::{Row, rows};
use crate::error::{EvalError, Result};
use crate::metrics::rouge::{Stemmer, rouge_l};
use crate::metrics::{common_prefix, first_divergence};
use crate::stats::float;
use crate::task::{Answer, Gold, Part, Sample, Samples, Score, Task, TaskCx};
use smartkv_core::{config, task};

/// Compares generated text with what the f16 cache writes to the same prompt.
///
/// The score is ROUGE-L (F1, words of `a-z0-9`, no stemmer) of the two texts, so that f16 itself
/// has 1; whether an answer is any good does not matter. Beside it: exact matches, the number of
/// tokens that both begin with, and where the first differing one stands. The prompt is the
/// instruction in the model's chat template, without one in the two forms of Alpaca (Taori et al.
/// 2023); all of it is compressed. Greedy texts part for good after one changed token: a
/// divergence under teacher forcing tells more with fewer prompts.
#[config]
pub struct RougeFidelity {
    /// Where the instructions are: a data set of the hub, a folder or a file with the columns
    /// `instruction` and `input`.
    #[default("tatsu-lab/alpaca".to_owned())]
    pub data: String,
    /// Instructions taken, the first ones.
    #[default(100)]
    #[range(1..=1000)]
    pub samples: usize,
    /// Most tokens of a text.
    #[default(128)]
    #[range(1..)]
    pub max_new_tokens: usize,
}

#[task("rouge_fidelity", family = "fidelity")]
impl Task for RougeFidelity {
    fn parts(&self, _cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        Ok(vec![Part {
            samples: Some(self.samples),
            ..Part::new("", "ROUGE-L F1 to f16")
        }])
    }

    fn samples<'a>(&'a self, _part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let names = [
            "data/train-*.parquet",
            "train-*.parquet",
            "alpaca_data.json",
            "*.jsonl",
            "*.json",
        ];
        let rows = rows(cx.data.files(&self.data, &names)?);
        Ok(Box::new(
            rows.take(self.samples)
                .map(move |row| self.sample(&row?, cx)),
        ))
    }

    fn score(&self, _part: &Part, _sample: &Sample, _answer: &Answer) -> Result<Score> {
        Ok(1.0.into())
    }

    fn score_against(
        &self,
        _part: &Part,
        _sample: &Sample,
        answer: &Answer,
        reference: Option<&Answer>,
    ) -> Result<Score> {
        let Some(reference) = reference else {
            return Ok(0.0.into());
        };
        let equal = answer.text == reference.text;
        // Texts without a letter that ROUGE knows can be equal too.
        let value = if equal {
            1.0
        } else {
            rouge_l(&answer.text, &reference.text, Stemmer::None).f1
        };
        let (own, other) = (&answer.tokens, &reference.tokens);
        let score = Score::from(value)
            .with("exact_match", f64::from(u8::from(equal)))
            .with("common_prefix_tokens", float(common_prefix(own, other)));
        Ok(match first_divergence(own, other) {
            Some(at) => score.with("first_divergence", float(at)),
            None => score,
        })
    }
}

impl RougeFidelity {
    fn sample(&self, row: &Row, cx: &TaskCx<'_>) -> Result<Sample> {
        let instruction = row.text("instruction")?;
        let input = row
            .optional_text("input")?
            .filter(|input| !input.is_empty());
        let context = match (cx.template, input) {
            (Some(_), None) => instruction.to_owned(),
            (Some(_), Some(input)) => format!("{instruction}\n\n{input}"),
            (None, None) => format!(
                "Below is an instruction that describes a task. Write a response that \
                 appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n\
                 ### Response:"
            ),
            (None, Some(input)) => format!(
                "Below is an instruction that describes a task, paired with an input that \
                 provides further context. Write a response that appropriately completes the \
                 request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n\
                 ### Response:"
            ),
        };
        let sample = Sample {
            id: row.id("id"),
            context,
            gold: Gold::Reference,
            ..Sample::generate(self.max_new_tokens)
        };
        let needed = cx.tokens(&sample)?;
        if needed > cx.context_tokens {
            return Err(EvalError::ContextTooLong {
                what: format!("instruction {} and its answer", sample.id),
                needed,
                limit: cx.context_tokens,
            });
        }
        Ok(sample)
    }
}
