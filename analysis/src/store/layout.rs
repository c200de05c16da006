//! Where a store keeps what. Writer and readers take the paths from here.

use std::path::{Path, PathBuf};

/// The folder that is meant unless told.
pub const DEFAULT: &str = "results";

/// Version of the records of cells.
pub const CELL_SCHEMA: &str = "smartkv.cell/1";
/// Version of the records of runs.
pub const RUN_SCHEMA: &str = "smartkv.run/1";
/// Version of plans.
pub const PLAN_SCHEMA: &str = "smartkv.plan/1";

/// Results of one evaluation, inside the record of a cell.
pub const EVAL_SCHEMA: &str = "smartkv.eval/1";
/// Results of tasks, inside the record of a cell.
pub const TASKS_SCHEMA: &str = "smartkv.tasks/1";

/// The paths of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The store in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What repeats of each finished cell.
    #[must_use]
    pub fn cells(&self) -> PathBuf {
        self.root.join("cells")
    }

    /// What does not repeat: times, host, memory of the process.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Cells that failed.
    #[must_use]
    pub fn failed(&self) -> PathBuf {
        self.root.join("failed")
    }

    /// Expansions of grids.
    #[must_use]
    pub fn plans(&self) -> PathBuf {
        self.root.join("plans")
    }

    /// Records of `smartkv analyze` that were placed here.
    #[must_use]
    pub fn analyses(&self) -> PathBuf {
        self.root.join("analyses")
    }

    /// Unfinished runs of tasks.
    #[must_use]
    pub fn journals(&self) -> PathBuf {
        self.root.join("journals")
    }

    /// Who works on what.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// What was submitted to a cluster.
    #[must_use]
    pub fn submissions(&self) -> PathBuf {
        self.root.join("submissions")
    }

    /// What the jobs of a cluster print.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Records that were put aside.
    #[must_use]
    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// The record of a cell.
    #[must_use]
    pub fn cell(&self, id: &str) -> PathBuf {
        file(&self.cells(), id)
    }

    /// The facts of the run that made it.
    #[must_use]
    pub fn run(&self, id: &str) -> PathBuf {
        file(&self.runs(), id)
    }

    /// Its failure.
    #[must_use]
    pub fn failure(&self, id: &str) -> PathBuf {
        file(&self.failed(), id)
    }

    /// A record of `smartkv analyze` by name.
    #[must_use]
    pub fn analysis(&self, name: &str) -> PathBuf {
        file(&self.analyses(), name)
    }

    /// A plan by name.
    #[must_use]
    pub fn plan(&self, name: &str) -> PathBuf {
        file(&self.plans(), name)
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}
