//! Small, exact, seeded statistics for paired comparisons.
//!
//! The unit of resampling is a window or a prompt, never a token: tokens of one window are
//! correlated, and pretending otherwise makes every interval too narrow.
//!
//! | question | answer |
//! |---|---|
//! | how large is a mean difference? | [`paired_difference`], [`bca_interval`] where it is skewed |
//! | and of any other statistic? | [`Resampled`] |
//! | may it be chance? | [`sign_flip`]; [`wilcoxon`] and [`paired_t`] for comparison with others |
//! | do outcomes differ? | [`mcnemar_exact`]; [`wilson`] for one accuracy |
//! | many comparisons? | [`holm`] |
//! | how large is the effect? | [`cohens_d_z`], [`Wilcoxon::rank_biserial`], [`cliffs_delta`] |
//! | could it have been seen? | [`detectable_mean`], [`detectable_mcnemar`] |
//! | which trade-offs are best? | [`non_dominated`], [`hypervolume`] |
//! | what may be said? | [`Judge`], [`Verdict`] |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bca;
mod bootstrap;
mod detectable;
mod error;
mod front;
mod holm;
mod permutation;
mod proportion;
mod quantile;
pub mod random;
mod resample;
pub mod special;
mod student;
mod verdict;
mod wilcoxon;

pub use bca::{bca_interval, bootstrap_p};
pub use bootstrap::{
    Bootstrap, Difference, Estimate, Interval, bootstrap_mean, bootstrap_mean_within,
    paired_difference,
};
pub use detectable::{Power, detectable_mcnemar, detectable_mean};
pub use error::{Result, StatsError};
pub use front::{hypervolume, non_dominated};
pub use holm::{holm, holm_factors};
pub use permutation::sign_flip;
pub use proportion::{McNemar, Proportion, Z_95, Z_99, mcnemar_exact, mcnemar_paired, wilson};
pub use quantile::{Quantiles, mean, median, quantile};
pub use resample::{Resampled, draw, drawable};
pub use student::{PairedT, cliffs_delta, cohens_d_z, paired_t, standard_deviation};
pub use verdict::{Judge, Verdict};
pub use wilcoxon::{Wilcoxon, wilcoxon};

/// `n` as a float: counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
#[must_use]
pub fn float(n: usize) -> f64 {
    n as f64
}
