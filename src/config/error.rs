//! What can be wrong with a configuration.

use std::path::PathBuf;

/// A configuration that cannot be used, and where it says so.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Text that is not YAML, or not what was expected there.
    #[error("{file}{}: {reason}", Place(.line, .column))]
    Yaml {
        /// File name, or what the text is.
        file: String,
        /// Line, from 1.
        line: Option<u64>,
        /// Column, from 1.
        column: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// An assignment that is not `path=value`, or names nothing.
    #[error("--set {assignment}: {reason}")]
    Set {
        /// As given.
        assignment: String,
        /// What is wrong.
        reason: String,
    },
    /// A calibration for another model than the one in use.
    #[error(
        "`{strategy}` is calibrated for `{made_for}` (SHA-256 {:.12}…), the model in use is \
         `{model}` (SHA-256 {:.12}…)",
        made_for_sha256,
        sha256
    )]
    OtherModel {
        /// What the user called the strategy.
        strategy: String,
        /// What the model was called then.
        made_for: String,
        /// Its digest.
        made_for_sha256: String,
        /// The model in use.
        model: String,
        /// Its digest.
        sha256: String,
    },
    /// Something the registry or the engine refuses.
    #[error(transparent)]
    Core(#[from] smartkv_core::Error),
}

impl ConfigError {
    /// Advice to print after the message.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Core(error) => error.hints(),
            Self::Set { assignment, .. } if assignment.trim_start().starts_with("task.") => vec![
                "`smartkv tasks NAME` lists the parameters of a task".to_string(),
                "write --set task.PATH=VALUE, or --set task.NAME.PATH=VALUE with several tasks"
                    .to_string(),
            ],
            Self::Set { .. } => vec![
                "`smartkv strategies NAME` lists the parameters of a strategy".to_string(),
                "write --set PATH=VALUE, such as --set tracker.decay=0.95".to_string(),
            ],
            Self::OtherModel {
                made_for, model, ..
            } => vec![
                format!("calibrate again: smartkv calibrate STRATEGY --model {model} --out FILE"),
                format!("or run the model it is for: --model {made_for}"),
            ],
            _ => Vec::new(),
        }
    }
}

struct Place<'a>(&'a Option<u64>, &'a Option<u64>);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0, self.1) {
            (Some(line), Some(column)) => write!(f, ", line {line}, column {column}"),
            (Some(line), None) => write!(f, ", line {line}"),
            _ => Ok(()),
        }
    }
}
