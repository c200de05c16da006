//! What is wrong with a request to measure.

/// A benchmark that cannot be run. Each names the option, its value and what was expected.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum BenchError {
    /// A count of nothing.
    #[error("--{option} 0: expected at least 1")]
    Zero {
        /// The option without its dashes.
        option: &'static str,
    },
    /// Contexts that do not ascend.
    #[error("--contexts {given}: {value} after {before}, expected ascending lengths, each once")]
    Order {
        /// The list as given.
        given: String,
        /// The first that is out of order.
        value: usize,
        /// The one before it.
        before: usize,
        /// The list in order.
        sorted: String,
    },
    /// A strategy without a name or a budget.
    #[error("--strategy {given}: expected NAME or NAME@BUDGET, such as smartkv@0.5")]
    Strategy {
        /// As given.
        given: String,
    },
    /// A length beyond the model's context.
    #[error("{what} needs {needed} tokens: the model's context holds {limit}")]
    TooLong {
        /// Option, value and what comes on top.
        what: String,
        /// Tokens it reaches.
        needed: usize,
        /// The model's context length.
        limit: usize,
    },
    /// A length beyond the text.
    #[error("{what} needs {needed} tokens: the text `{text}` has {available}")]
    TextTooShort {
        /// Option, value and what comes on top.
        what: String,
        /// Tokens it reaches.
        needed: usize,
        /// Name of the text.
        text: String,
        /// Its tokens.
        available: usize,
    },
}

impl BenchError {
    /// Advice to print after the message, one line each.
    pub(in crate::cli) fn hints(&self) -> Vec<String> {
        match self {
            Self::Zero { .. } => Vec::new(),
            Self::Order { sorted, .. } => vec![format!("write --contexts {sorted}")],
            Self::Strategy { .. } => {
                vec!["`smartkv strategies` lists the strategies".to_string()]
            }
            Self::TooLong { limit, .. } => vec![format!(
                "lower --contexts, --prefill-tokens or --tokens to stay within {limit}, or take a \
                 model with a longer context"
            )],
            Self::TextTooShort { .. } => vec![
                "lower --contexts, --prefill-tokens or --tokens, or take a longer --text"
                    .to_string(),
            ],
        }
    }
}
