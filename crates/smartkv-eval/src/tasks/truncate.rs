//! Prompts that are longer than the context.

use crate::error::{EvalError, Result};
use crate::task::{Sample, TaskCx};
use smartkv_host::tokenizer::Tokenizer;

/// Times a prompt is cut anew because its parts take more tokens than they did together.
const ATTEMPTS: usize = 8;

/// The samples that `build` makes of prompts of at most so many tokens, the answer not counted,
/// such that every one fits the context.
///
/// The first number is what `answer_tokens` leave of the context. It shrinks by what a chat
/// template and the borders between context, question and answer take besides.
pub(super) fn fit(
    cx: &TaskCx<'_>,
    answer_tokens: usize,
    build: impl Fn(usize) -> Result<Vec<Sample>>,
) -> Result<Vec<Sample>> {
    let limit = cx.context_tokens;
    let mut most = limit.saturating_sub(answer_tokens);
    let mut needed = answer_tokens;
    for _ in 0..ATTEMPTS {
        if most == 0 {
            break;
        }
        let samples = build(most)?;
        needed = 0;
        for sample in &samples {
            needed = needed.max(cx.tokens(sample)?);
        }
        if needed <= limit {
            return Ok(samples);
        }
        most = most.saturating_sub(needed - limit);
    }
    Err(EvalError::ContextTooLong {
        what: "the question, its answer and the least of a document".into(),
        needed,
        limit,
    })
}

/// `text` with its middle left out if it has more than `most` tokens, as `LongBench` does it: both
/// ends have half of `most`, and special tokens are counted but not kept. `None` if it fits.
pub(super) fn middle(
    tokenizer: &Tokenizer,
    text: &str,
    most: usize,
) -> Result<Option<(String, String)>> {
    let tokens = tokenizer.encode(text, true)?;
    if tokens.len() <= most {
        return Ok(None);
    }
    let half = most / 2;
    let ends = (&tokens[..half], &tokens[tokens.len() - half..]);
    Ok(Some((tokenizer.decode(ends.0)?, tokenizer.decode(ends.1)?)))
}

/// The first `most` tokens of `text`; `None` if it has no more.
pub(super) fn start(tokenizer: &Tokenizer, text: &str, most: usize) -> Result<Option<String>> {
    let tokens = tokenizer.encode(text, true)?;
    let kept = tokens.get(..most).filter(|kept| kept.len() < tokens.len());
    Ok(kept.map(|kept| tokenizer.decode(kept)).transpose()?)
}

/// The last `most` tokens of `text`; `None` if it has no more.
pub(super) fn end(tokenizer: &Tokenizer, text: &str, most: usize) -> Result<Option<String>> {
    let tokens = tokenizer.encode(text, false)?;
    let cut = tokens.len().saturating_sub(most);
    let kept = Some(&tokens[cut..]).filter(|_| cut > 0);
    Ok(kept.map(|kept| tokenizer.decode(kept)).transpose()?)
}
