//! How a task is run, whatever it asks.

use crate::error::{EvalError, Result};
use crate::stats::Bootstrap;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a prompt is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// The model's chat template if it has one, else raw.
    #[default]
    Auto,
    /// The model's chat template; an error without one.
    Chat,
    /// The bare text, with the BOS the tokenizer adds.
    Raw,
}

/// One of several equal shares of the samples, written `2/8`: the second of eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 1, count: 1 }
    }
}

impl Shard {
    /// Whether the sample at `index` of its part is in this share.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        index % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            let (index, count) = (index.parse().ok()?, count.parse().ok()?);
            (1..=count)
                .contains(&index)
                .then_some(Self { index, count })
        });
        parsed.ok_or_else(|| {
            EvalError::parameter(
                "shard",
                text,
                "INDEX/COUNT with 1 <= INDEX <= COUNT, as in 2/8",
            )
        })
    }
}

impl TryFrom<String> for Shard {
    type Error = EvalError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// How a task is run, whatever it asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskOptions {
    /// Most tokens of a prompt and its answer; the model's context length if absent.
    pub context_tokens: Option<usize>,
    /// Samples of each part, the first ones; all if absent.
    pub limit: Option<usize>,
    /// The share of those samples that is run.
    pub shard: Shard,
    /// Seed of everything random.
    pub seed: u64,
    /// Whether the cache sees the question before it compresses: much easier for it.
    pub query_aware: bool,
    /// How prompts are wrapped.
    pub style: PromptStyle,
    /// Tokens per forward while prefilling.
    pub prefill_chunk: usize,
    /// Also ask the first cache every question with the context left out: a task that is answered
    /// as well without its context tells nothing about a cache.
    pub control: bool,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            context_tokens: None,
            limit: None,
            shard: Shard::default(),
            seed: 0,
            query_aware: false,
            style: PromptStyle::Auto,
            prefill_chunk: 256,
            control: true,
            bootstrap: Bootstrap::default(),
        }
    }
}

impl TaskOptions {
    /// Checks what asks for nothing.
    ///
    /// # Errors
    /// A limit, chunk or context of 0, and what [`Bootstrap::check`] refuses.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("limit", self.limit.unwrap_or(1)),
            ("prefill_chunk", self.prefill_chunk),
            ("context", self.context_tokens.unwrap_or(1)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(EvalError::parameter(name, 0, "at least 1"));
        }
        Ok(self.bootstrap.check()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cut_the_samples_without_rest() {
        let shards: Vec<Shard> = (1..=3).map(|i| format!("{i}/3").parse().unwrap()).collect();
        for index in 0..10 {
            assert_eq!(shards.iter().filter(|s| s.contains(index)).count(), 1);
        }
        assert_eq!(shards[1].to_string(), "2/3");
        for text in ["", "0/3", "4/3", "1/0", "1", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn options_that_ask_for_nothing_are_refused() {
        assert!(TaskOptions::default().check().is_ok());
        let none = TaskOptions {
            limit: Some(0),
            ..TaskOptions::default()
        };
        assert!(none.check().is_err());
    }
}
