//! Telling somebody how far a measurement is.

/// Receives the progress of a driver; counts are tokens run through the model.
pub trait Progress {
    /// A measurement of `total` tokens begins.
    fn begin(&self, total: usize);
    /// `tokens` more are done.
    fn advance(&self, tokens: usize);
    /// What is being done now.
    fn message(&self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _total: usize) {}
    fn advance(&self, _tokens: usize) {}
    fn message(&self, _text: &str) {}
}
