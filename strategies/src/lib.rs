//! SmartKV and its parts: trackers say which tokens matter, allocators spend the budget.
#![forbid(unsafe_code)]

pub mod allocators;
mod smartkv;
pub mod trackers;

pub use smartkv::SmartKv;
