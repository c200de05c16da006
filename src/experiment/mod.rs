//! Experiments: one measurement (settings in, one record out), and many (a grid, its cells, the
//! store of their records, and what runs them).

pub mod analyze;
mod calibrate;
mod cell;
mod compare;
mod error;
mod estimate;
mod evaluate;
mod failure;
mod grid;
mod journal;
pub mod launch;
mod needles;
mod plan;
mod record;
pub(crate) mod resident;
mod runner;
mod search;
mod settings;
mod store;
mod tasks;

pub use calibrate::{CalibrationRun, calibrate, check_calibratable};
pub use cell::{
    CELL_SCHEMA, Cell, CellId, CellModel, CellResult, CellStrategy, CellTask, CellText,
    EvalMeasure, Inputs, Measure, TasksMeasure, run_cell,
};
pub use compare::{Candidate, CompareRecord, Comparison, Row, RowResult, compare};
pub use error::{ExperimentError, store_error};
pub use estimate::{Estimate, estimate};
pub use evaluate::{EvalJournals, Evaluation, evaluate};
pub use failure::{Failure, FailureClass};
pub use grid::{Combination, Grid, GridFile, GridSet, SHIPPED_GRIDS};
pub use journal::{RunJournal, WindowsJournal};
pub use plan::{Plan, PlannedCell};
pub use record::{
    CacheRecord, Environment, EvalRecord, NeedleRecord, NeedleSample, ProtocolRecord,
    QualityRecord, ReferenceRecord, Samples, SpeedRecord, Tasks,
};
pub use runner::{
    CellOutcome, EXIT_BUSY, EXIT_STORE, HandedCell, RunOptions, RunSummary, Watch, one_cell,
    run_plan,
};
pub use search::{RungRecord, Rungs, Search, SearchRecord, Standing, first_rung, search};
pub use settings::{
    AskFile, DEFAULT_MODEL, DEFAULT_TEXT, EvalFile, EvalSettings, NeedleFile, WindowsFile,
};
pub use store::{CellLock, CellRecord, Held, Store};
pub use tasks::{StrategyRecord, TaskEvaluation, TaskRecord, TasksRecord, run_tasks};
