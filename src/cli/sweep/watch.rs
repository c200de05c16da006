//! Progress of a run: a bar on a terminal, a line for every finished cell everywhere.

use crate::experiment::{CellOutcome, PlannedCell, Watch};
use crate::progress;
use indicatif::ProgressBar;
use std::cell::{Cell, RefCell};

/// Tells on standard error what becomes of cells.
#[derive(Default)]
pub(super) struct Lines {
    bar: RefCell<Option<ProgressBar>>,
    total: Cell<usize>,
    count: Cell<usize>,
}

impl Lines {
    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line above the bar, if there is one.
    fn print(&self, line: &str) {
        match self.bar.borrow().as_ref() {
            Some(bar) if !bar.is_hidden() => bar.println(line),
            _ => eprintln!("{line}"),
        }
    }
}

impl Watch for Lines {
    fn begin(&self, missing: usize) {
        self.total.set(missing);
        if missing > 0 {
            let bar = progress::bar(missing as u64, "cells");
            // Times are known after the first cell; until then the clock shows that it runs.
            bar.enable_steady_tick(std::time::Duration::from_millis(500));
            self.bar.replace(Some(bar));
        }
    }

    fn finished(&self, cell: &PlannedCell, outcome: &CellOutcome, seconds: f64) {
        self.count.set(self.count.get() + 1);
        let what = match outcome {
            CellOutcome::Done => format!("{seconds:.1} s"),
            CellOutcome::Cached => "was there".to_string(),
            CellOutcome::Failed(class, error) => {
                let first = error.lines().next().unwrap_or_default();
                format!("FAILED ({class}): {first}")
            }
        };
        let (count, total) = (self.count.get(), self.total.get());
        self.print(&format!("[{count}/{total}] {}: {what}", cell.name()));
        if let Some(bar) = self.bar.borrow().as_ref() {
            bar.inc(1);
        }
    }

    fn warned(&self, line: &str) {
        self.print(line);
    }
}
