//! Sums of weighted rows of floats.

use super::GUARD;
use super::random::Random;
use super::sum::Sum;
use smartkv_core::Kernels;

/// Checks sums of weighted rows: of no row, one and several, next to each other and apart.
///
/// # Panics
/// At the first difference.
pub fn add_rows(kernels: &dyn Kernels) {
    let name = kernels.name();
    let mut random = Random::new(11);
    for len in (0..=35).chain([64, 100, 1000]) {
        for rows in [0, 1, 2, 3, 8, 33] {
            for gap in [0, 5] {
                let stride = len + gap;
                let label = format!("{name}, {rows} rows of {len}, {gap} apart");
                let mut x = vec![f32::NAN; rows * stride];
                for row in x.chunks_exact_mut(stride.max(1)) {
                    row[..len].copy_from_slice(&random.values(len));
                }
                // What lies between rows must not be read, nor what follows the last one exist.
                x.truncate((rows * stride).saturating_sub(gap));
                let weights = random.values(rows);
                let mut out = random.values(len);
                let before = out.clone();
                out.extend([GUARD; 3]);
                kernels.add_rows(&x, stride, &weights, &mut out[..len]);
                for t in 0..len {
                    let column = weights.iter().zip(x.iter().skip(t).step_by(stride));
                    let mut want = Sum::of(column);
                    want.add(before[t], 1.0);
                    want.check(out[t], || format!("add_rows: entry {t}: {label}"));
                }
                assert_eq!(out[len..], [GUARD; 3], "add_rows: beyond: {label}");
            }
        }
    }
}
