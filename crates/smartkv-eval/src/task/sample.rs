//! What a task yields and gets back.

use super::record::Stop;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A share of a task that has a score of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name within the task; empty if it is the only one.
    pub name: String,
    /// What its score is, such as `exact match` or `F1`.
    pub metric: String,
    /// Samples it has, if that is known before they are read.
    pub samples: Option<usize>,
    /// What distinguishes it: a length, a depth.
    pub meta: Map<String, Value>,
}

impl Part {
    /// A part scored by `metric`.
    pub fn new(name: impl Into<String>, metric: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            metric: metric.into(),
            ..Self::default()
        }
    }
}

/// How a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Greedy decoding.
    Generate {
        /// Most tokens of an answer.
        max_new_tokens: usize,
        /// Whether a line break ends the answer, once it has a token.
        stop_at_newline: bool,
    },
    /// The one of these continuations with the largest summed log-probability.
    Choose(Vec<String>),
    /// The gold continuation is forced token by token; how well it was predicted is the answer.
    Force,
}

/// A continuation that is teacher-forced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gold {
    /// None.
    #[default]
    None,
    /// This one, usually a right answer, exactly as it would continue the prompt: its leading
    /// space included.
    Text(String),
    /// The reference's own greedy answer, of a sample that asks for one.
    Reference,
}

impl From<Option<String>> for Gold {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::None, Self::Text)
    }
}

impl Gold {
    /// The text, where it is known beforehand.
    #[must_use]
    pub fn text(&self) -> Option<&String> {
        match self {
            Self::Text(text) => Some(text),
            Self::None | Self::Reference => None,
        }
    }
}

/// One prompt and what is right.
///
/// The prompt is `context`, `question`, `answer_prefix`, in this order, the first two inside the
/// user's turn where a chat template is used and the last at the start of the assistant's. The
/// context is compressed before the question is seen, unless the run is query-aware.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What identifies it in its data; empty if nothing does.
    pub id: String,
    /// What is compressed.
    pub context: String,
    /// What is asked of it.
    pub question: String,
    /// How the answer begins.
    pub answer_prefix: String,
    /// The right answers, any of them or all of them as the task's metric has it.
    pub answers: Vec<String>,
    /// What is teacher-forced after the prompt, to measure its log-probability and the divergence
    /// from the reference.
    pub gold: Gold,
    /// How it is answered.
    pub ask: Ask,
    /// Whether a chat template may be used; some benchmarks forbid it.
    pub chat: bool,
    /// What the score needs besides, and what a record should say.
    pub meta: Map<String, Value>,
}

impl Sample {
    /// Whether anything is asked after the context.
    pub(super) fn asks(&self) -> bool {
        !(self.question.is_empty() && self.answer_prefix.is_empty())
    }

    /// A sample that asks for at most `max_new_tokens` of greedy text.
    #[must_use]
    pub fn generate(max_new_tokens: usize) -> Self {
        Self {
            id: String::new(),
            context: String::new(),
            question: String::new(),
            answer_prefix: String::new(),
            answers: Vec::new(),
            gold: Gold::None,
            ask: Ask::Generate {
                max_new_tokens,
                stop_at_newline: false,
            },
            chat: true,
            meta: Map::new(),
        }
    }
}

/// How a forced continuation was predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forced {
    /// Its tokens.
    pub tokens: usize,
    /// Those that were the most likely ones: all of them means that greedy decoding gives it.
    pub correct_tokens: usize,
    /// Sum of their negative log-probabilities.
    pub nll_nats: f64,
    /// Mean `KL(reference || this)` at these tokens; absent of the reference itself.
    pub kl_nats: Option<f64>,
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The greedy text, special tokens left out; of a choice, the chosen one.
    pub text: String,
    /// The tokens generated, an end token not among them.
    pub tokens: Vec<u32>,
    /// Why generation stopped; absent if nothing was generated.
    pub stop: Option<Stop>,
    /// The forced gold continuation, where the sample has one.
    pub forced: Option<Forced>,
    /// Index of the choice taken.
    pub choice: Option<usize>,
}

/// A score, and what else is worth knowing of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// From 0 to 1, 1 being the best.
    pub value: f64,
    /// Other measures by name.
    pub details: BTreeMap<String, f64>,
}

impl Score {
    /// Adds another measure.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self {
            value,
            details: BTreeMap::new(),
        }
    }
}

impl From<bool> for Score {
    fn from(right: bool) -> Self {
        f64::from(u8::from(right)).into()
    }
}
