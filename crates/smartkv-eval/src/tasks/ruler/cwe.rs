//! Common words extraction: the ten words of a long list that are repeated most.

use super::spec::{Spec, numbered};
use super::{Key, Maker};
use crate::error::Result;
use crate::random::Draws;
use crate::task::TaskCx;
use crate::tasks::fit::{Units, fill};
use crate::tasks::lexicon::{ADJECTIVES, NOUNS};
use crate::tasks::words::Words;
use std::collections::BTreeSet;

/// Words that are repeated most.
const COMMON: usize = 10;

const OPENING: &str = "Below is a numbered list of words. In these words, some appear more often \
    than others. Memorize the ones that appear most often.\n";
const QUESTION: &str = "Question: What are the 10 most common words in the above list?";
const ANSWER: &str = " Answer: The top 10 words that appear most often in the list are:";

/// How often common and other words are repeated.
#[derive(Clone, Copy)]
struct Repeats {
    common: usize,
    other: usize,
}

/// An example: how many words it has, and how often they are repeated.
type Example = Option<(usize, Repeats)>;

/// How a prompt is made up: its example, if there is room for one, and the repeats of its list.
fn sizes(context_tokens: usize) -> (Example, Repeats) {
    let repeats = |common, other| Repeats { common, other };
    match context_tokens {
        4096.. => (Some((40, repeats(10, 3))), repeats(30, 3)),
        1024.. => (Some((20, repeats(3, 1))), repeats(6, 1)),
        // RULER has nothing as short: there it would not fit.
        _ => (None, repeats(3, 1)),
    }
}

/// A list of `words`, the first of them common, and its instruction.
fn context(words: &[&str], repeats: Repeats, draws: &mut Draws) -> String {
    let (common, others) = words.split_at(COMMON.min(words.len()));
    let mut entries = common.repeat(repeats.common);
    entries.extend(others.repeat(repeats.other));
    draws.shuffle(&mut entries);
    format!("{OPENING}{}\n", numbered(&entries))
}

pub(super) fn maker<'a>(spec: &'a Spec, cx: &'a TaskCx<'a>) -> Result<Maker<'a>> {
    let vocabulary = Words::single_tokens(cx.tokenizer)?;
    let own = ADJECTIVES.into_iter().chain(NOUNS);
    let words: BTreeSet<String> = own.chain(vocabulary.iter()).map(str::to_owned).collect();
    let words: Vec<String> = words.into_iter().collect();
    let (example, repeats) = sizes(cx.context_tokens);
    Ok(Box::new(move |key: Key| {
        let draw = |stream, count| -> Vec<&str> {
            let drawn = key.draws(stream).distinct(count, words.len());
            drawn
                .into_iter()
                .map(|index| words[index].as_str())
                .collect()
        };
        let example = example.map_or_else(String::new, |(count, repeats)| {
            let shown = draw(0, count);
            format!(
                "{}{QUESTION}{ANSWER} {}\n",
                context(&shown, repeats, &mut key.draws(1)),
                numbered(&shown[..COMMON.min(shown.len())])
            )
        });
        let drawn = draw(2, words.len());
        let answers: Vec<String> = drawn[..COMMON].iter().map(|&word| word.into()).collect();
        let units = Units {
            least: COMMON + 1,
            most: words.len(),
            step: 32,
        };
        fill(cx, "a sample of cwe", units, |n| {
            let list = context(&drawn[..n], repeats, &mut key.draws(3));
            Ok(spec.sample(
                format!("{example}{list}"),
                QUESTION.to_owned(),
                ANSWER.to_owned(),
                answers.clone(),
            ))
        })
    }))
}
