//! Words that a tokenizer writes as one token.

use crate::error::Result;
use crate::random::Draws;
use smartkv_host::tokenizer::Tokenizer;

/// Words taken of a vocabulary: those with the lowest ids, which are the most common ones.
const MOST: usize = 4000;

/// Lower-case words that take one token after a space, most common first.
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn single_tokens(tokenizer: &Tokenizer) -> Result<Self> {
        let mut words = Vec::new();
        for id in (0..tokenizer.vocab_size()).map_while(|id| u32::try_from(id).ok()) {
            let token = tokenizer.token(id).unwrap_or_default();
            // Byte-level and SentencePiece vocabularies write a leading space so.
            let Some(word) = token.strip_prefix(['Ġ', '▁']) else {
                continue;
            };
            let plain = word.bytes().all(|byte| byte.is_ascii_lowercase());
            if plain
                && (4..=8).contains(&word.len())
                && tokenizer.encode(&format!(" {word}"), false)? == [id]
            {
                words.push(word.to_owned());
            }
            if words.len() == MOST {
                break;
            }
        }
        Ok(Self(words))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// `count` different words, at most as many as there are.
    pub(super) fn draw(&self, draws: &mut Draws, count: usize) -> Vec<&str> {
        let mut left: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let draw = |_| left.swap_remove(draws.below(left.len()));
        (0..count.min(self.0.len())).map(draw).collect()
    }
}
