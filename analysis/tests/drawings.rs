//! From records to the data of figures, and folders of figures.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::float_cmp, reason = "exact where it is exact")]

mod common;
#[path = "drawings/folders.rs"]
mod folders;
#[path = "drawings/plans.rs"]
mod plans;
#[path = "drawings/records.rs"]
mod records;

use smartkv_analysis::figures::Options;
use smartkv_stats::Bootstrap;

/// A few resamples, as in the tests of tables.
fn options() -> Options {
    Options {
        bootstrap: Bootstrap {
            resamples: 300,
            ..Bootstrap::default()
        },
        ..Options::default()
    }
}
