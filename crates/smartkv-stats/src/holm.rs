//! Many comparisons at once.

use super::float;

/// Holm's step-down adjustment (1979): p-values that may be compared with one level although
/// there are many, in the order given. It holds whatever the tests depend on.
///
/// A p-value that is NaN counts as 1.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (before, index) in order(p_values).into_iter().enumerate() {
        let left = float(p_values.len() - before);
        least = least.max((left * known(p_values[index])).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}

/// What [`holm`] multiplies each p-value by: a comparison of its rank is made at the level divided
/// by this.
#[must_use]
pub fn holm_factors(p_values: &[f64]) -> Vec<usize> {
    let mut factors = vec![1; p_values.len()];
    for (before, index) in order(p_values).into_iter().enumerate() {
        factors[index] = p_values.len() - before;
    }
    factors
}

fn known(p: f64) -> f64 {
    if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }
}

/// Indices by rising p-value.
fn order(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| known(p_values[a]).total_cmp(&known(p_values[b])));
    order
}
