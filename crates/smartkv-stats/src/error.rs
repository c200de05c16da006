//! What has no such statistic.

use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, StatsError>;

/// The errors of a statistic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
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
    /// Numbers that have no such statistic.
    #[error("{0}")]
    Input(String),
}

impl StatsError {
    /// A parameter outside its domain.
    pub(crate) fn parameter(
        name: &'static str,
        value: impl fmt::Display,
        expected: &'static str,
    ) -> Self {
        Self::Parameter {
            name,
            value: value.to_string(),
            expected,
        }
    }
}
