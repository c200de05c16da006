//! The paired t-test, and effect sizes.

use super::special::t_two_sided;
use super::{float, mean};
use serde::{Deserialize, Serialize};

/// Student's test of a mean paired difference of zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedT {
    /// Mean difference over its standard error; 0 where both are.
    pub t: f64,
    /// Degrees of freedom: pairs less one.
    pub degrees: usize,
    /// Two-sided p-value.
    pub p_two_sided: f64,
}

/// Paired t-test (Student 1908) of the differences; `None` with fewer than two, or if any is not
/// finite.
///
/// It assumes normal differences: report [`sign_flip`](super::sign_flip) with few units or heavy
/// tails. Equal differences that are not 0 have an infinite t and p = 0.
#[must_use]
pub fn paired_t(differences: &[f64]) -> Option<PairedT> {
    let centre = mean(differences)?;
    let error = standard_deviation(differences)? / float(differences.len()).sqrt();
    let degrees = differences.len() - 1;
    let t = if centre == 0.0 { 0.0 } else { centre / error };
    Some(PairedT {
        t,
        degrees,
        p_two_sided: t_two_sided(t, float(degrees)),
    })
}

/// Sample standard deviation (divisor `n - 1`); `None` with fewer than two values, or if any is
/// not finite.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1 && squares.is_finite()).then(|| (squares / float(values.len() - 1)).sqrt())
}

/// Cohen's d of paired samples, `d_z`: mean difference in standard deviations of the differences
/// (Cohen 1988, Lakens 2013). `None` where these are 0 or unknown.
#[must_use]
pub fn cohens_d_z(differences: &[f64]) -> Option<f64> {
    let spread = standard_deviation(differences)?;
    (spread > 0.0).then_some(mean(differences)? / spread)
}

/// Cliff's delta (1993): how much more often a value of `a` is above one of `b` than below it, in
/// `-1..=1`. It ignores pairing. `None` of nothing or NaN.
#[must_use]
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> Option<f64> {
    let known = !a.iter().chain(b).any(|value| value.is_nan());
    if a.is_empty() || b.is_empty() || !known {
        return None;
    }
    let mut sorted = b.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (above, below) = a.iter().fold((0, 0), |(above, below), own| {
        let less = sorted.partition_point(|other| other < own);
        let more = sorted.len() - sorted.partition_point(|other| other <= own);
        (above + less, below + more)
    });
    Some((float(above) - float(below)) / (float(a.len()) * float(b.len())))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    #[test]
    fn degenerate_samples() {
        assert_eq!(paired_t(&[1.0]), None);
        assert_eq!(paired_t(&[1.0, f64::NAN]), None);
        assert_eq!(paired_t(&[0.0; 4]).unwrap().p_two_sided, 1.0);
        assert_eq!(paired_t(&[1.0; 4]).unwrap().p_two_sided, 0.0);
        assert_eq!(cohens_d_z(&[1.0; 4]), None);
        assert_eq!(cliffs_delta(&[], &[1.0]), None);
        assert_eq!(cliffs_delta(&[f64::NAN], &[1.0]), None);
    }

    #[test]
    fn cliffs_delta_counts_pairs() {
        assert_eq!(cliffs_delta(&[2.0, 3.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(cliffs_delta(&[0.0, -0.0], &[0.0]), Some(0.0));
        assert_eq!(cliffs_delta(&[1.0, 2.0], &[1.0, 3.0]), Some(-0.25));
    }
}
