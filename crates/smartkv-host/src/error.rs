//! What can go wrong between a file on disk and a token.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of the host. Each names the thing, the value and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read a file.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file that is not what its name promises, or is truncated or corrupt.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, where, and what was expected.
        reason: String,
    },
    /// A tensor that is missing, has the wrong shape or cannot be decoded.
    #[error("{}: tensor `{tensor}`: {reason}", path.display())]
    Tensor {
        /// The file that holds it, or should.
        path: PathBuf,
        /// Its name in that file.
        tensor: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// Something the file asks for that this host does not implement.
    #[error("{}: {what} `{value}` is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// `architecture`, `pre-tokenizer`, …
        what: &'static str,
        /// What the file asks for.
        value: String,
        /// What is supported.
        supported: Vec<String>,
    },
    /// The tokenizer refused its definition, a text or a token.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The chat template does not parse, or refused a conversation.
    #[error("chat template: {0}")]
    Template(String),
    /// More tokens than the model's context holds.
    #[error("sequence {sequence} would reach {asked} tokens: the model's context holds {limit}")]
    Context {
        /// Index of the sequence in the batch.
        sequence: usize,
        /// Tokens it would have after the step.
        asked: usize,
        /// The model's context length in tokens.
        limit: usize,
    },
    /// Arguments of a call that do not fit the model or each other.
    #[error("{0}")]
    Input(String),
    /// A parameter outside its domain.
    #[error("{name} = {value}: expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// The cache behind the hook refused a step.
    #[error(transparent)]
    Cache(#[from] smartkv_core::Error),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Compute(#[from] candle_core::Error),
}

impl Error {
    /// Advice to print after the message, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                vec![
                    "give a .gguf file, or a folder with config.json, tokenizer.json and \
                      *.safetensors"
                        .into(),
                ]
            }
            Self::File { .. } => {
                vec![
                    "fetch the file again and compare its size and checksum with the source".into(),
                ]
            }
            Self::Tensor { .. } => vec![
                "the file may be incomplete or made for another architecture: convert or fetch it \
                 again"
                    .into(),
            ],
            Self::Unsupported {
                what, supported, ..
            } if !supported.is_empty() => {
                vec![format!("supported {what}: {}", supported.join(", "))]
            }
            Self::Context { .. } => {
                vec!["shorten the prompt or ask for fewer new tokens".into()]
            }
            Self::Cache(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn file(path: &Path, reason: impl fmt::Display) -> Self {
        Self::File {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn tensor(path: &Path, tensor: &str, reason: impl fmt::Display) -> Self {
        Self::Tensor {
            path: path.to_path_buf(),
            tensor: tensor.into(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unsupported(
        path: &Path,
        what: &'static str,
        value: impl fmt::Display,
        supported: &[&str],
    ) -> Self {
        Self::Unsupported {
            path: path.to_path_buf(),
            what,
            value: value.to_string(),
            supported: supported.iter().map(ToString::to_string).collect(),
        }
    }
}
