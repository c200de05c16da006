//! The smartkv program: a real decoder, strategies for its KV cache, and honest measurements.
//!
//! A crate that brings its own strategies gets the whole command line:
//!
//! ```no_run
//! // use my_strategies as _;  // keeps the crate linked, so that it registers
//! fn main() -> std::process::ExitCode {
//!     smartkv::main()
//! }
//! ```
#![forbid(unsafe_code)]

pub mod assets;
mod cli;
pub mod config;
pub mod experiment;
mod progress;
pub mod track;

// A crate that nobody names is not linked, and then registers nothing.
use smartkv_baselines as _;
use smartkv_strategies as _;

pub use cli::main;
