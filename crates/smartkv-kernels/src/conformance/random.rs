//! Inputs.

/// A small generator of inputs (splitmix64), so that the suite needs no dependency.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(1 + seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Within 0 .. 1.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }

    /// Around zero, with variance 1.
    pub(super) fn values(&mut self, count: usize) -> Vec<f32> {
        let mut normal = || ((0..3).map(|_| self.uniform()).sum::<f64>() - 1.5) * 2.0;
        (0..count).map(|_| normal() as f32).collect()
    }

    /// Rows with a few channels that are large and shifted, and a large first row. Then come a
    /// constant row, rows of zeros, and one of values too small for a scale; there are constant
    /// channels too: groups without a range, whatever groups are made of.
    pub(super) fn rows(&mut self, rows: usize, head_dim: usize) -> Vec<f32> {
        let mut x = self.values(rows * head_dim);
        for (t, row) in x.chunks_exact_mut(head_dim).enumerate() {
            for (j, v) in row.iter_mut().enumerate() {
                *v = match j % 64 {
                    _ if j % 13 == 5 => *v * 9.0 + 25.0,
                    17 => 0.75,
                    33 => 0.0,
                    34 => -0.0,
                    35 => [0.0, -0.0][t % 2],
                    _ => *v,
                };
                if t == 0 && !(33..36).contains(&(j % 64)) {
                    *v *= 20.0;
                }
            }
            match t {
                1 => row.fill(0.75),
                2 => row.fill(0.0),
                3 => row.fill(-0.0),
                4 => row.iter_mut().step_by(2).for_each(|v| *v = -0.0),
                5 => row.iter_mut().for_each(|v| *v *= 1e-10),
                _ => {}
            }
        }
        x
    }
}
