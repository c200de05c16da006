//! A tokenizer from the metadata of a GGUF file.

use super::Tokenizer;
use super::pieces::Pieces;
use super::split::{FAMILIES, Family};
use crate::error::{Error, Result};
use crate::weights::gguf::Metadata;
use tokenizers::AddedToken;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

/// `tokenizer.ggml.token_type` of pieces of text.
const NORMAL: i64 = 1;
/// `tokenizer.ggml.token_type` of tokens that are not text.
const CONTROL: i64 = 3;
/// `tokenizer.ggml.token_type` of whole words that merges do not build.
const USER_DEFINED: i64 = 4;

/// GGUF names one EOS; control tokens with these texts end a turn or a text as well.
const ENDS: [&str; 8] = [
    "<|endoftext|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
];

/// Builds the tokenizer that `tokenizer.ggml.*` describes.
pub(crate) fn from_gguf(metadata: &Metadata) -> Result<Tokenizer> {
    let path = metadata.path();
    let model = metadata.required(&key("model"), metadata.string(&key("model"))?)?;
    let broken = |error: tokenizers::Error| Error::file(path, format!("tokenizer: {error}"));
    let tokens = metadata.required(&key("tokens"), metadata.strings(&key("tokens"))?)?;
    let (control, user_defined) = added_tokens(metadata, &tokens)?;
    let (mut inner, adds_bos) = match model {
        "gpt2" => byte_level(metadata, &tokens)?,
        "llama" => (pieces(metadata, &tokens)?, true),
        other => {
            let known = ["gpt2 (byte-level BPE)", "llama (SentencePiece BPE)"];
            return Err(Error::unsupported(path, "tokenizer", other, &known));
        }
    };
    let added = |tokens: &[&str], special| -> Vec<AddedToken> {
        tokens
            .iter()
            .map(|&token| AddedToken::from(token, special).normalized(false))
            .collect()
    };
    inner
        .add_special_tokens(added(&control, true))
        .map_err(broken)?;
    inner
        .add_tokens(added(&user_defined, false))
        .map_err(broken)?;

    let named = |name: &str| id(metadata, name, tokens.len());
    let (bos, end) = (named("bos_token_id")?, named("eos_token_id")?);
    let declared = [end, named("eot_token_id")?, named("eom_token_id")?];
    let known = control.iter().filter(|token| ENDS.contains(token));
    let known = known.filter_map(|token| inner.token_to_id(token));
    let mut eos: Vec<u32> = declared.into_iter().flatten().chain(known).collect();
    eos.sort_unstable();
    eos.dedup();
    let starts = metadata.bool(&key("add_bos_token"))?.unwrap_or(adds_bos);
    let ends = metadata.bool(&key("add_eos_token"))?.unwrap_or(false);
    let (before, after) = (bos.filter(|_| starts), end.filter(|_| ends));
    Ok(Tokenizer {
        inner,
        bos,
        eos,
        before,
        after,
    })
}

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

/// A BPE over bytes, and whether it puts a BOS before a text when the file does not say.
fn byte_level(metadata: &Metadata, tokens: &[&str]) -> Result<(tokenizers::Tokenizer, bool)> {
    let path = metadata.path();
    let name = metadata.string(&key("pre"))?.unwrap_or("default");
    let family = Family::of(name).ok_or_else(|| {
        Error::unsupported(
            path,
            "pre-tokenizer",
            name,
            &FAMILIES.map(|(known, _)| known),
        )
    })?;
    let broken = |error: tokenizers::Error| Error::file(path, format!("tokenizer: {error}"));
    let mut inner = tokenizers::Tokenizer::new(merges(metadata, tokens, family)?);
    inner.with_pre_tokenizer(Some(family.build().map_err(broken)?));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok((inner, family.adds_bos()))
}

/// The BPE of a SentencePiece model.
fn pieces(metadata: &Metadata, tokens: &[&str]) -> Result<tokenizers::Tokenizer> {
    let path = metadata.path();
    let scores = metadata.required(&key("scores"), metadata.numbers(&key("scores"))?)?;
    let kinds = metadata.required(&key("token_type"), metadata.integers(&key("token_type"))?)?;
    if scores.len() != tokens.len() || kinds.len() != tokens.len() {
        let (scores, kinds, tokens) = (scores.len(), kinds.len(), tokens.len());
        let reason = format!("tokenizer: {scores} scores and {kinds} types for {tokens} tokens");
        return Err(Error::file(path, reason));
    }
    let unknown = id(metadata, "unknown_token_id", tokens.len())?;
    let space = metadata.bool(&key("add_space_prefix"))?;
    let pieces = Pieces {
        tokens,
        scores,
        is_text: kinds.iter().map(|kind| *kind == NORMAL).collect(),
        unknown: unknown.map(|id| tokens[id as usize]),
        space_before: space.unwrap_or(true),
    };
    pieces.build(path)
}

/// The merges of byte pairs, over `tokens` numbered in order.
fn merges(metadata: &Metadata, tokens: &[&str], family: Family) -> Result<BPE> {
    let path = metadata.path();
    let vocab: Vocab = tokens.iter().map(ToString::to_string).zip(0u32..).collect();
    let listed = metadata.required(&key("merges"), metadata.strings(&key("merges"))?)?;
    let merges: Merges = listed
        .into_iter()
        .map(|merge| {
            // Bytes are written as letters, so a part never holds a space itself.
            let (left, right) = merge.split_once(' ').ok_or_else(|| {
                Error::file(
                    path,
                    format!("tokenizer: merge `{merge}` is not two tokens"),
                )
            })?;
            Ok((left.to_string(), right.to_string()))
        })
        .collect::<Result<_>>()?;
    BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(family.ignores_merges())
        .build()
        .map_err(|error| Error::file(path, format!("tokenizer: {error}")))
}

/// The tokens that are found in a text before it is cut into words: control, then user-defined.
fn added_tokens<'a>(
    metadata: &Metadata,
    tokens: &[&'a str],
) -> Result<(Vec<&'a str>, Vec<&'a str>)> {
    let kinds = metadata.integers(&key("token_type"))?.unwrap_or_default();
    if !kinds.is_empty() && kinds.len() != tokens.len() {
        let reason = format!(
            "tokenizer: {} token types for {} tokens",
            kinds.len(),
            tokens.len()
        );
        return Err(Error::file(metadata.path(), reason));
    }
    let of_kind = |wanted: i64| {
        let typed = tokens.iter().zip(&kinds);
        let chosen = typed.filter(|(token, kind)| **kind == wanted && !token.is_empty());
        chosen.map(|(token, _)| *token).collect()
    };
    Ok((of_kind(CONTROL), of_kind(USER_DEFINED)))
}

/// The id under `tokenizer.ggml.{name}`, which must be below `tokens`.
fn id(metadata: &Metadata, name: &str, tokens: usize) -> Result<Option<u32>> {
    let key = key(name);
    let Some(id) = metadata.usize(&key)? else {
        return Ok(None);
    };
    u32::try_from(id)
        .ok()
        .filter(|_| id < tokens)
        .map(Some)
        .ok_or_else(|| {
            let reason = format!("metadata `{key}` is {id}, expected an id below {tokens}");
            Error::file(metadata.path(), reason)
        })
}
