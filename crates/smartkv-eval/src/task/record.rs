//! What is kept of each sample.

use super::sample::{Answer, Forced, Score};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Why generation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model ended its answer.
    Eos,
    /// A line break, where the task ends answers there.
    Newline,
    /// The room for new tokens was used up.
    MaxNewTokens,
}

/// One sample and what every cache made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Name of its part.
    pub part: String,
    /// Its place in the part.
    pub index: usize,
    /// Digest of its prompt's tokens and its answers: an interrupted run goes on only with what
    /// it began with.
    pub fingerprint: String,
    /// What identifies it in its data.
    pub id: String,
    /// Tokens prefilled and compressed.
    pub context_tokens: usize,
    /// Tokens run after that.
    pub question_tokens: usize,
    /// The right answers.
    pub answers: Vec<String>,
    /// What the task says of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
    /// The first cache's answer without the context; absent if not asked for.
    pub control: Option<Attempt>,
    /// Cache by cache, the reference first.
    pub attempts: Vec<Attempt>,
}

/// What one cache made of one sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The score, 0 for a sample that failed.
    pub score: f64,
    /// Other measures by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, f64>,
    /// The answer's text.
    pub text: String,
    /// Tokens generated, an end token not counted.
    pub generated_tokens: usize,
    /// Why generation stopped; absent if nothing was generated.
    pub stop: Option<Stop>,
    /// The forced gold continuation; absent where there is none.
    pub forced: Option<Forced>,
    /// Live bytes of the cache when the question came.
    pub live_bytes: u64,
    /// K and V of the same tokens in f16.
    pub f16_bytes: u64,
    /// Whether the bytes are f16's in the place of what a simulated strategy would hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// Why it could not be answered: counted with a score of 0, never dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Attempt {
    pub(super) fn of(answer: Answer, score: Score) -> Self {
        Self {
            score: score.value,
            details: score.details,
            text: answer.text,
            generated_tokens: answer.tokens.len(),
            stop: answer.stop,
            forced: answer.forced,
            ..Self::default()
        }
    }

    pub(super) fn failed(why: &impl ToString) -> Self {
        Self {
            failure: Some(why.to_string()),
            ..Self::default()
        }
    }
}
