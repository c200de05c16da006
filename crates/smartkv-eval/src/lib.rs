//! Measurements of a KV cache: perplexity, fidelity to a reference cache, tasks over a compressed
//! context, the text metrics of benchmarks, and the statistics all are reported with.
//!
//! A driver knows a cache only as a [`Subject`]: the hook the model calls, and a look at it after
//! each step. [`lockstep()`] runs a reference and a candidate over the same tokens; a [`TaskRun`]
//! asks caches the samples of a [`Task`]. Results repeat to the bit and serialise; times are
//! returned apart from them.
//!
//! ```no_run
//! use smartkv_eval::{LockstepOptions, NoProgress, Unwatched, lockstep};
//! use smartkv_host::{LoadOptions, Model, PlainCache};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::load("model.gguf", LoadOptions::default())?;
//! let text = model.tokenizer().encode(&std::fs::read_to_string("text.txt")?, true)?;
//! let mut exact = PlainCache::new(model.cache_shape(1)?);
//! let mut other = PlainCache::new(model.cache_shape(1)?);
//! let (result, timing) = lockstep(
//!     &model,
//!     &text,
//!     &LockstepOptions::default(),
//!     &mut Unwatched(&mut exact),
//!     Some(&mut Unwatched(&mut other)),
//!     &NoProgress,
//! )?;
//! println!("perplexity {}", result.reference.perplexity);
//! println!("{:?}", timing.reference.speed());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// `#[task]` names this crate from outside; its own tasks need it too.
extern crate self as smartkv_eval;

pub mod attention;
mod attention_error;
mod comparison;
pub mod error;
mod fan_out;
pub mod fidelity;
mod foresight;
pub mod lockstep;
pub mod metrics;
pub mod perplexity;
pub mod progress;
pub mod protocol;
pub mod rows;
pub mod speed;
mod stepper;
pub mod subject;
pub mod task;
pub mod tasks;
pub mod windows;

pub use attention::{AttentionProfile, ProfileOptions, attention_profile};
pub use attention_error::{LayerError, attention_errors};
pub use comparison::{Compared, ComparisonResult, compare};
pub use error::{EvalError, Result};
pub use fan_out::FanOut;
pub use fidelity::{Fidelity, TokenFidelity, TokenRecord, WindowFidelity};
pub use lockstep::{
    KeptWindow, LockstepOptions, LockstepResult, LockstepTiming, NoWindows, WindowJournal,
    WindowRecord, lockstep, lockstep_from,
};
pub use perplexity::Perplexity;
pub use progress::{NoProgress, Progress};
pub use protocol::Protocol;
pub use smartkv_stats as stats;
pub use smartkv_stats::Bootstrap;
use smartkv_stats::random;
pub use speed::{PhaseTime, Rate, Speed, Timing};
pub use subject::{
    Measured, MemorySample, MemorySummary, Phase, StepInfo, Subject, UnitMemory, Unwatched, Watched,
};
pub use task::{Haystack, PromptStyle, Sample, Task, TaskOptions, TaskResult, TaskRun};
pub use windows::{Cut, WindowCount, Windows};
