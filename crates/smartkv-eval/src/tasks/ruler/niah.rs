//! Needles in a haystack: single, with several keys, values or queries.

use super::spec::Spec;
use super::{Key, Maker};
use crate::error::{EvalError, Result};
use crate::random::Draws;
use crate::task::TaskCx;
use crate::tasks::fit::{Units, fill};
use crate::tasks::haystack::{noise, sentence_ends};
use crate::tasks::magic::{Magic, list};
use crate::tasks::secret::{Distinct, Secret};
use std::cell::RefCell;

/// Depths that needles in prose are drawn from: so many, evenly from the start to the end.
const DEPTHS: usize = 40;

/// What needles are hidden in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tasks) enum NeedleHay {
    /// A line of noise, repeated.
    Noise,
    /// Prose, sentence by sentence.
    Prose,
    /// Other needles, a line each.
    Needles,
}

/// A variant of the task.
#[derive(Debug)]
pub(in crate::tasks) struct Niah {
    pub(in crate::tasks) haystack: NeedleHay,
    pub(in crate::tasks) keys: Secret,
    pub(in crate::tasks) values: Secret,
    pub(in crate::tasks) keys_count: usize,
    /// Values of each key.
    pub(in crate::tasks) values_count: usize,
    /// Keys asked for.
    pub(in crate::tasks) queries: usize,
}

/// What is hidden and asked for in one sample.
pub(in crate::tasks) struct Riddle {
    pub(in crate::tasks) magic: Magic,
    /// In the order of their places.
    needles: Vec<String>,
    /// What is asked for.
    pub(in crate::tasks) query: String,
    pub(in crate::tasks) answers: Vec<String>,
    /// All values, whether asked for or not.
    pub(in crate::tasks) values: Vec<String>,
    key: Key,
    others: RefCell<Others>,
}

/// The needles that are haystack, made as far as they are needed.
struct Others {
    draws: Draws,
    keys: Distinct,
    values: Distinct,
    lines: Vec<String>,
}

impl Niah {
    /// What sample `key` hides.
    pub(in crate::tasks) fn riddle(&self, key: Key) -> Result<Riddle> {
        let mut draws = key.draws(0);
        let magic = Magic::new(self.values, self.queries * self.values_count);
        let (mut keys, mut values) = (Distinct::new(self.keys), Distinct::new(self.values));
        let mut pairs = Vec::new();
        for _ in 0..self.keys_count {
            let name = keys.next(&mut draws, |_| false)?;
            let own = (0..self.values_count).map(|_| values.next(&mut draws, |_| false));
            pairs.push((name, own.collect::<Result<Vec<_>>>()?));
        }
        let needles = pairs
            .iter()
            .flat_map(|(name, own)| own.iter().map(|value| magic.needle(name, value)));
        let mut needles: Vec<String> = needles.collect();
        draws.shuffle(&mut needles);
        let asked = draws.distinct(self.queries, pairs.len());
        let queries: Vec<String> = asked.iter().map(|&i| pairs[i].0.clone()).collect();
        Ok(Riddle {
            magic,
            needles,
            query: list(&queries),
            answers: asked.iter().flat_map(|&i| pairs[i].1.clone()).collect(),
            values: pairs.into_iter().flat_map(|(_, own)| own).collect(),
            key,
            others: RefCell::new(Others {
                draws: key.draws(1),
                keys,
                values,
                lines: Vec::new(),
            }),
        })
    }

    pub(super) fn maker<'a>(&'a self, spec: &'a Spec, cx: &'a TaskCx<'a>) -> Result<Maker<'a>> {
        let hay = Hay::new(self.haystack, cx)?;
        Ok(Box::new(move |key| {
            let riddle = self.riddle(key)?;
            let Riddle { magic, query, .. } = &riddle;
            fill(
                cx,
                &format!("a sample of {}", spec.name),
                hay.units(),
                |n| {
                    Ok(spec.sample(
                        format!("{}{}\n", magic.opening(), hay.hide(&riddle, n)?),
                        magic.question(query),
                        format!(" {}", magic.answer(query)),
                        riddle.answers.clone(),
                    ))
                },
            )
        }))
    }
}

/// The haystack of a variant.
pub(in crate::tasks) enum Hay<'a> {
    Noise,
    /// Words, repeated when too few.
    Prose(Vec<&'a str>),
    Needles,
}

impl<'a> Hay<'a> {
    pub(in crate::tasks) fn new(kind: NeedleHay, cx: &TaskCx<'a>) -> Result<Self> {
        Ok(match kind {
            NeedleHay::Noise => Self::Noise,
            NeedleHay::Needles => Self::Needles,
            NeedleHay::Prose => {
                let words: Vec<&str> = cx.haystack.text.split_whitespace().collect();
                if words.is_empty() {
                    let name = &cx.haystack.name;
                    return Err(EvalError::parameter(
                        "haystack",
                        name,
                        "a text that has words",
                    ));
                }
                Self::Prose(words)
            }
        })
    }

    pub(in crate::tasks) fn units(&self) -> Units {
        Units {
            least: 0,
            most: usize::MAX,
            step: match self {
                Self::Noise | Self::Needles => 8,
                Self::Prose(_) => 128,
            },
        }
    }

    /// The haystack of `size` units with the needles of `riddle` in it.
    pub(in crate::tasks) fn hide(&self, riddle: &Riddle, size: usize) -> Result<String> {
        let mut draws = riddle.key.draws(2);
        let needles = &riddle.needles;
        match self {
            Self::Noise => Ok(between_lines(&vec![noise(); size], needles, &mut draws)),
            Self::Needles => {
                let others = &mut *riddle.others.borrow_mut();
                while others.lines.len() < size {
                    let key = others.keys.next(&mut others.draws, |_| false)?;
                    let value = others.values.next(&mut others.draws, |_| false)?;
                    others.lines.push(riddle.magic.needle(&key, &value));
                }
                Ok(between_lines(&others.lines[..size], needles, &mut draws))
            }
            Self::Prose(words) => {
                let words: Vec<&str> = words.iter().copied().cycle().take(size).collect();
                Ok(between_sentences(&words, needles, &mut draws))
            }
        }
    }
}

/// Puts needles before different lines, or at the end.
fn between_lines(lines: &[String], needles: &[String], draws: &mut Draws) -> String {
    let mut places = draws.distinct(needles.len(), lines.len().max(needles.len()));
    places.sort_unstable();
    let mut text: Vec<&str> = Vec::with_capacity(lines.len() + needles.len());
    let mut copied = 0;
    for (needle, place) in needles.iter().zip(places) {
        let place = place.min(lines.len());
        text.extend(lines[copied..place].iter().map(String::as_str));
        copied = place;
        text.push(needle);
    }
    text.extend(lines[copied..].iter().map(String::as_str));
    text.join("\n")
}

/// Puts needles between the sentences of prose, at different depths.
fn between_sentences(words: &[&str], needles: &[String], draws: &mut Draws) -> String {
    let mut ends: Vec<usize> = std::iter::once(0).chain(sentence_ends(words)).collect();
    if ends.last() != Some(&words.len()) {
        ends.push(words.len());
    }
    let sentences = ends.len() - 1;
    let mut depths = draws.distinct(needles.len(), DEPTHS);
    depths.sort_unstable();
    let mut parts: Vec<String> = Vec::new();
    let mut copied = 0;
    for (needle, depth) in needles.iter().zip(depths) {
        // `round(linspace(0, 100, 40))` percent of the sentences.
        let percent = (200 * depth + DEPTHS - 1) / (2 * (DEPTHS - 1));
        let place = ends[sentences * percent / 100];
        parts.push(words[copied..place].join(" "));
        copied = place;
        parts.push(needle.clone());
    }
    parts.push(words[copied..].join(" "));
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needles_keep_lines_and_sentences_whole() {
        let mut draws = Draws::keyed([1, 1, 1, 1]);
        let needles = ["N one.".to_owned(), "N two.".to_owned()];
        let lines: Vec<String> = (0..20).map(|i| format!("line {i}")).collect();
        let text = between_lines(&lines, &needles, &mut draws);
        let back: Vec<&str> = text.lines().filter(|line| !line.starts_with('N')).collect();
        assert_eq!(back, lines);
        assert_eq!(text.lines().count(), 22);
        assert!(text.find("N one.") < text.find("N two."));

        let prose = "It rained. We stayed at home. Then the sun came out, and we left in";
        let words: Vec<&str> = prose.split(' ').collect();
        for seed in 0..20 {
            let mut draws = Draws::keyed([seed, 1, 1, 1]);
            let text = between_sentences(&words, &needles, &mut draws);
            let back = text.replace("N one. ", "").replace("N two. ", "");
            let back = back.replace(" N one.", "").replace(" N two.", "");
            assert_eq!(back, prose);
            assert!(text.contains("It rained.") && text.contains("We stayed at home."));
        }
        assert_eq!(
            between_sentences(&[], &needles, &mut draws),
            "N one. N two."
        );
        assert_eq!(between_lines(&[], &needles, &mut draws), "N one.\nN two.");
    }
}
