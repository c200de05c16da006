//! The row-wise operations between matmuls. Each row is computed alone and in order, so results
//! do not depend on the number of threads.

use rayon::prelude::*;

/// Elements below which handing work to other threads costs more than it saves.
const PARALLEL: usize = 1 << 15;

/// Root-mean-square norm of each row of `x` (`[rows, weight.len()]`) into `out`.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    let norm = |(row, out): (&[f32], &mut [f32])| {
        #[expect(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
        let mean = row.iter().map(|x| x * x).sum::<f32>() / width as f32;
        let factor = 1.0 / (mean + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(row).zip(weight) {
            *out = x * factor * weight;
        }
    };
    if x.len() < PARALLEL {
        x.chunks_exact(width)
            .zip(out.chunks_exact_mut(width))
            .for_each(norm);
    } else {
        x.par_chunks_exact(width)
            .zip(out.par_chunks_exact_mut(width))
            .for_each(norm);
    }
}

/// `gate = silu(gate) * up`, element by element.
pub(crate) fn silu_mul(gate: &mut [f32], up: &[f32]) {
    let one = |(gate, up): (&mut f32, &f32)| *gate = *gate / (1.0 + (-*gate).exp()) * up;
    if gate.len() < PARALLEL {
        gate.iter_mut().zip(up).for_each(one);
    } else {
        gate.par_iter_mut().zip(up).for_each(one);
    }
}

/// `x += y`, element by element.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rms_norm_scales_to_unit_mean_square() {
        let mut out = [f32::NAN; 4];
        rms_norm(&[3.0, -4.0, 0.0, 1.0], &[1.0, 2.0], 0.0, &mut out);
        let root = 12.5f32.sqrt();
        let expect = [3.0 / root, -8.0 / root, 0.0, 2.0 * 2f32.sqrt()];
        for (out, expect) in out.iter().zip(expect) {
            assert!((out - expect).abs() < 1e-6, "{out} {expect}");
        }
    }

    #[test]
    fn silu_saturates_without_overflow() {
        let mut gate = [0.0, 1.0, -200.0, 200.0];
        silu_mul(&mut gate, &[5.0, 1.0, 1.0, 2.0]);
        assert!((gate[1] - 0.731_058_6).abs() < 1e-6);
        assert_eq!((gate[0], gate[2], gate[3]), (0.0, 0.0, 400.0));
    }
}
