//! The bound on scores.

use super::random::Random;
use smartkv_core::Kernels;

/// Checks bounded scores against f64, from far below the bound to far beyond it.
///
/// # Panics
/// At the first difference.
pub fn softcap(kernels: &dyn Kernels) {
    let name = kernels.name();
    let mut random = Random::new(11);
    for len in (0..=70).chain([255, 1000]) {
        for (scale, offset, cap) in [(0.1, 0.0, 30.0), (20.0, -3.5, 50.0), (1e4, 1.0, 2.0)] {
            let x: Vec<f32> = random.values(len).iter().map(|v| v * scale).collect();
            let mut got = x.clone();
            kernels.softcap(&mut got, offset, cap);
            for (x, got) in x.iter().zip(got) {
                let wide = f64::from(cap);
                let want = wide * (f64::from(x + offset) / wide).tanh();
                let off = (f64::from(got) - want).abs();
                assert!(
                    off <= wide / f64::from(1 << 20),
                    "softcap: {x} + {offset} within {cap} is {got} for {want}: {name}"
                );
            }
        }
    }
    let mut x = [f32::NAN];
    kernels.softcap(&mut x, 0.0, 2.0);
    assert!(x[0].is_nan(), "softcap: NaN is lost: {name}");
}
