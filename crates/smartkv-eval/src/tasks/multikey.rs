//! Several keys in one haystack, one of which is asked for.

use super::fit::fill;
use super::haystack;
use super::ruler::Key;
use super::ruler::niah::{Hay, NeedleHay, Niah};
use super::secret::Secret;
use crate::error::{EvalError, Result};
use crate::task::{Answer, Ask, Part, Sample, Samples, Score, Task, TaskCx};
use serde_json::json;
use smartkv_core::{config, task};

/// Tells the samples of this task from those of RULER.
const OWN: u64 = 1 << 8;

/// Asks for one of several keys and lets the model choose among all values in the haystack.
///
/// The wording is that of RULER's `niah_multikey_1`. The score is whether the right value has the
/// largest summed log-probability of all `keys` values, so that chance is 1 in `keys` and blurred
/// keys cost answers while the values are still there; whether greedy decoding would write the
/// value is in the details, as `exact_match`.
#[config]
pub struct MultiKey {
    /// Keys of a context, one part of the task each.
    #[default(vec![2, 4, 8])]
    #[range(2..=64)]
    pub keys: Vec<usize>,
    /// Samples of each part.
    #[default(100)]
    #[range(1..)]
    pub samples: usize,
    /// Tokens of a prompt and its answer, with the largest haystack that fits.
    #[default(512)]
    #[range(1..)]
    pub length: usize,
    /// What the needles are hidden in.
    pub haystack: haystack::Hay,
}

#[task("multikey", family = "micro", paper = "arXiv 2404.06654")]
impl Task for MultiKey {
    fn parts(&self, cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        if self.length > cx.context_tokens {
            return Err(EvalError::ContextTooLong {
                what: "a prompt of multikey".to_owned(),
                needed: self.length,
                limit: cx.context_tokens,
            });
        }
        let part = |&keys: &usize| Part {
            samples: Some(self.samples),
            meta: [("keys".to_owned(), json!(keys))].into_iter().collect(),
            ..Part::new(format!("{keys} keys"), "forced choice")
        };
        Ok(self.keys.iter().map(part).collect())
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let keys = part.meta.get("keys").and_then(serde_json::Value::as_u64);
        let keys = keys
            .and_then(|keys| usize::try_from(keys).ok())
            .unwrap_or(1);
        let kind = match self.haystack {
            haystack::Hay::Prose => NeedleHay::Prose,
            haystack::Hay::Noise => NeedleHay::Noise,
        };
        let niah = Niah {
            haystack: kind,
            keys: Secret::Words,
            values: Secret::Numbers,
            keys_count: keys,
            values_count: 1,
            queries: 1,
        };
        let hay = Hay::new(kind, cx)?;
        let cx = TaskCx {
            context_tokens: self.length,
            ..*cx
        };
        Ok(Box::new((0..self.samples).map(move |index| {
            let riddle = niah.riddle(Key {
                seed: cx.seed,
                task: OWN + keys as u64,
                index,
            })?;
            let (magic, query) = (riddle.magic, &riddle.query);
            let choices: Vec<String> = riddle.values.iter().map(|v| format!(" {v}")).collect();
            fill(&cx, "a prompt of multikey", hay.units(), |n| {
                Ok(Sample {
                    context: format!("{}{}\n", magic.opening(), hay.hide(&riddle, n)?),
                    question: magic.question(query),
                    answer_prefix: format!(" {}", magic.answer(query)),
                    gold: riddle
                        .answers
                        .first()
                        .map(|value| format!(" {value}"))
                        .into(),
                    answers: riddle.answers.clone(),
                    ask: Ask::Choose(choices.clone()),
                    id: index.to_string(),
                    ..Sample::generate(1)
                })
            })
        })))
    }

    fn score(&self, _part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        let right = sample
            .answers
            .first()
            .is_some_and(|value| answer.text.trim() == value);
        let greedy = answer
            .forced
            .is_some_and(|forced| forced.correct_tokens == forced.tokens);
        Ok(Score::from(right).with("exact_match", f64::from(u8::from(greedy))))
    }
}
