//! The errors of the cache engine. Each names the thing, the value and what was expected.

use crate::registry::{self, Kind};
use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between a strategy, a plan and a cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shape that no cache can have.
    #[error("cache shape: {0}")]
    Shape(String),
    /// A storage format that does not fit the head dimension, or is not defined.
    #[error("format {format}: {reason}")]
    Format {
        /// The format as the user would write it.
        format: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A budget outside what the strategy can hold.
    #[error("budget {given}: {reason}")]
    Budget {
        /// The budget as given.
        given: String,
        /// What is wrong with it, with the reachable range where there is one.
        reason: String,
    },
    /// Keys, values or queries that are NaN, infinite or beyond f16.
    #[error("layer {layer}: {what} of token {position} is {value}: not a finite f16 number")]
    NotFinite {
        /// Layer index, from 0.
        layer: usize,
        /// `key`, `value` or `query`.
        what: &'static str,
        /// Position of the token in its sequence.
        position: usize,
        /// The offending number.
        value: f32,
    },
    /// A plan that the cache refuses to execute.
    #[error("plan of strategy `{strategy}`: {reason}")]
    Plan {
        /// Registered name of the strategy.
        strategy: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// A decision that a strategy's own parts make impossible; the cache adds the strategy's name.
    #[error("{0}")]
    Policy(String),
    /// A plugin that panicked, or gave something that makes no sense.
    #[error("{} `{name}` {what}", .kind.word())]
    Plugin {
        /// What kind of plugin it is.
        kind: Kind,
        /// Its registered name.
        name: String,
        /// What it did.
        what: String,
    },
    /// A name that no registered plugin has.
    #[error("unknown {family} `{name}`{}", Suggest(.suggestion))]
    Unknown {
        /// `strategy`, `tracker` or `allocator`.
        family: &'static str,
        /// The name that was asked for.
        name: String,
        /// The nearest known name, when there is a near one.
        suggestion: Option<String>,
        /// Every known name, sorted.
        known: Vec<String>,
    },
    /// A parameter outside its domain.
    #[error("{name} = {value}: {expected}")]
    Parameter {
        /// Dotted path of the parameter.
        name: String,
        /// The value given.
        value: String,
        /// What is accepted.
        expected: String,
    },
    /// A tracker that reads the attention of tokens to come, where nobody knows it.
    #[error(
        "tracker `{tracker}` reads the attention of tokens to come, which only a measurement that \
         knows these tokens can tell"
    )]
    NoTrace {
        /// Registered name of the tracker.
        tracker: &'static str,
    },
    /// A step whose slices do not match the shape of the cache.
    #[error("attention step: {0}")]
    Step(String),
}

impl Error {
    /// Advice to print after the message, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown {
                family,
                known,
                suggestion,
                ..
            } => {
                let mut hints = vec![format!("known {family} names: {}", known.join(", "))];
                if suggestion.is_none() {
                    hints.push(
                        "one of a crate of your own needs `use that_crate as _;` in main.rs, or \
                         it is not linked"
                            .to_string(),
                    );
                }
                hints
            }
            Self::Format { .. } => {
                vec!["0 is the whole head: --set group_size=0".to_string()]
            }
            Self::NoTrace { .. } => vec![
                "`smartkv eval` and `smartkv compare` teacher-force their windows: there it works"
                    .to_string(),
            ],
            Self::Plan { strategy, .. } => origin(Kind::Strategy, strategy),
            Self::Plugin { kind, name, .. } => origin(*kind, name),
            _ => Vec::new(),
        }
    }

    /// A plugin that does not do what it must.
    pub(crate) fn plugin(kind: Kind, name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Plugin {
            kind,
            name: name.into(),
            what: what.into(),
        }
    }

    /// A parameter outside its domain.
    pub fn parameter(
        name: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Parameter {
            name: name.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

/// Whose mistake it is: nothing was computed with what the plugin gave.
fn origin(kind: Kind, name: &str) -> Vec<String> {
    let entry = registry::find(kind, name).ok();
    entry.map_or_else(Vec::new, |entry| {
        let origin = format!(
            "{} `{name}` is from the crate `{}`",
            kind.word(),
            entry.crate_name
        );
        vec![origin]
    })
}

struct Suggest<'a>(&'a Option<String>);

impl fmt::Display for Suggest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, ": did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}
