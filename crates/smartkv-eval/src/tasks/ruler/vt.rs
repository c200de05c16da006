//! Variable tracking: names that are assigned to each other, hidden in noise.

use super::spec::Spec;
use super::{Key, Maker};
use crate::error::Result;
use crate::random::Draws;
use crate::task::TaskCx;
use crate::tasks::fit::{Units, fill, largest};
use crate::tasks::haystack::noise;
use std::collections::BTreeSet;

/// Names of a chain: a number is assigned to the first, each to the next.
const NAMES: usize = 5;

/// Most tokens of the example in front.
const EXAMPLE_TOKENS: usize = 500;

/// A chain and what its number is.
struct Chain {
    names: Vec<String>,
    value: usize,
}

impl Chain {
    fn new(draws: &mut Draws, letters: usize, other: Option<usize>) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut taken = BTreeSet::new();
        while names.len() < NAMES {
            let letter = |_| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[draws.below(26)]);
            let name: String = (0..letters).map(letter).collect();
            if taken.insert(name.clone()) {
                names.push(name);
            }
        }
        let mut value = 10_000 + draws.below(89_999);
        while Some(value) == other {
            value = 10_000 + draws.below(89_999);
        }
        Self { names, value }
    }

    /// The instruction with the assignments among `size` lines of noise.
    fn context(&self, size: usize, draws: &mut Draws) -> String {
        let first = format!("VAR {} = {}", self.names[0], self.value);
        let hop = |pair: &[String]| format!("VAR {} = VAR {} ", pair[1], pair[0]);
        let lines = std::iter::once(first).chain(self.names.windows(2).map(hop));
        let mut places = draws.distinct(NAMES, size.max(NAMES));
        places.sort_unstable();
        let noise = noise();
        let mut text: Vec<String> = Vec::with_capacity(size + NAMES);
        for (index, line) in lines.enumerate() {
            let place = places[index].min(size) + index;
            text.resize(text.len().max(place), noise.clone());
            text.push(line);
        }
        text.resize(size + NAMES, noise);
        let text = text.join("\n").replace(". \n", ".\n");
        format!(
            "Memorize and track the chain(s) of variable assignment hidden in the following \
             text.\n\n{text}\n"
        )
    }

    fn question(&self) -> String {
        let value = self.value;
        format!(
            "Question: Find all variables that are assigned the value {value} in the text above."
        )
    }

    fn answer_prefix(&self) -> String {
        let value = self.value;
        format!(
            " Answer: According to the chain(s) of variable assignment in the text above, {NAMES} \
             variables are assigned the value {value}, they are: "
        )
    }
}

pub(super) fn maker<'a>(spec: &'a Spec, cx: &'a TaskCx<'a>) -> Maker<'a> {
    Box::new(move |key| {
        let chain = Chain::new(&mut key.draws(0), 5, None);
        let example = example(key, chain.value, cx)?;
        let units = Units {
            least: 0,
            most: usize::MAX,
            step: 8,
        };
        fill(cx, "a sample of vt", units, |n| {
            let text = chain.context(n, &mut key.draws(1));
            Ok(spec.sample(
                format!("{example}\n{text}"),
                chain.question(),
                chain.answer_prefix(),
                chain.names.clone(),
            ))
        })
    })
}

/// A solved example with shorter names, up to 500 tokens long and, below the lengths that RULER
/// has, no more than an eighth of the context unless it takes more without any noise.
fn example(key: Key, other: usize, cx: &TaskCx<'_>) -> Result<String> {
    let chain = Chain::new(&mut key.draws(2), 3, Some(other));
    let make = |n| {
        format!(
            "{}{}{} {}\n",
            chain.context(n, &mut key.draws(3)),
            chain.question(),
            chain.answer_prefix(),
            chain.names.join(" ")
        )
    };
    let tokens = |text: &str| Ok::<_, crate::EvalError>(cx.tokenizer.encode(text, false)?.len());
    let bare = tokens(&make(0))?;
    let limit = EXAMPLE_TOKENS.min(cx.context_tokens / 8).max(bare);
    let units = Units {
        least: 0,
        most: usize::MAX,
        step: 2,
    };
    let fit = largest("the example of vt", limit, units, |n| {
        let text = make(n);
        Ok((tokens(&text)?, text))
    })?;
    Ok(fit.made)
}
