//! Rows one after another.

use super::GUARD;
use super::random::Random;
use super::stored::Stored;
use super::sum::Sum;
use smartkv_core::{Format, Kernels, Reference, Rows};

/// Checks every operation on rows one after another for one format and shape.
///
/// # Panics
/// At the first difference.
pub fn check(kernels: &dyn Kernels, format: Format, head_dim: usize, rows: usize, n: &[usize]) {
    let label = format!(
        "{}, {format}, head_dim {head_dim}, {rows} rows",
        kernels.name()
    );
    let mut random = Random::new(head_dim as u64 * 1000 + rows as u64);
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
    got.assert_is(&want, label);
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
