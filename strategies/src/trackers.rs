//! Trackers: attention observed so far, folded into one score per token.

mod ema;

pub use ema::Ema;
