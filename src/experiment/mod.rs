//! Measuring or calibrating one strategy on one model: settings in, one record out.

pub mod analyze;
mod calibrate;
mod compare;
mod evaluate;
mod journal;
mod needles;
mod record;
mod settings;
mod tasks;

pub use calibrate::{CalibrationRun, calibrate, check_calibratable};
pub use compare::{Candidate, CompareRecord, Comparison, Row, RowResult, compare};
pub use evaluate::{Evaluation, evaluate};
pub use journal::RunJournal;
pub use record::{
    CacheRecord, Environment, EvalRecord, NeedleRecord, NeedleSample, ProtocolRecord,
    QualityRecord, ReferenceRecord, Samples, SpeedRecord, Tasks,
};
pub use settings::{AskFile, EvalFile, EvalSettings, NeedleFile, WindowsFile};
pub use tasks::{StrategyRecord, TaskEvaluation, TaskRecord, TasksRecord, run_tasks};
