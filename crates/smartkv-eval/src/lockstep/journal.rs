//! Finished windows, kept while a run goes on.

use crate::error::Result;
use crate::fidelity::TokenRecord;
use crate::subject::UnitMemory;
use serde::{Deserialize, Serialize};

/// A finished window: all that the run's result needs of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptWindow {
    /// Index among the windows.
    pub window: usize,
    /// First token of the window in the text's token stream.
    pub start: usize,
    /// Every scored token.
    pub tokens: Vec<TokenRecord>,
    /// What the caches held, the reference first; `None` where nobody looked.
    pub memory: Vec<Option<UnitMemory>>,
}

/// Keeps finished windows, so that an interrupted run goes on where it stopped.
pub trait WindowJournal {
    /// The window with this index and start, if an earlier run has finished it.
    fn recall(&self, window: usize, start: usize) -> Option<KeptWindow>;

    /// Keeps a finished window.
    ///
    /// # Errors
    /// A disk that takes no more.
    fn keep(&mut self, window: &KeptWindow) -> Result<()>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWindows;

impl WindowJournal for NoWindows {
    fn recall(&self, _window: usize, _start: usize) -> Option<KeptWindow> {
        None
    }

    fn keep(&mut self, _window: &KeptWindow) -> Result<()> {
        Ok(())
    }
}
