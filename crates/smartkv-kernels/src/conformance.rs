//! The suite that every implementation of [`Kernels`] must pass, whatever it runs on.
//!
//! What is expected comes from [`Reference`]: its encoding, bit for bit, and dot products of its
//! decoded rows taken in f64. Inputs have channels of large values and a large first row, as real
//! keys do; outputs start as garbage, and what lies between and after them must stay.

use half::f16;
use smartkv_core::{Bits, Format, Kernels, Reference, Rows, RowsMut};

/// Largest accepted differences. Encoding and decoding have none: codes and stored scales are
/// defined to the bit, and `scale * code` is exact in f32, so a decoded value is rounded once
/// however it is computed.
pub mod tolerance {
    /// Of scores and mixes, relative to the sum of the absolute values of all terms: f32 sums of
    /// up to 256 products in any order, `256 * 2^-24`, and some room.
    pub const SUM: f64 = 2e-5;
    /// Of an exponential, relative: a few roundings of an approximation, or the fast exponential
    /// of an accelerator. Far below what any stored format loses.
    pub const EXP: f64 = 2e-6;
    /// Of an exponential, absolute: subnormal results may become 0.
    pub const EXP_SMALLEST: f64 = 1.2e-38;
}

/// Head dimensions that are tried.
pub const HEAD_DIMS: [usize; 6] = [32, 64, 80, 96, 128, 256];
/// Numbers of rows that are tried: none, one, and around the sizes of vectors and blocks.
pub const ROWS: [usize; 8] = [0, 1, 2, 7, 31, 32, 33, 100];
/// Numbers of queries that are tried: groups of query heads, and a piece of a prompt.
pub const QUERIES: [usize; 7] = [1, 2, 3, 4, 5, 9, 48];

/// What outputs hold before a kernel writes them, and what it must not touch.
const GUARD: f32 = -1.234_567_9e30;

/// Checks kernels against [`Reference`] on every format and many shapes.
///
/// # Panics
/// At the first difference, with the kernels, the operation, the format and the shape.
pub fn conformance(kernels: &dyn Kernels) {
    softmax_part(kernels);
    for head_dim in HEAD_DIMS {
        for format in formats(head_dim) {
            for rows in ROWS {
                check(kernels, format, head_dim, rows, &QUERIES);
            }
        }
    }
}

/// Every format that can store rows of `head_dim` channels, up to groups of 64 and whole rows.
#[must_use]
pub fn formats(head_dim: usize) -> Vec<Format> {
    let mut formats = vec![Format::F16];
    for bits in [Bits::B2, Bits::B3, Bits::B4, Bits::B8] {
        for group in [0, 8, 16, 32, 64] {
            formats.push(Format::asymmetric(bits, group));
            formats.push(Format::symmetric(bits, group));
        }
    }
    formats.retain(|format| format.check(head_dim).is_ok());
    formats
}

/// Checks every operation on packed rows for one format and shape.
///
/// # Panics
/// At the first difference.
pub fn check(kernels: &dyn Kernels, format: Format, head_dim: usize, rows: usize, n: &[usize]) {
    let label = format!(
        "{}, {format}, head_dim {head_dim}, {rows} rows",
        kernels.name()
    );
    let mut random = Random(1 + head_dim as u64 * 1000 + rows as u64);
    let x = random.rows(rows, head_dim);
    let stored = encode(kernels, format, head_dim, &x, &label);
    let rows = stored.rows(format, head_dim, rows);
    let decoded = decode(kernels, rows, &label);
    for &n in n {
        let label = format!("{label}, {n} queries");
        scores(kernels, rows, &decoded, n, &mut random, &label);
        mix(kernels, rows, &decoded, n, &mut random, &label);
    }
}

/// Encoded rows.
#[derive(Debug, Default, PartialEq)]
struct Stored {
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl Stored {
    fn encode(&mut self, kernels: &dyn Kernels, format: Format, head_dim: usize, x: &[f32]) {
        let Self {
            payload,
            scales,
            zeros,
        } = self;
        kernels.encode(
            format,
            head_dim,
            x,
            RowsMut {
                payload,
                scales,
                zeros,
            },
        );
    }

    fn rows(&self, format: Format, head_dim: usize, len: usize) -> Rows<'_> {
        let Self {
            payload,
            scales,
            zeros,
        } = self;
        Rows {
            format,
            head_dim,
            len,
            payload,
            scales,
            zeros,
        }
    }
}

/// Encodes in two pieces, which must append; the result is the reference's.
fn encode(
    kernels: &dyn Kernels,
    format: Format,
    head_dim: usize,
    x: &[f32],
    label: &str,
) -> Stored {
    let (mut got, mut want) = (Stored::default(), Stored::default());
    let (first, rest) = x.split_at(x.len() / head_dim / 3 * head_dim);
    for part in [first, rest] {
        got.encode(kernels, format, head_dim, part);
        want.encode(&Reference, format, head_dim, part);
    }
    let bits = |values: &[f16]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(
        bits(&got.scales),
        bits(&want.scales),
        "encode: scales: {label}"
    );
    assert_eq!(
        bits(&got.zeros),
        bits(&want.zeros),
        "encode: zeros: {label}"
    );
    assert_eq!(got.payload, want.payload, "encode: codes: {label}");
    want
}

/// The reference's decoded rows, which the kernels' must equal.
fn decode(kernels: &dyn Kernels, rows: Rows<'_>, label: &str) -> Vec<f32> {
    let mut want = vec![GUARD; rows.len * rows.head_dim];
    Reference.decode(rows, &mut want);
    let mut got = vec![GUARD; want.len()];
    kernels.decode(rows, &mut got);
    for (at, (got, want)) in got.iter().zip(&want).enumerate() {
        let (t, j) = (at / rows.head_dim, at % rows.head_dim);
        assert!(
            got == want,
            "decode: row {t}, channel {j}: {got} for {want}: {label}"
        );
    }
    want
}

fn scores(
    kernels: &dyn Kernels,
    rows: Rows<'_>,
    decoded: &[f32],
    n: usize,
    random: &mut Random,
    label: &str,
) {
    let stride = rows.len + random.below(20);
    let q = random.values(n * rows.head_dim);
    let mut out = vec![GUARD; n * stride + 8];
    kernels.scores(rows, &q, &mut out, stride);
    for (i, query) in q.chunks_exact(rows.head_dim).enumerate() {
        for (t, key) in decoded.chunks_exact(rows.head_dim).enumerate() {
            let want = Sum::of(query.iter().zip(key));
            want.check(out[i * stride + t], || {
                format!("scores: query {i}, key {t}: {label}")
            });
            out[i * stride + t] = GUARD;
        }
    }
    assert!(
        out.iter().all(|&v| v == GUARD),
        "scores: wrote outside its output: {label}"
    );
}

fn mix(
    kernels: &dyn Kernels,
    rows: Rows<'_>,
    decoded: &[f32],
    n: usize,
    random: &mut Random,
    label: &str,
) {
    let stride = rows.len + random.below(20);
    // What is not a weight would show.
    let mut p = vec![f32::NAN; n * stride];
    for i in 0..n {
        for weight in &mut p[i * stride..i * stride + rows.len] {
            *weight = random.uniform().powi(8) as f32;
        }
    }
    let before = random.values(n * rows.head_dim);
    let mut acc = before.clone();
    kernels.mix(rows, &p, stride, &mut acc);
    let mut want = vec![Sum::default(); rows.head_dim];
    for (i, sums) in acc.chunks_exact(rows.head_dim).enumerate() {
        for (want, before) in want.iter_mut().zip(&before[i * rows.head_dim..]) {
            *want = Sum::of([(&1.0, before)]);
        }
        for (value, weight) in decoded.chunks_exact(rows.head_dim).zip(&p[i * stride..]) {
            want.iter_mut()
                .zip(value)
                .for_each(|(want, v)| want.add(*weight, *v));
        }
        for (j, (&sum, want)) in sums.iter().zip(&want).enumerate() {
            want.check(sum, || format!("mix: query {i}, channel {j}: {label}"));
        }
    }
}

/// Checks the exponential: values, the maximum, and the sum.
///
/// # Panics
/// At the first difference.
pub fn softmax_part(kernels: &dyn Kernels) {
    let name = kernels.name();
    let mut random = Random(7);
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

/// A sum of products, with the sum of their absolute values.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    absolute: f64,
}

impl Sum {
    fn of<'a>(products: impl IntoIterator<Item = (&'a f32, &'a f32)>) -> Self {
        let mut sum = Self::default();
        products.into_iter().for_each(|(a, b)| sum.add(*a, *b));
        sum
    }

    fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value += product;
        self.absolute += product.abs();
    }

    fn check(&self, got: f32, what: impl Fn() -> String) {
        let off = (f64::from(got) - self.value).abs();
        let accepted = tolerance::SUM * self.absolute;
        assert!(
            off <= accepted,
            "{}: {got} for {}, {off:.1e} off",
            what(),
            self.value
        );
    }
}

/// A small generator of inputs (splitmix64), so that the suite needs no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Within 0 .. 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }

    /// Around zero, with variance 1.
    fn values(&mut self, count: usize) -> Vec<f32> {
        let mut normal = || (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
        (0..count).map(|_| normal() as f32).collect()
    }

    /// Rows with a few channels that are large and shifted, and a large first row. The second
    /// row is constant and the third is zero: groups without a range.
    fn rows(&mut self, rows: usize, head_dim: usize) -> Vec<f32> {
        let mut x = self.values(rows * head_dim);
        for (t, row) in x.chunks_exact_mut(head_dim).enumerate() {
            for (j, v) in row.iter_mut().enumerate() {
                if j % 13 == 5 {
                    *v = *v * 9.0 + 25.0;
                }
                if t == 0 {
                    *v *= 20.0;
                }
            }
            match t {
                1 => row.fill(0.75),
                2 => row.fill(0.0),
                _ => {}
            }
        }
        x
    }
}
