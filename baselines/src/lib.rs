//! Published and plain KV-cache strategies to compare against: one file per method.
#![forbid(unsafe_code)]

mod f16;
mod uniform;

pub use f16::FullPrecision;
pub use uniform::Uniform;
