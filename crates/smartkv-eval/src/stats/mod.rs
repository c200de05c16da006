//! Small, exact, seeded statistics for paired comparisons.
//!
//! The unit of resampling is a window or a prompt, never a token: tokens of one window are
//! correlated, and pretending otherwise makes every interval too narrow.

mod bootstrap;
mod permutation;
mod proportion;
mod quantile;

pub use bootstrap::{Bootstrap, Difference, Estimate, Interval, bootstrap_mean, paired_difference};
pub use permutation::sign_flip;
pub use proportion::{McNemar, Proportion, Z_95, Z_99, mcnemar_exact, mcnemar_paired, wilson};
pub use quantile::{Quantiles, mean, median, quantile};

/// `n` as a float: counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn float(n: usize) -> f64 {
    n as f64
}
