//! Low-bit codes, a low-rank correction, and exact outliers.

use half::f16;
use smartkv_core::{
    Block, CacheShape, Error, Format, Layout, Result, Simulation, Strategy, Tier, config, strategy,
};

/// Adds a low-rank correction and exact outliers to low-bit keys and values.
///
/// Of the rows that leave the window together, keys (per channel) and values (per token, over all
/// heads of a layer) lose their largest and smallest entries to a sparse matrix, the others are
/// rounded uniformly, and what rounding missed is approximated head by head by a product of two
/// thin matrices, found by power iteration. With `group_size` 0 a channel of keys and a token of
/// values have one scale each (the paper's `KCVT`); otherwise scales are shared by so many tokens
/// or channels, as in `KIVI`. New tokens gather in f16 until `buffer` of them are compressed at
/// once, with a smaller rank; a prompt is compressed at its end. Simulated: rows are changed so and
/// kept in f16. Counted are codes, scales and zero points of two bytes each, outliers of four (value
/// and index in its vector), and factors in f16. Needs nothing from the host.
#[config]
pub struct Gear {
    /// Bits of a code: 2, 3, 4 or 8.
    #[default(4)]
    pub bits: u8,
    /// Tokens of a key channel, and channels of a value token, that share a scale; 0 is all that
    /// leave together.
    pub group_size: usize,
    /// Share of the entries that are kept exact, half of it at either end of a vector; rounded
    /// down to whole entries.
    #[default(0.02)]
    pub outliers: f64,
    /// Rank of the correction for more rows than fit the buffer: prompts.
    #[default(4)]
    pub rank: usize,
    /// Rank of the correction for a full buffer.
    #[default(2)]
    pub buffer_rank: usize,
    /// New tokens that gather in f16.
    #[default(20)]
    pub buffer: usize,
    /// Power iterations for the correction.
    #[default(3)]
    pub iterations: usize,
}

#[strategy("gear", family = "quantizer", storage = "simulated", paper = "arXiv 2403.05527")]
impl Strategy for Gear {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        if !matches!(self.bits, 2 | 3 | 4 | 8) {
            return Err(Error::parameter("bits", self.bits, "expected 2, 3, 4 or 8"));
        }
        if !(0.0..1.0).contains(&self.outliers) {
            let expected = "expected a share from 0 to below 1";
            return Err(Error::parameter("outliers", self.outliers, expected));
        }
        for (name, value) in [("buffer", self.buffer), ("iterations", self.iterations)] {
            if value == 0 {
                return Err(Error::parameter(name, 0, "expected at least 1"));
            }
        }
        Ok(Layout {
            window: self.buffer - 1,
            period: self.buffer,
            ..Layout::constant(Tier::same(Format::F16))
        })
    }

    fn simulation(&self) -> Option<&dyn Simulation> {
        Some(self)
    }
}

impl Simulation for Gear {
    fn store(&self, block: &mut Block<'_>) -> Result<u64> {
        let (tokens, head_dim) = (block.tokens, block.shape.head_dim);
        let kv_heads = block.shape.kv_heads;
        let width = kv_heads * head_dim;
        let rank = if tokens > self.buffer { self.rank } else { self.buffer_rank };
        let rank = rank.min(tokens).min(head_dim);
        let (mut bytes, mut seed) = (0, block.seed);
        // A vector of keys is a channel, one of values a token: `[vector][entry]` of each matrix.
        let channel = |channel: usize, token: usize| {
            (channel / head_dim * tokens + token) * head_dim + channel % head_dim
        };
        for (keys, data) in [(true, &mut *block.keys), (false, &mut *block.values)] {
            let (vectors, entries) = if keys { (width, tokens) } else { (tokens, width) };
            let at = |vector: usize, entry: usize| {
                if keys { channel(vector, entry) } else { channel(entry, vector) }
            };
            let mut residual = vec![0.0; data.len()];
            for vector in 0..vectors {
                let exact: Vec<f32> = (0..entries).map(|entry| data[at(vector, entry)]).collect();
                let (stored, cost) = self.round(&exact);
                bytes += cost;
                for (entry, (exact, Stored { value, outlier })) in
                    exact.iter().zip(stored).enumerate()
                {
                    let at = at(vector, entry);
                    data[at] = value;
                    residual[at] = if outlier { 0.0 } else { exact - value };
                }
            }
            let head = tokens * head_dim;
            for (data, residual) in data.chunks_exact_mut(head).zip(residual.chunks_exact(head)) {
                seed = seed.wrapping_add(1);
                let correction = low_rank(residual, head_dim, rank, self.iterations, seed);
                data.iter_mut().zip(correction).for_each(|(x, l)| *x += l);
                bytes += (size_of::<f16>() * rank * (tokens + head_dim)) as u64;
            }
        }
        Ok(bytes)
    }
}

/// One entry of a vector as codes and the sparse matrix hold it.
struct Stored {
    value: f32,
    outlier: bool,
}

impl Gear {
    /// Entries kept exact at either end of a vector.
    fn at_either_end(&self, entries: usize) -> usize {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let count = (entries as f64 * self.outliers / 2.0).floor() as usize;
        count.min((entries - 1) / 2)
    }

    /// A vector after rounding, its outliers exact, and the bytes it takes.
    fn round(&self, exact: &[f32]) -> (Vec<Stored>, u64) {
        let each = self.at_either_end(exact.len());
        let mut order: Vec<usize> = (0..exact.len()).collect();
        order.sort_by(|&a, &b| exact[a].total_cmp(&exact[b]).then(a.cmp(&b)));
        let mut outlier = vec![false; exact.len()];
        for &entry in order[..each].iter().chain(&order[exact.len() - each..]) {
            outlier[entry] = true;
        }
        let group = if self.group_size == 0 { exact.len() } else { self.group_size };
        let largest = f32::from((1u16 << self.bits) - 1);
        let mut stored = Vec::with_capacity(exact.len());
        let mut groups = 0;
        for (exact, outlier) in exact.chunks(group).zip(outlier.chunks(group)) {
            groups += 1;
            let inliers = || exact.iter().zip(outlier).filter(|(_, out)| !**out).map(|(x, _)| *x);
            let low = inliers().fold(f32::INFINITY, f32::min);
            let high = inliers().fold(f32::NEG_INFINITY, f32::max);
            // As they are read back; a group of outliers only has neither.
            let zero = if low <= high { f16::from_f32(low).to_f32() } else { 0.0 };
            let scale = f16::from_f32(((high - zero) / largest).max(0.0)).to_f32();
            stored.extend(exact.iter().zip(outlier).map(|(&exact, &outlier)| {
                let value = if outlier {
                    exact
                } else if scale > 0.0 {
                    ((exact - zero) / scale).round().clamp(0.0, largest).mul_add(scale, zero)
                } else {
                    zero
                };
                Stored { value, outlier }
            }));
        }
        let codes = (exact.len() * usize::from(self.bits)).div_ceil(8);
        let scales = 2 * size_of::<f16>() * groups;
        let sparse = 2 * each * (size_of::<f16>() + size_of::<u16>());
        (stored, (codes + scales + sparse) as u64)
    }
}

/// The product of two factors of `rank` columns, stored in f16, that comes near `matrix`
/// (`[rows, width]`) by power iteration from a random start.
fn low_rank(matrix: &[f32], width: usize, rank: usize, iterations: usize, seed: u64) -> Vec<f32> {
    let rows = matrix.len() / width;
    let mut random = seed;
    let mut right: Vec<Vec<f64>> =
        (0..rank).map(|_| (0..width).map(|_| noise(&mut random)).collect()).collect();
    let mut left = Vec::new();
    for _ in 0..iterations {
        left = right.iter().map(|column| times(matrix, width, column)).collect();
        orthonormalise(&mut left);
        right = left.iter().map(|column| transposed_times(matrix, width, column)).collect();
    }
    let half = |columns: Vec<Vec<f64>>| -> Vec<Vec<f32>> {
        let half = |x: &f64| f16::from_f64(*x).to_f32();
        columns.iter().map(|column| column.iter().map(half).collect()).collect()
    };
    let (left, right) = (half(left), half(right));
    let mut product = vec![0.0; rows * width];
    for (left, right) in left.iter().zip(&right) {
        for (row, l) in product.chunks_exact_mut(width).zip(left) {
            row.iter_mut().zip(right).for_each(|(x, r)| *x += l * r);
        }
    }
    product
}

fn times(matrix: &[f32], width: usize, column: &[f64]) -> Vec<f64> {
    let dot = |row: &[f32]| row.iter().zip(column).map(|(a, b)| f64::from(*a) * b).sum();
    matrix.chunks_exact(width).map(dot).collect()
}

fn transposed_times(matrix: &[f32], width: usize, column: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; width];
    for (row, factor) in matrix.chunks_exact(width).zip(column) {
        out.iter_mut().zip(row).for_each(|(x, a)| *x += f64::from(*a) * factor);
    }
    out
}

/// Gram and Schmidt; a column that depends on those before it becomes zero.
fn orthonormalise(columns: &mut [Vec<f64>]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for index in 0..columns.len() {
        let (before, rest) = columns.split_at_mut(index);
        let column = &mut rest[0];
        let given = dot(column, column).sqrt();
        for other in before {
            let share = dot(column, other);
            column.iter_mut().zip(&*other).for_each(|(x, o)| *x -= share * o);
        }
        let norm = dot(column, column).sqrt();
        let factor = if norm > 1e-9 * given { 1.0 / norm } else { 0.0 };
        column.iter_mut().for_each(|x| *x *= factor);
    }
}

/// A number from -0.5 to 0.5.
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f64::from(u32::try_from(*state >> 32).unwrap_or(0)) / f64::from(u32::MAX) - 0.5
}
