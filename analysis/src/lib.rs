//! From records to statistics, tables and figures. Knows records and no model.
//!
//! A [`Store`] holds what a grid of experiments has finished; a [`Study`] is one plan of it with
//! the numbers of its cells; [`tables`] sums a study up; [`table`] writes that down.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod compare;
pub mod error;
pub mod figure;
pub mod figures;
pub mod front;
pub mod group;
pub mod label;
pub mod measure;
pub mod pairing;
pub mod pooled;
pub mod ranking;
pub mod store;
pub mod study;
pub mod summary;
pub mod table;
pub mod tables;

pub use error::{AnalysisError, Result};
pub use label::{Label, Labels};
pub use store::Store;
pub use study::Study;
