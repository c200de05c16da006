//! Finished samples, kept while a run goes on.

use super::record::SampleRecord;
use crate::error::Result;

/// Keeps finished samples, so that an interrupted run goes on where it stopped.
pub trait Journal {
    /// The record of a sample that an earlier run has finished.
    fn recall(&self, part: &str, index: usize) -> Option<SampleRecord>;

    /// Keeps a finished sample.
    ///
    /// # Errors
    /// A disk that takes no more.
    fn keep(&mut self, record: &SampleRecord) -> Result<()>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn recall(&self, _part: &str, _index: usize) -> Option<SampleRecord> {
        None
    }

    fn keep(&mut self, _record: &SampleRecord) -> Result<()> {
        Ok(())
    }
}
