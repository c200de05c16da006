//! The progress of a measurement on standard error.

use crate::progress;
use indicatif::ProgressBar;
use smartkv_eval::Progress;
use std::cell::RefCell;

/// Shows the progress of a measurement.
#[derive(Default)]
pub(super) struct Bar(RefCell<Option<ProgressBar>>);

impl Bar {
    pub(super) fn finish(&self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn begin(&self, total: usize) {
        self.finish();
        self.0.replace(Some(progress::bar(total as u64, "")));
    }

    fn advance(&self, tokens: usize) {
        if let Some(bar) = self.0.borrow().as_ref() {
            bar.inc(tokens as u64);
        }
    }

    fn message(&self, text: &str) {
        if let Some(bar) = self.0.borrow().as_ref() {
            bar.set_message(text.to_string());
        }
    }
}
