//! Copying: a text of random words, once more.

use crate::error::{EvalError, Result};
use crate::random::Draws;
use crate::stats::float;
use crate::task::{Answer, Ask, Gold, Part, Sample, Samples, Score, Task, TaskCx};
use crate::tasks::words::Words;
use serde_json::json;
use smartkv_core::{config, task};

/// Copies random words that stand in the context, each of them predicted from those before it.
///
/// The words are single tokens of the model's own vocabulary, drawn without replacement, so that
/// nothing but the context tells the next one. The copy is teacher-forced: every word is a trial,
/// and one that is wrong spoils no other. Keys that lose precision and tokens that were dropped
/// from the middle cost words at once.
#[config]
pub struct Copy {
    /// Words of a text, one part of the task each.
    #[default(vec![32, 64, 128])]
    #[range(1..=2000)]
    pub words: Vec<usize>,
    /// Texts of each part.
    #[default(20)]
    #[range(1..)]
    pub samples: usize,
}

#[task("copy", family = "micro")]
impl Task for Copy {
    fn parts(&self, _cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        let part = |&words: &usize| Part {
            samples: Some(self.samples),
            meta: [("words".to_owned(), json!(words))].into_iter().collect(),
            ..Part::new(format!("{words} words"), "token accuracy")
        };
        Ok(self.words.iter().map(part).collect())
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let words = Words::single_tokens(cx.tokenizer)?;
        let count = part.meta.get("words").and_then(serde_json::Value::as_u64);
        let count = count.and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        if words.len() < count {
            return Err(EvalError::Task(format!(
                "a text needs {count} words of one token: the tokenizer has {}",
                words.len()
            )));
        }
        Ok(Box::new((0..self.samples).map(move |index| {
            let mut draws = Draws::keyed([cx.seed, 3, count as u64, index as u64]);
            let text = format!(" {}", words.draw(&mut draws, count).join(" "));
            let sample = Sample {
                id: index.to_string(),
                context: format!("Text A:{text}\n"),
                question: "Text B (identical copy):".to_owned(),
                answers: vec![text.trim().to_owned()],
                gold: Gold::Text(text),
                ask: Ask::Force,
                // A turn of a conversation between the texts would be another task.
                chat: false,
                ..Sample::generate(1)
            };
            let needed = cx.tokens(&sample)?;
            if needed > cx.context_tokens {
                return Err(EvalError::ContextTooLong {
                    what: format!("a copy of {count} words"),
                    needed,
                    limit: cx.context_tokens,
                });
            }
            Ok(sample)
        })))
    }

    fn score(&self, _part: &Part, _sample: &Sample, answer: &Answer) -> Result<Score> {
        let share = |forced: crate::task::Forced| {
            float(forced.correct_tokens) / float(forced.tokens.max(1))
        };
        Ok(answer.forced.map_or(0.0, share).into())
    }
}
