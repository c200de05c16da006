//! The exponential.

use super::random::Random;
use super::sum::Sum;
use super::tolerance;
use smartkv_core::Kernels;

/// Checks the exponential: values, the maximum, and the sum.
///
/// # Panics
/// At the first difference.
pub fn softmax_part(kernels: &dyn Kernels) {
    let name = kernels.name();
    let mut random = Random::new(7);
    for len in (0..=70).chain([255, 1000]) {
        for scale in [1.0, 30.0, 1000.0] {
            let mut x: Vec<f32> = random.values(len).iter().map(|v| v * scale).collect();
            check_softmax(kernels, &x, &format!("{name}, {len} scores"));
            for hidden in (0..len).step_by(3) {
                x[hidden] = f32::NEG_INFINITY;
            }
            check_softmax(kernels, &x, &format!("{name}, {len} scores, some hidden"));
        }
        let hidden = vec![f32::NEG_INFINITY; len];
        check_softmax(
            kernels,
            &hidden,
            &format!("{name}, {len} scores, all hidden"),
        );
    }
    for at in 0..40 {
        let mut x = random.values(40);
        x[at] = f32::NAN;
        let (_, sum) = kernels.softmax_part(&mut x);
        assert!(sum.is_nan(), "softmax: NaN at {at} is lost: {name}");
    }
    // The whole range of the exponential, finely.
    let mut x: Vec<f32> = (0..=100_000).map(|i| i as f32 * -1.1e-3).collect();
    x.reverse();
    check_softmax(kernels, &x, &format!("{name}, a ramp"));
}

fn check_softmax(kernels: &dyn Kernels, x: &[f32], label: &str) {
    let want_max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut got = x.to_vec();
    let (max, sum) = kernels.softmax_part(&mut got);
    assert_eq!(max, want_max, "softmax: maximum: {label}");
    let mut want_sum = Sum::default();
    for (&x, &got) in x.iter().zip(&got) {
        let want = if x == f32::NEG_INFINITY {
            0.0
        } else {
            f64::from(x - max).exp()
        };
        let off = (f64::from(got) - want).abs();
        let accepted = if x == f32::NEG_INFINITY {
            0.0
        } else {
            (want * tolerance::EXP).max(tolerance::EXP_SMALLEST)
        };
        assert!(
            off <= accepted,
            "softmax: exp({}) is {got} for {want}: {label}",
            x - max
        );
        want_sum.add(got, 1.0);
    }
    want_sum.check(sum, || format!("softmax: sum: {label}"));
    let mut again = x.to_vec();
    assert_eq!(
        kernels.softmax_part(&mut again),
        (max, sum),
        "softmax: second run: {label}"
    );
    assert_eq!(again, got, "softmax: second run: {label}");
}
