//! The BPE of SentencePiece models, as GGUF files hold it: pieces with scores instead of merges,
//! spaces written as a letter, and a token for each byte to fall back to.

use crate::error::{Error, Result};
use std::path::Path;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Sequence as Normalizers};
use tokenizers::{DecoderWrapper, Tokenizer};

/// What a space is written as.
const SPACE: &str = "\u{2581}";

/// The tokens of a vocabulary, in order.
pub(super) struct Pieces<'a> {
    pub(super) tokens: &'a [&'a str],
    /// Pieces of a higher score are put together first.
    pub(super) scores: Vec<f64>,
    /// Whether a token is part of texts: neither control, nor unknown, nor a byte.
    pub(super) is_text: Vec<bool>,
    /// The token for what has none, if there is one.
    pub(super) unknown: Option<&'a str>,
    /// Whether a space is put before a text.
    pub(super) space_before: bool,
}

impl Pieces<'_> {
    /// The tokenizer that they are.
    pub(super) fn build(&self, path: &Path) -> Result<Tokenizer> {
        let broken = |error: tokenizers::Error| Error::file(path, format!("tokenizer: {error}"));
        let ids = self.tokens.iter().zip(0u32..);
        let vocab: Vocab = ids.map(|(token, id)| ((*token).to_string(), id)).collect();
        let mut model = BPE::builder()
            .vocab_and_merges(vocab.clone(), self.merges(&vocab))
            .byte_fallback(true)
            .fuse_unk(true);
        if let Some(unknown) = self.unknown {
            model = model.unk_token(unknown.to_string());
        }
        let mut inner = Tokenizer::new(model.build().map_err(broken)?);

        let spaces = Replace::new(" ", SPACE).map_err(broken)?;
        let mut normalizers = vec![NormalizerWrapper::from(spaces)];
        let spaces = Replace::new(SPACE, " ").map_err(broken)?;
        let mut decoders: Vec<DecoderWrapper> = vec![
            spaces.into(),
            ByteFallback::new().into(),
            Fuse::new().into(),
        ];
        if self.space_before {
            normalizers.insert(0, Prepend::new(SPACE.into()).into());
            decoders.push(Strip::new(' ', 1, 0).into());
        }
        inner
            .with_normalizer(Some(Normalizers::new(normalizers)))
            .map_err(broken)?;
        inner.with_decoder(Some(Decoders::new(decoders)));
        Ok(inner)
    }

    /// Every way to make a piece of two others, best first. Of equal scores those with the longer
    /// part in front come first, as in transformers.
    fn merges(&self, vocab: &Vocab) -> Merges {
        struct Merge<'a> {
            score: f64,
            chars: (usize, usize),
            ids: (u32, u32),
            parts: (&'a str, &'a str),
        }
        let text = |token: &str| {
            let id = vocab.get(token).copied()?;
            self.is_text[id as usize].then_some(id)
        };
        let mut found = Vec::new();
        for ((token, &score), is_text) in self.tokens.iter().zip(&self.scores).zip(&self.is_text) {
            if !is_text {
                continue;
            }
            let count = token.chars().count();
            for (chars, (at, _)) in token.char_indices().enumerate().skip(1) {
                let parts = token.split_at(at);
                if let Some(ids) = text(parts.0).zip(text(parts.1)) {
                    found.push(Merge {
                        score,
                        chars: (chars, count - chars),
                        ids,
                        parts,
                    });
                }
            }
        }
        found.sort_by(|a, b| {
            let better = b.score.total_cmp(&a.score).then(b.chars.cmp(&a.chars));
            better.then(a.ids.cmp(&b.ids))
        });
        let merges = found.into_iter().map(|merge| merge.parts);
        merges
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect()
    }
}
