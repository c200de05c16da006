//! Kernels on tiles against the values that the codes stand for.

use proptest::prelude::*;
use smartkv_core::{
    Axis, Bits, Codebook, Digits, Format, Kernels, PackedRows, Reference, Role, TILE_ROWS, Tiles,
};
use smartkv_kernels::variants;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod fence;

/// What a place holds that nothing may write to.
const GUARD: f32 = 12345.0;

/// Values that look random: large and small rows, channels and outliers.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len)
        .map(|i| {
            let outlier = if i % 61 == 7 { 9.0 } else { 1.0 };
            next() * outlier + if i % 5 == 0 { 0.7 } else { 0.0 }
        })
        .collect()
}

fn book(bits: Bits) -> Codebook {
    let count = 1 << bits.count();
    let levels: Vec<f32> = (0..count)
        .map(|i| {
            let x = (i as f32 + 0.5) / count as f32 * 2.0 - 1.0;
            x * (0.4 + x.abs()) + 0.05
        })
        .collect();
    Codebook::new(&levels).unwrap()
}

/// Formats that are stored in tiles, and fit `head_dim`.
fn formats(head_dim: usize) -> Vec<Format> {
    let mut formats = vec![];
    for bits in [Bits::B2, Bits::B3, Bits::B4, Bits::B8] {
        for symmetric in [true, false] {
            for group in [0, 8, 16, 20, 32, 48, 64, 128] {
                formats.push(Format::new(bits, group, symmetric));
            }
            for tokens in [16, 32, 64] {
                let format = Format {
                    symmetric,
                    ..Format::per_channel(bits, tokens)
                };
                formats.push(format);
            }
        }
    }
    let with_books: Vec<Format> = formats
        .iter()
        .filter(|format| format.bits != Bits::B8)
        .map(|format| format.with_codebook(book(format.bits)))
        .collect();
    formats.extend(with_books);
    formats.retain(|format| {
        format.check(head_dim).is_ok() && smartkv_core::packed::tiled(*format, head_dim)
    });
    formats
}

fn stored(format: Format, role: Role, head_dim: usize, tiles: usize, seed: u64) -> PackedRows {
    let mut rows = PackedRows::new(format, role, head_dim);
    rows.push(&Reference, &noise(tiles * TILE_ROWS * head_dim, seed));
    rows
}

/// Values of the rows, all of which lie in tiles.
fn values(rows: &PackedRows) -> Vec<f32> {
    let mut values = vec![0.0; rows.len() * rows.head_dim()];
    Reference.decode_tiles(rows.tiles_at(0..rows.whole_tiles()), &mut values);
    values
}

/// Largest magnitude of a value's parts, for each row and group: origin and the widest code.
fn largest(values: &[f32]) -> f64 {
    2.0 * f64::from(values.iter().fold(0.0f32, |m, v| m.max(v.abs())))
}

/// Scores of these queries by every implementation.
fn check_scores(rows: &PackedRows, q: &[f32], padding: usize) {
    let (format, head_dim, len) = (rows.format(), rows.head_dim(), rows.len());
    let n = q.len() / head_dim;
    let stride = len + padding;
    let end = (n - 1) * stride + len;
    let wanted = wanted(rows, q);
    for kernels in variants() {
        let label = format!("{kernels:?}, {format}, head_dim {head_dim}, {len} rows, {n} queries");
        let mut out = vec![GUARD; end + 8];
        let digits = kernels.digits(format, head_dim, q);
        let tiles = rows.tiles_at(0..rows.whole_tiles());
        kernels.score_tiles(tiles, digits.all(q), &mut out[..end], stride);
        for (at, (exact, off)) in wanted.iter().enumerate() {
            let (i, t) = (at / len, at % len);
            let got = f64::from(out[i * stride + t]);
            assert!(
                (got - exact).abs() <= *off,
                "{label}: query {i}, row {t}: {got} is not {exact} within {off}"
            );
        }
        for i in 1..n {
            let between = &out[(i - 1) * stride + len..i * stride];
            assert!(between.iter().all(|&v| v == GUARD), "{label}: between");
        }
        assert!(out[end..].iter().all(|&v| v == GUARD), "{label}: beyond");
    }
}

/// Scores, and how far off each may be: half a unit of the last digit for every value, and what
/// sums of f32 lose.
fn wanted(rows: &PackedRows, q: &[f32]) -> Vec<(f64, f64)> {
    let (format, head_dim) = (rows.format(), rows.head_dim());
    let values = values(rows);
    let all = largest(&values);
    let group = match format.axis {
        Axis::Channels => format.group(head_dim),
        Axis::Tokens => head_dim,
    };
    let mut wanted = vec![];
    for query in q.chunks_exact(head_dim) {
        let most: Vec<f64> = query
            .chunks_exact(group)
            .map(|q| largest(q) / 2.0)
            .collect();
        for row in values.chunks_exact(head_dim) {
            let mut off = 1e-30;
            for (most, row) in most.iter().zip(row.chunks_exact(group)) {
                let magnitude: f64 = row.iter().map(|v| f64::from(v.abs())).sum();
                let lost = match format.axis {
                    Axis::Channels => magnitude,
                    // The scale of a channel is part of the query.
                    Axis::Tokens => all * head_dim as f64,
                };
                off += most * (lost * 0.51 / 8192.0 + 2e-6 * largest(row) * row.len() as f64);
            }
            wanted.push((dot(query, row), off));
        }
    }
    wanted
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

const HEAD_DIMS: [usize; 7] = [32, 64, 80, 96, 128, 256, 576];
/// Numbers of tiles, and of queries with them.
const CASES: [(usize, &[usize]); 4] = [(1, &[1, 2, 3, 4, 5]), (2, &[3]), (3, &[1, 9]), (6, &[48])];

#[test]
fn scores_are_those_of_the_values() {
    for head_dim in HEAD_DIMS {
        for format in formats(head_dim) {
            let block = format.block_rows().div_ceil(TILE_ROWS);
            for (tiles, queries) in CASES {
                if head_dim > 80 && tiles != 3 {
                    continue;
                }
                let tiles = tiles.next_multiple_of(block);
                let rows = stored(format, Role::Keys, head_dim, tiles, tiles as u64);
                for &n in queries {
                    let q = noise(n * head_dim, n as u64 + 99);
                    check_scores(&rows, &q, 5 * (n % 2));
                }
            }
        }
    }
}

/// A score is the same bits however the queries and tiles are put into calls.
#[test]
fn scores_do_not_depend_on_their_company() {
    for head_dim in [64, 96, 576] {
        for format in formats(head_dim) {
            let tiles = 4.max(format.block_rows() / TILE_ROWS * 2);
            let rows = stored(format, Role::Keys, head_dim, tiles, 3);
            let (n, len) = (9, rows.len());
            let q = noise(n * head_dim, 5);
            for kernels in variants() {
                let digits = kernels.digits(format, head_dim, &q);
                let mut all = vec![0.0; n * len];
                let step = (format.block_rows() / TILE_ROWS).max(1);
                kernels.score_tiles(rows.tiles_at(0..tiles), digits.all(&q), &mut all, len);
                for first in (0..tiles).step_by(step) {
                    for i in 0..n {
                        let mut one = vec![0.0; step * TILE_ROWS];
                        let queries = digits.rows(&q, head_dim, i..i + 1);
                        let some = rows.tiles_at(first..first + step);
                        kernels.score_tiles(some, queries, &mut one, 0);
                        let at = i * len + first * TILE_ROWS;
                        assert_eq!(one, all[at..at + one.len()], "{kernels:?}, {format}");
                    }
                }
            }
        }
    }
}

/// Mixes by `n` rows of weights by every implementation.
fn check_mix(rows: &PackedRows, n: usize, padding: usize, sign: f32) {
    let (format, head_dim, len) = (rows.format(), rows.head_dim(), rows.len());
    let stride = len + padding;
    let p: Vec<f32> = noise((n - 1) * stride + len, n as u64 + 7)
        .iter()
        .map(|v| v.abs().powi(3) * sign)
        .collect();
    let tiles = rows.tiles_at(0..rows.whole_tiles());
    let values = values(rows);
    let width = match (format.codebook, format.symmetric) {
        (Some(_), _) => 128.0,
        (None, true) => f64::from(format.bits.max_code().div_ceil(2)),
        (None, false) => f64::from(format.bits.max_code()),
    };
    let (group, groups) = (format.group(head_dim), format.scales(head_dim));
    let scales: Vec<f64> = tiles.scales.iter().map(|s| s.to_f64()).collect();
    let mut wanted = vec![];
    for i in 0..n {
        for channel in 0..head_dim {
            let (mut exact, mut size, mut most) = (0.25, 0.25, 0.0f64);
            for t in 0..len {
                let p = f64::from(p[i * stride + t]);
                let scale = scales[match format.axis {
                    Axis::Channels => {
                        (t / TILE_ROWS * groups + channel / group) * TILE_ROWS + t % TILE_ROWS
                    }
                    Axis::Tokens => t / group * head_dim + channel,
                }];
                exact += p * f64::from(values[t * head_dim + channel]);
                size += p.abs() * scale * width * 2.0;
                most = most.max(p.abs() * scale);
            }
            // What weights lose when they are rounded, and sums in f32.
            let off = 0.51 * most / 8192.0 * width * len as f64 + 2e-7 * size;
            wanted.push((exact, off));
        }
    }
    let end = n * head_dim;
    for kernels in variants() {
        let label = format!("{kernels:?}, {format}, head_dim {head_dim}, {len} rows, {n} queries");
        let mut acc = vec![GUARD; end + 16];
        acc[..end].fill(0.25);
        kernels.mix_tiles(tiles, &p, stride, &mut acc[..end]);
        assert!(acc[end..].iter().all(|&v| v == GUARD), "{label}: beyond");
        for (at, (exact, off)) in wanted.iter().enumerate() {
            let got = f64::from(acc[at]);
            assert!(
                (got - exact).abs() <= *off,
                "{label}: query {}, channel {}: {got} is not {exact} within {off}",
                at / head_dim,
                at % head_dim
            );
        }
    }
}

#[test]
fn mixes_are_those_of_the_values() {
    for head_dim in HEAD_DIMS {
        for format in formats(head_dim) {
            let block = format.block_rows().div_ceil(TILE_ROWS);
            for (tiles, queries) in CASES {
                if head_dim > 80 && tiles != 3 {
                    continue;
                }
                let tiles = tiles.next_multiple_of(block);
                let rows = stored(format, Role::Values, head_dim, tiles, tiles as u64);
                for &n in queries {
                    let sign = if n == 3 { -1.0 } else { 1.0 };
                    check_mix(&rows, n, 5 * (n % 2), sign);
                }
            }
        }
    }
}

/// Weights that are not numbers must not be lost among the digits.
#[test]
fn weights_that_are_not_finite_show() {
    let head_dim = 64;
    for format in formats(head_dim) {
        let tiles = 8;
        let rows = stored(format, Role::Values, head_dim, tiles, 1);
        let len = rows.len();
        for bad in [f32::NAN, f32::INFINITY] {
            for (n, at) in [(1, 0), (3, 77), (7, 127)] {
                let mut p = vec![0.01; n * len];
                p[(n - 1) * len + at] = bad;
                for kernels in variants() {
                    let mut acc = vec![0.0; n * head_dim];
                    kernels.mix_tiles(rows.tiles_at(0..tiles), &p, len, &mut acc);
                    let (fine, hit) = acc.split_at((n - 1) * head_dim);
                    assert!(fine.iter().all(|v| v.is_finite()), "{kernels:?}, {format}");
                    assert!(!hit.iter().any(|v| v.is_finite()), "{kernels:?}, {format}");
                }
            }
        }
        for kernels in variants() {
            let mut acc = vec![1.5; head_dim];
            kernels.mix_tiles(rows.tiles_at(0..tiles), &vec![0.0; len], 0, &mut acc);
            assert_eq!(acc, vec![1.5; head_dim], "{kernels:?}, {format}");
        }
    }
}

/// Every slice ends, then begins, where the memory does: an access beyond it kills the test.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn nothing_outside_the_slices_is_touched() {
    for head_dim in [32, 48, 64, 96] {
        for format in formats(head_dim) {
            let tiles = 5usize.next_multiple_of(format.block_rows().div_ceil(TILE_ROWS));
            for role in [Role::Keys, Role::Values] {
                let rows = stored(format, role, head_dim, tiles, 1);
                for n in [1, 3, 4, 7] {
                    for end in [true, false] {
                        at_the_edge(rows.tiles_at(0..tiles), n, end);
                    }
                }
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn at_the_edge(tiles: Tiles<'_>, n: usize, end: bool) {
    use fence::Fenced;
    let (head_dim, len) = (tiles.head_dim, tiles.count * TILE_ROWS);
    let mut payload = Fenced::new(tiles.payload, end);
    let mut scales = Fenced::new(tiles.scales, end);
    let mut zeros = Fenced::new(tiles.zeros, end);
    let tiles = Tiles {
        payload: payload.get(),
        scales: scales.get(),
        zeros: zeros.get(),
        ..tiles
    };
    let stride = len + 3;
    for kernels in variants() {
        let mut vectors = Fenced::new(&vec![0.25; n * head_dim], end);
        let mut weights = Fenced::new(&vec![0.5; (n - 1) * stride + len], end);
        if tiles.role == Role::Keys {
            let q = vectors.get();
            let digits = kernels.digits(tiles.format, head_dim, q);
            kernels.score_tiles(tiles, digits.all(q), weights.get(), stride);
        } else {
            kernels.mix_tiles(tiles, weights.get(), stride, vectors.get());
        }
    }
}

/// Lengths are checked before anything is read or written.
#[test]
fn short_slices_are_refused() {
    let (head_dim, count, n, stride) = (64, 4, 3, 70);
    let len = count * TILE_ROWS;
    let refused = |run: &mut dyn FnMut()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    };
    for format in formats(head_dim) {
        let keys = stored(format, Role::Keys, head_dim, count, 1);
        let values = stored(format, Role::Values, head_dim, count, 1);
        let q = noise(n * head_dim, 1);
        let run = |kernels: &dyn Kernels, change: &dyn Fn(&mut Tiles<'_>), lacking: usize| {
            let (mut keys, mut values) = (keys.tiles_at(0..count), values.tiles_at(0..count));
            change(&mut keys);
            change(&mut values);
            let mut weights = vec![0.5; (n - 1) * stride + len - lacking];
            let mut acc = q.clone();
            let digits = kernels.digits(format, head_dim, &q);
            [
                refused(&mut || kernels.score_tiles(keys, digits.all(&q), &mut weights, stride)),
                refused(&mut || kernels.mix_tiles(values, &weights, stride, &mut acc)),
            ]
        };
        for kernels in variants() {
            let label = format!("{kernels:?}, {format}");
            assert_eq!(run(kernels, &|_| (), 0), [false; 2], "{label}");
            assert_eq!(run(kernels, &|_| (), 1), [true; 2], "{label}: weights");
            let short = |tiles: &mut Tiles<'_>| tiles.payload = &tiles.payload[1..];
            assert_eq!(run(kernels, &short, 0), [true; 2], "{label}: payload");
            let short = |tiles: &mut Tiles<'_>| tiles.scales = &tiles.scales[1..];
            assert_eq!(run(kernels, &short, 0), [true; 2], "{label}: scales");
            let short = |tiles: &mut Tiles<'_>| tiles.zeros = &tiles.zeros[1..];
            // Narrower groups are left to the reference, which takes missing zero points for none.
            if !format.symmetric && format.group(head_dim).is_multiple_of(TILE_ROWS) {
                assert_eq!(run(kernels, &short, 0), [true; 2], "{label}: zeros");
            }
        }
    }
}

#[test]
fn digits_are_those_of_the_definition() {
    for head_dim in HEAD_DIMS {
        for format in formats(head_dim) {
            let mut q = noise(3 * head_dim, 1);
            q[1] = f32::NAN;
            q[head_dim + 2] = 0.0;
            q[2 * head_dim..].fill(1e-42);
            check_digits(format, head_dim, &q);
            q[3] = f32::INFINITY;
            check_digits(format, head_dim, &q);
        }
    }
}

fn check_digits(format: Format, head_dim: usize, q: &[f32]) {
    for kernels in variants() {
        let digits = kernels.digits(format, head_dim, q);
        if format.axis == Axis::Tokens {
            assert!(digits.is_empty());
        } else if !digits.is_empty() {
            let want = Digits::split(head_dim, format.group(head_dim), q);
            assert_eq!(digits, want, "{kernels:?}, {format}, {head_dim}");
        } else {
            assert!(!format.group(head_dim).is_multiple_of(4), "{format}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Halves of steps, wide ranges and tiny values give the digits of the definition too.
    #[test]
    fn digits_of_any_values(
        q in prop::collection::vec(
            prop_oneof![
                4 => -4.0f32..4.0,
                2 => (-8192i16..=8192).prop_map(|n| f32::from(n) * 0.5),
                1 => -1e30f32..1e30,
                1 => -1e-38f32..1e-38,
                1 => Just(-0.0f32),
            ],
            128,
        ),
        group in prop::sample::select(vec![4usize, 16, 32, 64]),
    ) {
        check_digits(Format::asymmetric(Bits::B4, group), 64, &q);
    }
}
