//! Tiles.

use super::random::Random;
use super::stored::Stored;
use super::sum::Sum;
use super::{GUARD, tolerance};
use smartkv_core::{Axis, Digits, Format, Kernels, Queries, Reference, Role, TILE_ROWS, Tiles};

/// Checks every operation on about so many tiles of one role for one format and shape: scores
/// of keys and mixes of values.
///
/// # Panics
/// At the first difference.
pub fn check(
    kernels: &dyn Kernels,
    format: Format,
    role: Role,
    head_dim: usize,
    tiles: usize,
    n: &[usize],
) {
    let together = TILE_ROWS.max(format.block_rows()) / TILE_ROWS;
    let tiles = tiles.next_multiple_of(together);
    let label = format!(
        "{}, {format}, head_dim {head_dim}, {tiles} tiles of {role:?}",
        kernels.name()
    );
    let mut random = Random::new(head_dim as u64 * 999 + tiles as u64);
    let x = random.rows(tiles * TILE_ROWS, head_dim);
    let kind = (format, role);

    // In two pieces, which must append.
    let (mut got, mut want) = (Stored::default(), Stored::default());
    let first = tiles / together / 3 * together;
    let (front, back) = x.split_at(first * TILE_ROWS * head_dim);
    for part in [front, back] {
        got.encode_tiles(kernels, kind, head_dim, part);
        want.encode_tiles(&Reference, kind, head_dim, part);
    }
    got.assert_is(&want, &label);
    decode(kernels, want.tiles(kind, head_dim, 0..tiles), &label);

    let view = want.tiles(kind, head_dim, first..tiles);
    let parts = Parts::of(view, decode(kernels, view, &label));
    for &n in n {
        let label = format!("{label}, {n} queries");
        match role {
            Role::Keys => scores(kernels, view, &parts, n, &mut random, &label),
            Role::Values => mix(kernels, view, &parts, n, &mut random, &label),
        }
    }
}

/// The reference's decoded rows, which the kernels' must equal.
fn decode(kernels: &dyn Kernels, tiles: Tiles<'_>, label: &str) -> Vec<f32> {
    let mut want = vec![GUARD; tiles.count * TILE_ROWS * tiles.head_dim];
    Reference.decode_tiles(tiles, &mut want);
    let mut got = vec![GUARD; want.len()];
    kernels.decode_tiles(tiles, &mut got);
    for (at, (got, want)) in got.iter().zip(&want).enumerate() {
        let (t, j) = (at / tiles.head_dim, at % tiles.head_dim);
        assert!(
            got == want,
            "decode_tiles: row {t}, channel {j}: {got} for {want}: {label}"
        );
    }
    want
}

/// Decoded rows, and what their elements are made of: `value = base + scale * level`, where the
/// base is the zero point or 0.
struct Parts {
    value: Vec<f32>,
    base: Vec<f32>,
    scale: Vec<f32>,
}

impl Parts {
    fn of(tiles: Tiles<'_>, value: Vec<f32>) -> Self {
        let Tiles {
            format, head_dim, ..
        } = tiles;
        let group = format.group(head_dim);
        let groups = head_dim / group.min(head_dim);
        let place = |at: usize| {
            let (row, channel) = (at / head_dim, at % head_dim);
            let (tile, t) = (row / TILE_ROWS, row % TILE_ROWS);
            match format.axis {
                Axis::Channels => (tile * groups + channel / group) * TILE_ROWS + t,
                Axis::Tokens => row / group * head_dim + channel,
            }
        };
        let all = |of: &[half::f16]| -> Vec<f32> {
            let each = (0..value.len()).map(|at| of.get(place(at)).map_or(0.0, |v| v.to_f32()));
            each.collect()
        };
        let (base, scale) = (all(tiles.zeros), all(tiles.scales));
        Self { value, base, scale }
    }

    /// `|scale * level|`.
    fn coded(&self, at: usize) -> f64 {
        (f64::from(self.value[at]) - f64::from(self.base[at])).abs()
    }

    /// `|level|`.
    fn level(&self, at: usize) -> f64 {
        match self.scale[at] {
            0.0 => 0.0,
            scale => self.coded(at) / f64::from(scale),
        }
    }

    /// Terms that add up to the value and are not the value.
    fn passing(&self, at: usize) -> f64 {
        2.0 * f64::from(self.base[at]).abs()
    }
}

fn scores(
    kernels: &dyn Kernels,
    keys: Tiles<'_>,
    parts: &Parts,
    n: usize,
    random: &mut Random,
    label: &str,
) {
    let (head_dim, rows) = (keys.head_dim, keys.count * TILE_ROWS);
    let group = keys.format.group(head_dim).min(head_dim);
    let mut q = random.values(n * head_dim);
    // One large value, and a query of zeros.
    q[n / 2 * head_dim + head_dim / 3] *= 30.0;
    if n > 2 {
        q[head_dim..2 * head_dim].fill(0.0);
    }
    let rounding = Rounding::of(keys.format, head_dim, parts);
    let mut want = Vec::with_capacity(n * rows);
    for query in q.chunks_exact(head_dim) {
        let mut largest = vec![];
        for t in 0..rows {
            let at = t * head_dim;
            let mut sum = Sum::of(query.iter().zip(&parts.value[at..at + head_dim]));
            for (j, &q) in query.iter().enumerate() {
                sum.pass(f64::from(q).abs() * parts.passing(at + j));
            }
            if t % rounding.rows == 0 {
                largest = rounding.largest(query, parts, t);
            }
            let sizes = &rounding.sizes[t * largest.len()..];
            let off: f64 = largest.iter().zip(sizes).map(|(a, b)| a * b).sum();
            sum.accept(tolerance::DIGITS * off);
            want.push(sum);
        }
    }
    let digits = kernels.digits(keys.format, head_dim, &q);
    let mut asked = vec![Digits::NONE.all(&q)];
    if !digits.is_empty() {
        assert_eq!(
            digits,
            Digits::split(head_dim, group, &q),
            "digits: {label}"
        );
        asked.push(digits.all(&q));
    }
    for queries in asked {
        let what = match queries.high {
            [] => "score_tiles",
            _ => "score_tiles with digits",
        };
        score(
            kernels,
            keys,
            queries,
            &want,
            random,
            &format!("{what}: {label}"),
        );
    }
}

/// What scores are off by when queries are rounded. Queries are rounded by groups of channels;
/// where channels have scales of their own, queries times these are, all channels together.
struct Rounding {
    axis: Axis,
    group: usize,
    /// Rows from one change of scales to the next.
    rows: usize,
    /// What a group of each key multiplies a rounding by, at most.
    sizes: Vec<f64>,
}

impl Rounding {
    fn of(format: Format, head_dim: usize, parts: &Parts) -> Self {
        let (axis, group, rows) = match format.axis {
            Axis::Channels => (format.axis, format.group(head_dim), usize::MAX),
            Axis::Tokens => (format.axis, head_dim, format.block_rows()),
        };
        let size = |at: usize| match axis {
            Axis::Channels => f64::from(parts.value[at]).abs(),
            Axis::Tokens => parts.level(at),
        };
        let firsts = (0..parts.value.len()).step_by(group);
        Self {
            axis,
            group,
            rows,
            sizes: firsts.map(|at| (at..at + group).map(size).sum()).collect(),
        }
    }

    /// The largest value of each group of a query that meets row `t`.
    fn largest(&self, query: &[f32], parts: &Parts, t: usize) -> Vec<f64> {
        let value = |(j, &q): (usize, &f32)| match self.axis {
            Axis::Channels => f64::from(q).abs(),
            Axis::Tokens => f64::from(q * parts.scale[t * query.len() + j]).abs(),
        };
        let values: Vec<f64> = query.iter().enumerate().map(value).collect();
        let groups = values.chunks_exact(self.group);
        groups
            .map(|values| values.iter().copied().fold(0.0, f64::max))
            .collect()
    }
}

fn score(
    kernels: &dyn Kernels,
    keys: Tiles<'_>,
    queries: Queries<'_>,
    want: &[Sum],
    random: &mut Random,
    label: &str,
) {
    let rows = keys.count * TILE_ROWS;
    let n = want.len() / rows;
    let stride = rows + random.below(20);
    let mut out = vec![GUARD; n * stride + 8];
    kernels.score_tiles(keys, queries, &mut out, stride);
    for (at, want) in want.iter().enumerate() {
        let (i, t) = (at / rows, at % rows);
        let got = std::mem::replace(&mut out[i * stride + t], GUARD);
        want.check(got, || format!("query {i}, key {t}: {label}"));
    }
    assert!(
        out.iter().all(|&v| v == GUARD),
        "wrote outside its output: {label}"
    );
}

fn mix(
    kernels: &dyn Kernels,
    values: Tiles<'_>,
    parts: &Parts,
    n: usize,
    random: &mut Random,
    label: &str,
) {
    let (head_dim, rows) = (values.head_dim, values.count * TILE_ROWS);
    // Weights are rounded together with the scales of a group of channels, or alone.
    let group = match values.format.axis {
        Axis::Channels => values.format.group(head_dim),
        Axis::Tokens => head_dim,
    };
    let stride = rows + random.below(20);
    // What is not a weight would show.
    let mut p = vec![f32::NAN; n * stride];
    for weights in p.chunks_exact_mut(stride) {
        for weight in &mut weights[..rows] {
            // A third is nothing, as hidden tokens are.
            let some = random.uniform();
            *weight = if some < 0.33 {
                0.0
            } else {
                some.powi(8) as f32
            };
        }
    }
    let before = random.values(n * head_dim);
    let mut acc = before.clone();
    kernels.mix_tiles(values, &p, stride, &mut acc);
    for (i, sums) in acc.chunks_exact(head_dim).enumerate() {
        let weights = &p[i * stride..i * stride + rows];
        let mut largest = vec![];
        for (j, &got) in sums.iter().enumerate() {
            if j % group == 0 {
                largest = largest_around(rows, |t| match values.format.axis {
                    Axis::Channels => f64::from(weights[t] * parts.scale[t * head_dim + j]),
                    Axis::Tokens => f64::from(weights[t]),
                });
            }
            let mut want = Sum::of([(&1.0, &before[i * head_dim + j])]);
            for (t, &weight) in weights.iter().enumerate() {
                let at = t * head_dim + j;
                want.add(weight, parts.value[at]);
                want.pass(f64::from(weight) * parts.passing(at));
                let each = match values.format.axis {
                    Axis::Channels => parts.level(at),
                    Axis::Tokens => parts.coded(at),
                };
                want.accept(tolerance::DIGITS * largest[t] * each);
            }
            want.check(got, || {
                format!("mix_tiles: query {i}, channel {j}: {label}")
            });
        }
    }
}

/// For each row the largest value of those that may share its scale.
fn largest_around(rows: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
    let values: Vec<f64> = (0..rows).map(value).collect();
    let around =
        |t: usize| t.saturating_sub(tolerance::AROUND)..rows.min(t + 1 + tolerance::AROUND);
    let largest = |t: usize| values[around(t)].iter().copied().fold(0.0, f64::max);
    (0..rows).map(largest).collect()
}
