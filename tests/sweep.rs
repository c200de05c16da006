//! Grids, cells and the store, through the program: planned, run, killed, damaged, run again.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "sweep/failures.rs"]
mod failures;
#[path = "sweep/grids.rs"]
mod grids;
#[path = "sweep/killed.rs"]
mod killed;
#[path = "cli/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "sweep/runs.rs"]
mod runs;
#[path = "sweep/searches.rs"]
mod searches;
#[path = "sweep/study.rs"]
mod study;
