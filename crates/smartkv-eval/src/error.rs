//! What can go wrong in a measurement.

use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, EvalError>;

/// The errors of a measurement. Each names the thing, the value and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A text without room for a single window.
    #[error("the text has {available} tokens: one window needs {needed}")]
    TextTooShort {
        /// Tokens of one window: prefilled, scored, and the last target.
        needed: usize,
        /// Tokens of the text.
        available: usize,
    },
    /// A window or prompt beyond the model's context.
    #[error("{what} needs {needed} tokens: the model's context holds {limit}")]
    ContextTooLong {
        /// The window or prompt.
        what: String,
        /// Tokens it would reach.
        needed: usize,
        /// The model's context length in tokens.
        limit: usize,
    },
    /// A prompt without room for the least it must hold.
    #[error("{what} of {length} tokens is too short: the least is {needed}")]
    PromptTooShort {
        /// The prompt.
        what: String,
        /// Length asked for, in tokens.
        length: usize,
        /// Tokens of the least prompt and the room for its answer.
        needed: usize,
    },
    /// A protocol that does not exist, or that a real cache cannot follow.
    #[error("protocol `{given}`: {reason}")]
    Protocol {
        /// The protocol as written.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter outside its domain.
    #[error("{name} = {value}: expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is accepted.
        expected: String,
    },
    /// A token id beyond the model's vocabulary: text and model do not belong together.
    #[error("token {position} of the text has id {id}: the model's vocabulary has {vocab}")]
    Token {
        /// Place in the token stream.
        position: usize,
        /// The id.
        id: u32,
        /// Entries of the vocabulary.
        vocab: usize,
    },
    /// A model whose scores are NaN or infinite.
    #[error("{side}: the logits after token {position} of window {window} are not finite")]
    NotFinite {
        /// `reference` or `candidate`.
        side: &'static str,
        /// Index of the window.
        window: usize,
        /// Place in the token stream.
        position: usize,
    },
    /// Numbers that have no such statistic.
    #[error("{0}")]
    Statistics(String),
    /// The statistics refused.
    #[error(transparent)]
    Stats(#[from] smartkv_stats::StatsError),
    /// A chat template that loses or repeats what it is given.
    #[error("the chat template renders the user's text {0} times: expected once")]
    Template(usize),
    /// A task that cannot be run as it is.
    #[error("{0}")]
    Task(String),
    /// Data that is not what a task reads.
    #[error("{file}{}: {reason}", Line(*.line))]
    Data {
        /// The file, and its member where it is an archive.
        file: String,
        /// The line or row, from 1, where one is to blame.
        line: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// Data that could not be had, or a record that could not be kept.
    #[error("{error}")]
    Outside {
        /// What went wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
        /// What to do about it.
        hints: Vec<String>,
    },
    /// The cache engine or its registry refused.
    #[error(transparent)]
    Core(#[from] smartkv_core::Error),
    /// The model refused.
    #[error(transparent)]
    Host(#[from] smartkv_host::Error),
}

impl EvalError {
    /// Advice to print after the message, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::TextTooShort { .. } => {
                vec!["take a longer text, or fewer prefilled or scored tokens".into()]
            }
            Self::ContextTooLong { .. } => {
                vec!["take fewer tokens, or a model with a longer context".into()]
            }
            Self::PromptTooShort { .. } => {
                vec!["raise the lengths, or lower the number of new tokens".into()]
            }
            Self::Protocol { given, .. } if given == "simulated" => vec![
                "`decode` with a prefill of 0 gives every token its turn through the cache: \
                 nothing is exact but what the strategy itself keeps exact"
                    .into(),
            ],
            Self::Protocol { .. } => vec!["known protocols: decode, chunked:N, simulated".into()],
            Self::Token { .. } => vec!["tokenize the text with this model's tokenizer".into()],
            Self::Template(_) => vec!["use raw prompts with this model".into()],
            Self::Outside { hints, .. } => hints.clone(),
            Self::Core(error) => error.hints(),
            Self::Host(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    /// A parameter outside its domain.
    pub fn parameter(
        name: &'static str,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Parameter {
            name,
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

/// `:12`, or nothing.
struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}
