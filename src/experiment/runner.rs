//! Runs what is missing of a plan, each cell in a process of its own.

mod one;
mod pool;

pub use one::one_cell;
pub use pool::{HandedCell, RunOptions, RunSummary, Watch, run_plan};

use super::failure::FailureClass;

/// Exit code of a process that found its cell taken by another: `EX_TEMPFAIL` of `sysexits.h`.
pub const EXIT_BUSY: u8 = 75;

/// Exit code of a process that could not write its store: `EX_IOERR` of `sysexits.h`.
pub const EXIT_STORE: u8 = 74;

/// What became of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellOutcome {
    /// It was run, and its record is written.
    Done,
    /// The store had its record.
    Cached,
    /// It failed, and that is recorded.
    Failed(FailureClass, String),
}
