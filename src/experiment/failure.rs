//! A cell that failed, as a record of its own.

use super::cell::{Cell, CellId};
use super::error::ExperimentError;
use crate::assets::AssetError;
use crate::config::ConfigError;
use serde::{Deserialize, Serialize};
use smartkv_eval::EvalError;
use std::io;

/// Version of the record.
const SCHEMA: &str = "smartkv.failure/1";

/// Why a cell has no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Version of the record.
    pub schema: String,
    /// The cell's id.
    pub id: CellId,
    /// What was run.
    pub cell: Cell,
    /// What kind of failure it was.
    pub class: FailureClass,
    /// The message, with its causes.
    pub message: String,
    /// How often the cell has failed.
    pub attempts: u32,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// A budget that the strategy cannot hold.
    Budget,
    /// A strategy, task or setting that cannot be.
    Config,
    /// An input that is missing, damaged or not what was planned.
    Input,
    /// Numbers that are not finite.
    NotFinite,
    /// A disk that cannot be read or written.
    Disk,
    /// A panic: a fault of the program or a plugin.
    Panic,
    /// Killed from outside, as by a system that is out of memory.
    Killed,
    /// Anything else.
    Other,
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Budget => "budget",
            Self::Config => "config",
            Self::Input => "input",
            Self::NotFinite => "not_finite",
            Self::Disk => "disk",
            Self::Panic => "panic",
            Self::Killed => "killed",
            Self::Other => "other",
        })
    }
}

impl Failure {
    /// The first failure of a cell.
    #[must_use]
    pub fn new(cell: &Cell, class: FailureClass, message: String) -> Self {
        Self {
            schema: SCHEMA.to_string(),
            id: cell.id(),
            cell: cell.clone(),
            class,
            message,
            attempts: 1,
        }
    }

    /// The failure that an error is.
    #[must_use]
    pub fn of(cell: &Cell, error: &anyhow::Error) -> Self {
        let class = error.chain().find_map(class).unwrap_or(FailureClass::Other);
        Self::new(cell, class, format!("{error:#}"))
    }
}

fn class(cause: &(dyn std::error::Error + 'static)) -> Option<FailureClass> {
    use smartkv_core::Error as Core;
    if let Some(error) = cause.downcast_ref::<Core>() {
        return match error {
            Core::Budget { .. } => Some(FailureClass::Budget),
            Core::NotFinite { .. } => Some(FailureClass::NotFinite),
            Core::Unknown { .. } | Core::Parameter { .. } | Core::Format { .. } => {
                Some(FailureClass::Config)
            }
            _ => None,
        };
    }
    if let Some(EvalError::NotFinite { .. }) = cause.downcast_ref::<EvalError>() {
        return Some(FailureClass::NotFinite);
    }
    if cause.downcast_ref::<ConfigError>().is_some() {
        return Some(FailureClass::Config);
    }
    match cause.downcast_ref::<ExperimentError>() {
        Some(ExperimentError::InputChanged { .. }) => return Some(FailureClass::Input),
        Some(ExperimentError::Store { .. }) => return Some(FailureClass::Disk),
        _ => {}
    }
    if cause.downcast_ref::<AssetError>().is_some() {
        return Some(FailureClass::Input);
    }
    cause
        .downcast_ref::<io::Error>()
        .map(|_| FailureClass::Disk)
}
