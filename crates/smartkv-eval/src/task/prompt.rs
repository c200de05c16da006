//! From a sample to tokens.

use super::sample::Sample;
use crate::error::{EvalError, Result};
use smartkv_host::template::{ChatTemplate, Message};
use smartkv_host::tokenizer::Tokenizer;

/// What a chat template writes around the user's text; nothing without one.
pub(super) struct Frame {
    header: String,
    footer: String,
    /// Whether the tokenizer adds what starts a text: a template writes its own.
    special: bool,
}

/// The tokens of a prompt on both sides of compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// What is prefilled and compressed.
    pub(super) context: Vec<u32>,
    /// What is run against the compressed context; at least one token.
    pub(super) rest: Vec<u32>,
    rest_text: String,
}

impl Frame {
    pub(super) fn of(template: Option<&ChatTemplate>) -> Result<Self> {
        const MARK: &str = "[the user's text]";
        let Some(template) = template else {
            return Ok(Self {
                header: String::new(),
                footer: String::new(),
                special: true,
            });
        };
        let rendered = template.render(&[Message::new("user", MARK)], true)?;
        match rendered.split_once(MARK) {
            Some((before, after)) if !after.contains(MARK) => Ok(Self {
                header: before.into(),
                footer: after.into(),
                special: false,
            }),
            _ => Err(EvalError::Template(rendered.matches(MARK).count())),
        }
    }

    pub(super) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        sample: &Sample,
        query_aware: bool,
    ) -> Result<Prompt> {
        let Self {
            header,
            footer,
            special,
        } = self;
        let Sample {
            context,
            question,
            answer_prefix,
            ..
        } = sample;
        let (seen, rest_text) = if query_aware {
            let seen = format!("{header}{context}{question}");
            (seen, format!("{footer}{answer_prefix}"))
        } else {
            let seen = format!("{header}{context}");
            (seen, format!("{question}{footer}{answer_prefix}"))
        };
        let mut context = tokenizer.encode(&seen, *special)?;
        let mut rest = tokenizer.encode(&rest_text, false)?;
        // The first token of the answer is predicted by a token that has seen the compressed cache.
        if rest.is_empty() {
            rest.extend(context.pop());
        }
        if rest.is_empty() {
            return Err(EvalError::parameter(
                "prompt",
                "empty",
                "a context or a question",
            ));
        }
        Ok(Prompt {
            context,
            rest,
            rest_text,
        })
    }
}

impl Prompt {
    /// FNV-1a of the prompt's tokens and what is right, in hexadecimal: no defence against anyone,
    /// only against data that has changed.
    pub(super) fn fingerprint(&self, sample: &Sample) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |bytes: &[u8]| {
            for &byte in bytes {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for part in [&self.context, &self.rest] {
            eat(&part.len().to_le_bytes());
            part.iter().for_each(|token| eat(&token.to_le_bytes()));
        }
        for text in sample.answers.iter().chain(sample.gold.text()) {
            eat(&text.len().to_le_bytes());
            eat(text.as_bytes());
        }
        format!("{hash:016x}")
    }

    /// The tokens of a continuation as the tokenizer writes it after this prompt; where it would
    /// merge the two, as it writes it alone.
    pub(super) fn continuation(&self, tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
        let whole = tokenizer.encode(&format!("{}{text}", self.rest_text), false)?;
        match whole.strip_prefix(self.rest.as_slice()) {
            Some(tokens) if !self.rest_text.is_empty() => Ok(tokens.to_vec()),
            _ => Ok(tokenizer.encode(text, false)?),
        }
    }
}
