//! Tasks: what a model is asked over a compressed context, and how its answers are scored.
//!
//! A task is a plugin in one file: a struct with `#[config]`, registered by `#[task("name")]`. It
//! says its [`Part`]s, yields [`Sample`]s and scores [`Answer`]s; [`TaskRun`] does the rest: the
//! context is prefilled and compressed once, the cache forked for each question, so that several
//! questions share a context, and every cache sees the same prompts.

mod answer;
mod context;
mod data;
mod journal;
mod options;
mod prompt;
mod record;
mod run;
mod sample;
mod shared;
mod summary;
mod verdicts;

pub use context::TaskCx;
pub use data::{DataFile, DataSource, Haystack, NoData, Source};
pub use journal::{Journal, NoJournal};
pub use options::{PromptStyle, Shard, TaskOptions};
pub use record::{Attempt, SampleRecord, Stop};
pub use run::{Side, TaskRun, TaskTiming};
pub use sample::{Answer, Ask, Forced, Gold, Part, Sample, Score};
pub use summary::{Compared, PartResult, SideResult, TaskResult};

use crate::error::Result;
use serde_json::Value;
use smartkv_core::registry::{self, Kind};
use std::fmt;

/// The samples of one part, made or read one at a time.
pub type Samples<'a> = Box<dyn Iterator<Item = Result<Sample>> + 'a>;

/// Something a model is asked, and how its answers are scored.
///
/// A value is a configuration: immutable, serialisable, with its name under `type`. Equal
/// configurations, data, tokenizers and seeds yield equal samples.
#[typetag::serde(tag = "type")]
pub trait Task: fmt::Debug + Send + Sync {
    /// The parts that are scored apart, such as the thirteen of RULER or the cells of a needle
    /// grid; one with an empty name if there is nothing to tell apart.
    ///
    /// # Errors
    /// A configuration that asks for nothing or cannot be.
    fn parts(&self, cx: &TaskCx<'_>) -> Result<Vec<Part>>;

    /// The samples of `part` in their fixed order. Samples that follow each other with the same
    /// context share its prefill.
    ///
    /// # Errors
    /// Data that is missing, or a configuration that cannot be; a sample that cannot be read is an
    /// item of the iterator.
    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>>;

    /// Scores one answer, 1 being the best.
    ///
    /// # Errors
    /// An answer key that cannot be read.
    fn score(&self, part: &Part, sample: &Sample, answer: &Answer) -> Result<Score>;

    /// Scores one answer beside the one that the reference gave to the same prompt, its own answer
    /// too; there is none if the reference failed. By default an answer is scored alone: this is
    /// for tasks whose right answer is whatever the exact cache says.
    ///
    /// # Errors
    /// See [`score`](Self::score).
    fn score_against(
        &self,
        part: &Part,
        sample: &Sample,
        answer: &Answer,
        reference: Option<&Answer>,
    ) -> Result<Score> {
        let _ = reference;
        self.score(part, sample, answer)
    }
}

/// Builds a task from its configuration: an object with its name under `type`.
///
/// # Errors
/// An unknown name, an unknown field, a value of the wrong type or out of its range.
pub fn task(config: &Value) -> smartkv_core::Result<Box<dyn Task>> {
    let refuse = |what: String, expected: String| {
        Err(smartkv_core::Error::parameter(what, config, expected))
    };
    let Some(name) = config.get("type").and_then(Value::as_str) else {
        let expected = "expected an object with the task's name under `type`";
        return refuse("task".to_owned(), expected.to_owned());
    };
    registry::find(Kind::Task, name)?;
    let task: Box<dyn Task> = match serde_json::from_value(config.clone()) {
        Ok(task) => task,
        Err(error) => return refuse(format!("task `{name}`"), error.to_string()),
    };
    let complete = serde_json::to_value(&task).unwrap_or_default();
    registry::check_configuration(Kind::Task, &complete)?;
    Ok(task)
}
