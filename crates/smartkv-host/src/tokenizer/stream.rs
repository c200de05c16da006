//! Text from tokens that arrive one at a time.

use super::Tokenizer;
use crate::error::Result;

/// Turns tokens into text as soon as it is complete: a character whose bytes are spread over
/// several tokens comes with the last of them.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens since the start of the piece emitted last; earlier ones cannot change the text.
    recent: Vec<u32>,
    /// How many of `recent` have been emitted.
    emitted: usize,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            recent: Vec::new(),
            emitted: 0,
        }
    }

    /// Takes the next token and gives the text it completes, often empty. Special tokens are left
    /// out.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.recent.push(id);
        let text = self.pending()?;
        // A character cut in two decodes to U+FFFD at the end: wait for the rest of it.
        if text.is_empty() || text.ends_with('\u{FFFD}') {
            return Ok(String::new());
        }
        self.recent.drain(..self.emitted);
        self.emitted = self.recent.len();
        Ok(text)
    }

    /// The text still held back: bytes that never became a character, as U+FFFD.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(self) -> Result<String> {
        self.pending()
    }

    /// What the tokens after the emitted ones add. The emitted ones are decoded with them, since
    /// some decoders treat the first token of a text differently.
    fn pending(&self) -> Result<String> {
        let before = self.tokenizer.decode(&self.recent[..self.emitted])?;
        let text = self.tokenizer.decode(&self.recent)?;
        Ok(text.get(before.len()..).unwrap_or_default().to_string())
    }
}
