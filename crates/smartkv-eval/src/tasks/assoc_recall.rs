//! Associative recall: a small dictionary, and one key to look up.

use crate::error::{EvalError, Result};
use crate::random::Draws;
use crate::task::{Answer, Gold, Part, Sample, Samples, Score, Task, TaskCx};
use crate::tasks::words::Words;
use serde_json::json;
use smartkv_core::{config, task};

/// Looks one key up among pairs of words that follow each other in the context.
///
/// Keys and values are nouns that are single tokens of the model, drawn without replacement, so
/// that even a small model answers far above chance (1 in `pairs`): a cache that blurs keys or
/// drops rows loses answers at once. The key is how the answer begins and there is no question
/// beside, so that a query-aware run is no easier. Scored by whether the value's token is the most
/// likely one, with its log-probability beside. After Ba et al., Using Fast Weights to Attend to
/// the Recent Past (arXiv 1610.06258), section 4.1, with words for letters.
#[config]
pub struct AssocRecall {
    /// Pairs of a context, one part of the task each. Where the nouns do not suffice (the default
    /// model has them for some 450 pairs) the other words of the vocabulary are drawn from too.
    #[default(vec![8, 16, 32])]
    #[range(2..=512)]
    pub pairs: Vec<usize>,
    /// Samples of each part.
    #[default(100)]
    #[range(1..)]
    pub samples: usize,
}

#[task("assoc_recall", family = "micro")]
impl Task for AssocRecall {
    fn parts(&self, _cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        let part = |&pairs: &usize| Part {
            samples: Some(self.samples),
            meta: [("pairs".to_owned(), json!(pairs))].into_iter().collect(),
            ..Part::new(format!("{pairs} pairs"), "exact match")
        };
        Ok(self.pairs.iter().map(part).collect())
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let words = Words::single_tokens(cx.tokenizer)?;
        let pairs = part.meta["pairs"]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok());
        let pairs = pairs.unwrap_or(1);
        if words.len() < 2 * pairs {
            return Err(EvalError::Task(format!(
                "{pairs} pairs need {} words of one token: the tokenizer has {}",
                2 * pairs,
                words.len()
            )));
        }
        Ok(Box::new((0..self.samples).map(move |index| {
            let mut draws = Draws::keyed([cx.seed, 1, pairs as u64, index as u64]);
            let drawn = words.draw(&mut draws, 2 * pairs);
            let (keys, values) = drawn.split_at(pairs);
            let asked = draws.below(pairs);
            let lines = keys.iter().zip(values).map(|(k, v)| format!("{k}: {v}\n"));
            Ok(Sample {
                context: format!("Dictionary:\n{}", lines.collect::<String>()),
                // The key begins the answer: asked for in a sentence, a small model talks about it.
                answer_prefix: format!("{}:", keys[asked]),
                answers: vec![values[asked].to_owned()],
                gold: Gold::Text(format!(" {}", values[asked])),
                ask: crate::task::Ask::Force,
                ..Sample::generate(1)
            })
        })))
    }

    fn score(&self, _part: &Part, _sample: &Sample, answer: &Answer) -> Result<Score> {
        Ok(answer
            .forced
            .is_some_and(|forced| forced.correct_tokens == forced.tokens)
            .into())
    }
}
