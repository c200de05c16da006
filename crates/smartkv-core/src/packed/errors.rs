//! What rows would lose in another format.

use super::PackedRows;
use crate::format::Format;
use crate::kernels::Kernels;
use std::ops::Range;

impl PackedRows {
    /// Mean squared error of an element of each of `rows` once stored in each of `formats`,
    /// measured by doing so: `[formats, rows]`.
    ///
    /// # Panics
    /// When there are fewer rows, `out` has another length, or the rows do not fill the blocks of
    /// a format.
    pub fn errors(
        &self,
        kernels: &dyn Kernels,
        rows: Range<usize>,
        formats: &[Format],
        out: &mut [f32],
    ) {
        let Self { head_dim, role, .. } = *self;
        assert_eq!(rows.len() * formats.len(), out.len(), "one error a row");
        let count = rows.len();
        if count == 0 {
            return;
        }
        let mut exact = Vec::with_capacity(count * head_dim);
        for row in rows {
            self.gather(kernels, row, &mut exact);
        }
        let mut stored = vec![0.0; exact.len()];
        for (index, &format) in formats.iter().enumerate() {
            let (done, out) = out.split_at_mut(index * count);
            // Tiers often share the format of their keys or values with another.
            if let Some(same) = formats[..index].iter().position(|f| *f == format) {
                out[..count].copy_from_slice(&done[same * count..][..count]);
                continue;
            }
            let mut packed = Self::new(format, role, head_dim);
            packed.push(kernels, &exact);
            packed.decode(kernels, &mut stored);
            let pairs = exact
                .chunks_exact(head_dim)
                .zip(stored.chunks_exact(head_dim));
            for (out, (exact, stored)) in out.iter_mut().zip(pairs) {
                let squares = exact.iter().zip(stored).map(|(a, b)| (a - b).powi(2));
                #[expect(clippy::cast_precision_loss, reason = "at most 512 channels")]
                let mean = squares.sum::<f32>() / head_dim as f32;
                *out = mean;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bits;
    use crate::kernels::Reference;
    use crate::packed::Role;

    #[test]
    fn errors_are_those_of_storing_the_rows() {
        let head_dim = 32;
        let mut rows = PackedRows::new(Format::F16, Role::Keys, head_dim);
        let x: Vec<f32> = (0u16..20 * 32)
            .map(|i| (f32::from(i) * 0.7).sin() * f32::from(i % 7))
            .collect();
        rows.push(&Reference, &x);
        let coarse = Format::asymmetric(Bits::B2, 0);
        let fine = Format::asymmetric(Bits::B8, 0);
        let mut errors = vec![-1.0; 4 * 17];
        rows.errors(
            &Reference,
            2..19,
            &[Format::F16, fine, coarse, fine],
            &mut errors,
        );
        let [none, eight, two, again] = [0, 1, 2, 3].map(|f| &errors[f * 17..][..17]);
        assert!(none.iter().all(|e| *e == 0.0), "f16 rows lose nothing");
        assert_eq!(eight, again);
        let mut spreads = vec![0.0; 17];
        rows.spreads(&Reference, 2..19, &mut spreads);
        for ((two, eight), spread) in two.iter().zip(eight).zip(spreads) {
            assert!(*eight < 1e-2 * two);
            // The closed form is for values that spread evenly: right within a small factor.
            let expected = coarse.loss() * spread;
            assert!((0.2 * expected..5.0 * expected).contains(two));
        }
    }
}
