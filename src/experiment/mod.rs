//! Measuring or calibrating one strategy on one model: settings in, one record out.

mod calibrate;
mod compare;
mod evaluate;
mod needles;
mod record;
mod settings;

pub use calibrate::{CalibrationRun, calibrate, check_calibratable};
pub use compare::{Candidate, CompareRecord, Comparison, Row, RowResult, compare};
pub use evaluate::{Evaluation, evaluate};
pub use record::{
    CacheRecord, Environment, EvalRecord, NeedleRecord, NeedleSample, ProtocolRecord,
    QualityRecord, ReferenceRecord, Samples, SpeedRecord, Tasks,
};
pub use settings::{EvalFile, EvalSettings, NeedleFile, WindowsFile};
