//! Needle prompts of an exact number of tokens.

use super::haystack::{Hidden, Size, Stack};
use super::words::{ADJECTIVES, NOUNS};
use crate::error::{EvalError, Result};
use crate::random::Draws;
use smartkv_host::template::{ChatTemplate, Message};
use smartkv_host::tokenizer::Tokenizer;

/// What distinguishes one prompt from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) seed: u64,
    pub(super) length_tokens: usize,
    pub(super) depth_percent: u32,
    pub(super) sample: usize,
}

/// One needle prompt: the context is compressed, the question then run against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedlePrompt {
    /// The key that is asked for.
    pub key: String,
    /// The number it has.
    pub value: String,
    /// Everything up to the question: the template's opening, the task and the haystack.
    pub context: String,
    /// The question, the template's closing and the beginning of the answer.
    pub question: String,
    /// Tokens of `context`, or with a query-aware prompt of `context` and the question.
    pub context_tokens: Vec<u32>,
    /// Tokens run after the context is compressed.
    pub question_tokens: Vec<u32>,
    /// Tokens of the right answer after the question; empty where the tokenizer would merge
    /// them with the question's.
    pub gold_tokens: Vec<u32>,
    /// Tokens of the context before the needle.
    pub needle_at_token: usize,
}

/// Makes prompts; holds what they have in common.
pub(super) struct Prompts<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) template: Option<&'a ChatTemplate>,
    pub(super) stack: &'a Stack,
    pub(super) max_new_tokens: usize,
    pub(super) query_aware: bool,
}

/// The parts of a prompt around its haystack.
struct Frame {
    opening: String,
    /// Between haystack and the compressed context's end: the question, if query-aware.
    closing: String,
    /// What runs after compression.
    rest: String,
}

impl Prompts<'_> {
    /// The prompt of one cell: it, the room for the answer included, has exactly the cell's
    /// length wherever the tokenizer allows, and never more.
    pub(super) fn make(&self, cell: Cell) -> Result<NeedlePrompt> {
        let Cell {
            seed,
            length_tokens,
            depth_percent,
            sample,
        } = cell;
        let place = [
            seed,
            length_tokens as u64,
            u64::from(depth_percent),
            sample as u64,
        ];
        let mut draws = Draws::keyed(place);
        let adjective = ADJECTIVES[draws.below(ADJECTIVES.len())];
        let key = format!("{adjective}-{}", NOUNS[draws.below(NOUNS.len())]);
        let mut value = String::new();
        while value.is_empty() || self.stack.contains(&value) {
            value = (1_000_000 + draws.below(9_000_000)).to_string();
        }
        let start = self.stack.start(&mut draws);
        let needle = format!("One of the special magic numbers for {key} is: {value}.");

        let frame = self.frame(&key)?;
        let question_tokens = self.tokenizer.encode(&frame.rest, false)?;
        let answered = self
            .tokenizer
            .encode(&format!("{} {value}", frame.rest), false)?;
        let gold_tokens = answered
            .strip_prefix(question_tokens.as_slice())
            .unwrap_or(&[])
            .to_vec();
        let reserved = question_tokens.len() + self.max_new_tokens;

        let hide = |size| self.stack.hide(&needle, start, size, depth_percent);
        let render = |hidden: &Hidden| format!("{}{}{}", frame.opening, hidden.text, frame.closing);
        let count = |size| Ok::<_, EvalError>(self.encode(&render(&hide(size)))?.len() + reserved);
        let size = self.fit(length_tokens, start, count)?;
        let hidden = hide(size);
        let context = render(&hidden);
        let before = &context[..frame.opening.len() + hidden.at];
        Ok(NeedlePrompt {
            needle_at_token: self.encode(before)?.len(),
            context_tokens: self.encode(&context)?,
            question_tokens,
            gold_tokens,
            question: frame.rest,
            context,
            key,
            value,
        })
    }

    /// Tokens of a context: a raw one gets the model's BOS, a template writes its own.
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(text, self.template.is_none())?)
    }

    fn frame(&self, key: &str) -> Result<Frame> {
        let task = "A special magic number is hidden within the following text. Make sure to \
                    memorize it. I will quiz you about the number afterwards.\n";
        let question =
            format!("What is the special magic number for {key} mentioned in the provided text?");
        let answer =
            format!("The special magic number for {key} mentioned in the provided text is");
        let (header, footer) = match self.template {
            None => (String::new(), " ".to_owned()),
            Some(template) => around(template)?,
        };
        let (closing, rest) = if self.query_aware {
            (format!("\n{question}"), format!("{footer}{answer}"))
        } else {
            ("\n".to_owned(), format!("{question}{footer}{answer}"))
        };
        Ok(Frame {
            opening: format!("{header}{task}"),
            closing,
            rest,
        })
    }

    /// The largest haystack whose prompt has at most `length` tokens: whole sentences by binary
    /// search, then words of the next one, then its letters, then white space.
    fn fit(
        &self,
        length: usize,
        start: usize,
        count: impl Fn(Size) -> Result<usize>,
    ) -> Result<Size> {
        let needed = count(Size::whole(1))?;
        if needed > length {
            return Err(EvalError::NeedleTooShort { length, needed });
        }
        let (mut fits, mut beyond) = (1, 2);
        // Every sentence has at least one token, so this ends.
        while count(Size::whole(beyond))? <= length {
            (fits, beyond) = (beyond, beyond * 2);
        }
        while beyond - fits > 1 {
            let middle = fits.midpoint(beyond);
            if count(Size::whole(middle))? <= length {
                fits = middle;
            } else {
                beyond = middle;
            }
        }
        let mut best = (count(Size::whole(fits))?, Size::whole(fits));
        let mut try_size = |size| {
            if best.0 < length {
                let tokens = count(size)?;
                if tokens > best.0 && tokens <= length {
                    best = (tokens, size);
                }
            }
            Ok::<_, EvalError>(best.1)
        };
        let next = self.stack.sentence(start, fits);
        let words = next
            .char_indices()
            .filter(|(_, c)| c.is_whitespace())
            .map(|(at, _)| at);
        let letters = next.char_indices().map(|(at, c)| at + c.len_utf8());
        let mut size = Size::whole(fits);
        for extra in words.chain(letters) {
            size = try_size(Size {
                extra,
                ..Size::whole(fits)
            })?;
        }
        // The first letter of a word may bring two tokens at once.
        for pad in [" ", "\n", "  ", " \n", "\n\n", "\n \n"] {
            size = try_size(Size { pad, ..size })?;
        }
        Ok(size)
    }
}

/// What the template writes before and after the text of a user.
fn around(template: &ChatTemplate) -> Result<(String, String)> {
    const MARK: &str = "[the user's text]";
    let rendered = template.render(&[Message::new("user", MARK)], true)?;
    match rendered.split_once(MARK) {
        Some((before, after)) if !after.contains(MARK) => Ok((before.into(), after.into())),
        _ => Err(EvalError::Template(rendered.matches(MARK).count())),
    }
}
