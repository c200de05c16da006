//! Text to tokens and back.

mod gguf;
mod hf;
mod pieces;
mod split;
mod stream;

pub(crate) use gguf::from_gguf;
pub(crate) use hf::{from_hf, special_token};
pub use stream::TextStream;

use crate::error::{Error, Result};
use crate::heap;

/// Bytes of a text from which the memory of its encoding, a hundred times as much, is given back.
const LONG_TEXT: usize = 1 << 16;

/// A BPE tokenizer with the special tokens of its model.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<u32>,
    eos: Vec<u32>,
    /// Tokens put around a text by `encode(_, true)`, beside those of the inner post-processor.
    before: Option<u32>,
    after: Option<u32>,
}

impl Tokenizer {
    /// The token ids of `text`. Special tokens written out in the text, such as `<|im_end|>`,
    /// become their id.
    ///
    /// `special` adds what the model wants around a text, usually a BOS in front. Leave it off
    /// for a rendered chat template, which writes such tokens itself.
    ///
    /// # Errors
    /// A text the tokenizer has no tokens for.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, special).map_err(fail)?;
        let (before, after) = if special {
            (self.before, self.after)
        } else {
            (None, None)
        };
        let ids = encoding.get_ids().iter().copied();
        let ids = before.into_iter().chain(ids).chain(after).collect();
        drop(encoding);
        if text.len() > LONG_TEXT {
            heap::trim();
        }
        Ok(ids)
    }

    /// The text of `ids`, without special tokens. Bytes that are not UTF-8 become U+FFFD; ids
    /// beyond the vocabulary, which a padded output head can produce, are left out.
    ///
    /// # Errors
    /// A decoder that fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(fail)
    }

    /// Like [`decode`](Self::decode), with special tokens written out.
    ///
    /// # Errors
    /// A decoder that fails.
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(fail)
    }

    /// Decodes tokens one at a time, as they are generated.
    #[must_use]
    pub fn stream(&self) -> TextStream<'_> {
        TextStream::new(self)
    }

    /// The token that starts a text, if the model has one.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Every token that ends a text or a turn, ascending.
    #[must_use]
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Whether `id` ends a text or a turn.
    #[must_use]
    pub fn is_eos(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }

    /// The id of a token by its text, special tokens included.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token as the vocabulary writes it (bytes as letters), if there is one.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Tokens in the vocabulary, special ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn fail(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}
