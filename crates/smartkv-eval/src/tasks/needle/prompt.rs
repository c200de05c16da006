//! Needle prompts of an exact number of tokens.

use super::NeedleValue;
use super::sandwich;
use crate::error::Result;
use crate::random::Draws;
use crate::stats::float;
use crate::task::{Ask, Gold, Sample, TaskCx};
use crate::tasks::fit::{Units, largest};
use crate::tasks::haystack::{Depth, Hidden, Size, Stack};
use crate::tasks::magic::{Magic, list};
use crate::tasks::secret::{Distinct, Secret};
use serde_json::json;

/// What distinguishes one prompt from the others of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) length_tokens: usize,
    pub(super) depth_percent: u32,
    pub(super) sample: usize,
}

/// Makes prompts; holds what they have in common.
pub(super) struct Prompts<'a> {
    pub(super) cx: &'a TaskCx<'a>,
    pub(super) stack: Stack,
    pub(super) value: NeedleValue,
    pub(super) needles: usize,
    pub(super) new_tokens: usize,
}

/// A prompt without its haystack.
struct Wording {
    opening: String,
    needles: Vec<String>,
    /// What the needles are found under, if they have a key.
    key: Option<String>,
    bare: Sample,
}

impl Prompts<'_> {
    /// The prompt of one cell: it, the room for the answer included, has exactly the cell's
    /// length wherever the tokenizer allows, and never more.
    pub(super) fn make(&self, cell: Cell) -> Result<Sample> {
        let Cell {
            length_tokens,
            depth_percent,
            sample,
        } = cell;
        // Any cell can be made alone, whatever else the grid holds.
        let mut draws = Draws::keyed([
            self.cx.seed,
            length_tokens as u64,
            u64::from(depth_percent),
            sample as u64,
        ]);
        let wording = self.wording(&mut draws)?;
        let start = self.stack.start(&mut draws);
        let depths = Depth::steps(depth_percent, wording.needles.len());
        let needles: Vec<_> = depths.into_iter().zip(wording.needles.clone()).collect();
        let hide = |size| self.stack.hide(&needles, start, size);
        let render = |hidden: &Hidden| Sample {
            context: format!("{}{}\n", wording.opening, hidden.text),
            ..wording.bare.clone()
        };
        let count = |size| self.cx.tokens(&render(&hide(size)));
        let size = self.fit(length_tokens, start, count)?;
        let hidden = hide(size);
        let mut made = render(&hidden);
        made.id = sample.to_string();
        let at = hidden.at.first().copied().unwrap_or(0);
        let before = &made.context[..wording.opening.len() + at];
        let tokens =
            |text: &str| Ok::<_, crate::EvalError>(self.cx.tokenizer.encode(text, false)?.len());
        let at_percent = 100.0 * float(tokens(before)?) / float(tokens(&made.context)?.max(1));
        let meta = [
            ("length_tokens", json!(length_tokens)),
            ("depth_percent", json!(depth_percent)),
            ("key", json!(wording.key)),
            ("needle_at_percent", json!(at_percent)),
        ];
        made.meta
            .extend(meta.map(|(name, value)| (name.to_owned(), value)));
        Ok(made)
    }

    fn wording(&self, draws: &mut Draws) -> Result<Wording> {
        let kind = match self.value {
            NeedleValue::Numbers => Secret::Numbers,
            NeedleValue::Words => Secret::Words,
            NeedleValue::Uuids => Secret::Uuids,
            NeedleValue::Sentence => return Ok(self.sentence()),
        };
        let known = |text: &str| self.stack.contains(text);
        let key = Distinct::new(Secret::Words).next(draws, known)?;
        let mut values = Distinct::new(kind);
        let values =
            (0..self.needles).map(|_| values.next(draws, |text| text == key || known(text)));
        let values = values.collect::<Result<Vec<_>>>()?;
        let magic = Magic::new(kind, values.len());
        let answer = magic.answer(&key);
        Ok(Wording {
            opening: magic.opening(),
            needles: values
                .iter()
                .map(|value| magic.needle(&key, value))
                .collect(),
            bare: Sample {
                question: magic.question(&key),
                // A turn begins at its start, a raw text goes on after a space.
                answer_prefix: if self.cx.template.is_some() {
                    answer
                } else {
                    format!(" {answer}")
                },
                gold: Gold::Text(format!(" {}", list(&values))),
                answers: values,
                ..self.ask()
            },
            key: Some(key),
        })
    }

    fn sentence(&self) -> Wording {
        let (prefix, space) = if self.cx.template.is_some() {
            ("", "")
        } else {
            ("\nAnswer:", " ")
        };
        Wording {
            opening: sandwich::OPENING.to_owned(),
            needles: vec![sandwich::NEEDLE.to_owned()],
            key: None,
            bare: Sample {
                question: sandwich::QUESTION.to_owned(),
                answer_prefix: prefix.to_owned(),
                gold: Gold::Text(format!("{space}{}", sandwich::NEEDLE)),
                answers: vec![sandwich::NEEDLE.to_owned()],
                ..self.ask()
            },
        }
    }

    fn ask(&self) -> Sample {
        Sample {
            ask: Ask::Generate {
                max_new_tokens: self.new_tokens,
                stop_at_newline: false,
            },
            ..Sample::generate(self.new_tokens)
        }
    }

    /// The largest haystack whose prompt has at most `length` tokens: whole sentences, then words
    /// of the next one, then letters of the next word, then white space.
    fn fit(
        &self,
        length: usize,
        start: usize,
        count: impl Fn(Size) -> Result<usize>,
    ) -> Result<Size> {
        let units = Units {
            least: 1,
            most: usize::MAX,
            step: 8,
        };
        let tried = |size| Ok((count(size)?, size));
        let whole = largest("a needle prompt", length, units, |n| tried(Size::whole(n)))?;
        let sentences = whole.units;
        let next = self.stack.sentence(start, sentences);
        let spaces = next.char_indices().filter(|(_, c)| c.is_whitespace());
        let ends: Vec<usize> = std::iter::once(0).chain(spaces.map(|(at, _)| at)).collect();
        let part = |extra| Size {
            extra,
            ..Size::whole(sentences)
        };
        let units = Units {
            least: 0,
            most: ends.len() - 1,
            step: 4,
        };
        let words = largest("a needle prompt", length, units, |n| tried(part(ends[n])))?;
        let mut best = (words.tokens, words.made);
        let mut try_size = |size| {
            if best.0 < length {
                let tokens = count(size)?;
                if tokens > best.0 && tokens <= length {
                    best = (tokens, size);
                }
            }
            Ok::<_, crate::EvalError>(best.1)
        };
        let mut size = words.made;
        let to = ends.get(words.units + 1).copied().unwrap_or(next.len());
        let letters = next.char_indices().map(|(at, c)| at + c.len_utf8());
        for extra in letters.filter(|end| (ends[words.units]..to).contains(end)) {
            size = try_size(part(extra))?;
        }
        // The first letter of a word may bring two tokens at once.
        for pad in [" ", "\n", "  ", " \n", "\n\n", "\n \n"] {
            size = try_size(Size { pad, ..size })?;
        }
        Ok(size)
    }
}
