//! Vector kernels of the processor, written once over [`Simd`] and compiled for each
//! instruction set.
//!
//! A group's scale and zero point make one small map from code to value, before the group's
//! codes are looked at: a table that one permutation reads where the codes are short enough, a
//! multiplication and an addition otherwise. Either is paid once for all queries that share the
//! unpacked value.

mod add;
mod avx2;
mod avx512;
mod encode;
mod mix;
mod packed;
mod scores;
mod simd;
mod softmax;
mod tile;
mod untile;

use crate::elementwise::Elementwise;
use crate::int::{self, Integers, Ymm, Zmm, even_parts as parts};
use add::AddRows;
pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
use mix::{Mix, MixCall};
use packed::{Decode, Grids, Packed, Place};
use scores::{Scores, ScoresCall};
use simd::{F8, Simd};
use smartkv_core::{Bits, Digits, Format, Kernels, Queries, Reference, Role, Rows, RowsMut, Tiles};
use softmax::SoftmaxPart;
use std::sync::LazyLock;

/// Queries that share an unpacked value in registers.
const FEW: usize = 4;
/// Queries from which unpacking a tile of keys for all of them pays.
const MANY_SCORES: usize = 12;
/// The same for values, which cost little to unpack again.
const MANY_MIX: usize = 32;

/// What this processor runs, fastest first.
pub(crate) fn detected() -> impl Iterator<Item = &'static dyn Kernels> {
    let mut seen = Vec::new();
    variants().filter(move |kernels| {
        let new = !seen.contains(&kernels.name());
        seen.push(kernels.name());
        new
    })
}

/// The same, with sets that are not used because there is a better one of that name.
pub(crate) fn variants() -> impl Iterator<Item = &'static dyn Kernels> {
    /// All that one pair of sets needs to be detected once.
    macro_rules! detect {
        ($($simd:ty, $int:ty;)*) => {
            [$({
                static KERNELS: LazyLock<Option<Cpu<$simd, $int>>> = LazyLock::new(|| {
                    let simd = <$simd as Simd>::detect()?;
                    Some(Cpu(simd, <$int>::detect(simd)?))
                });
                KERNELS.as_ref().map(|kernels| kernels as &'static dyn Kernels)
            }),*]
        };
    }
    let all = detect! {
        Avx512, Zmm<true>;
        Avx512, Zmm<false>;
        Avx2, Ymm<true>;
        Avx2, Ymm<false>;
    };
    all.into_iter().flatten()
}

/// Kernels on one instruction set, and what it has for integers.
#[derive(Debug)]
struct Cpu<S, I>(S, I);

/// Calls a function that is generic in a set and a number of bits, for a format.
///
/// A shape whose groups end within a vector takes the narrower set.
macro_rules! dispatch {
    ($simd:expr, $format:expr, $head_dim:expr, $function:ident($($argument:expr),*)) => {
        if packed::fits::<S>($format, $head_dim) {
            dispatch!(@bits $simd, $format, $function($($argument),*))
        } else {
            dispatch!(@bits $simd.narrow(), $format, $function($($argument),*))
        }
    };
    (@bits $simd:expr, $format:expr, $function:ident($($argument:expr),*)) => {
        match $format.bits {
            Bits::B2 => $function::<_, 2>($simd, $($argument),*),
            Bits::B3 => $function::<_, 3>($simd, $($argument),*),
            Bits::B4 => $function::<_, 4>($simd, $($argument),*),
            Bits::B8 => $function::<_, 8>($simd, $($argument),*),
            Bits::F16 => $function::<_, 16>($simd, $($argument),*),
            Bits::F8 => $function::<_, F8>($simd, $($argument),*),
        }
    };
}

impl<S: Simd, I: Integers> Kernels for Cpu<S, I> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn scores(&self, keys: Rows<'_>, q: &[f32], out: &mut [f32], stride: usize) {
        if !packed::takes::<S>(keys.format, keys.head_dim) {
            return Reference.scores(keys, q, out, stride);
        }
        let n = queries(q, keys.head_dim);
        if n == 0 || keys.len == 0 {
            return;
        }
        assert!(
            n == 1 || stride >= keys.len,
            "stride {stride} for {} scores",
            keys.len
        );
        assert!(
            out.len() >= (n - 1) * stride + keys.len,
            "scores: too short"
        );
        dispatch!(
            self.0,
            keys.format,
            keys.head_dim,
            scores(keys, q, out, stride)
        );
    }

    fn mix(&self, values: Rows<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
        if !packed::takes::<S>(values.format, values.head_dim) {
            return Reference.mix(values, p, stride, acc);
        }
        let n = queries(acc, values.head_dim);
        if n == 0 || values.len == 0 {
            return;
        }
        assert!(
            p.len() >= (n - 1) * stride + values.len,
            "weights: too short"
        );
        dispatch!(
            self.0,
            values.format,
            values.head_dim,
            mix(values, p, stride, acc)
        );
    }

    fn softmax_part(&self, x: &mut [f32]) -> (f32, f32) {
        self.0.vectorize(SoftmaxPart { x })
    }

    fn softcap(&self, x: &mut [f32], offset: f32, cap: f32) {
        Elementwise::best().softcap(x, offset, cap);
    }

    fn add_rows(&self, x: &[f32], stride: usize, weights: &[f32], out: &mut [f32]) {
        self.0.vectorize(AddRows {
            x,
            stride,
            weights,
            out,
        });
    }

    fn encode(&self, format: Format, head_dim: usize, x: &[f32], out: RowsMut<'_>) {
        if !encode::takes(format, head_dim) {
            return Reference.encode(format, head_dim, x, out);
        }
        encode::rows(self.0, format, head_dim, x, out);
    }

    fn decode(&self, rows: Rows<'_>, out: &mut [f32]) {
        if !packed::takes::<S>(rows.format, rows.head_dim) {
            return Reference.decode(rows, out);
        }
        dispatch!(self.0, rows.format, rows.head_dim, decode(rows, out));
    }

    fn split_queries(&self, format: Format, head_dim: usize, q: &[f32], digits: &mut Digits) {
        int::split_queries(self.1, format, head_dim, q, digits);
    }

    fn score_tiles(&self, keys: Tiles<'_>, q: Queries<'_>, out: &mut [f32], stride: usize) {
        if !int::takes(keys.format, keys.head_dim, Role::Keys) {
            return Reference.score_tiles(keys, q, out, stride);
        }
        int::scores(self.1, keys, q, out, stride);
    }

    fn mix_tiles(&self, values: Tiles<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
        if !int::takes(values.format, values.head_dim, Role::Values) {
            return Reference.mix_tiles(values, p, stride, acc);
        }
        int::mix(self.1, values, p, stride, acc);
    }

    fn encode_tiles(
        &self,
        format: Format,
        role: Role,
        head_dim: usize,
        x: &[f32],
        out: RowsMut<'_>,
    ) {
        if !encode::takes_tiles(format, head_dim) {
            return Reference.encode_tiles(format, role, head_dim, x, out);
        }
        encode::tiles(self.0, format, role, head_dim, x, out);
    }

    fn decode_tiles(&self, tiles: Tiles<'_>, out: &mut [f32]) {
        if !encode::takes_tiles(tiles.format, tiles.head_dim) {
            return Reference.decode_tiles(tiles, out);
        }
        untile::decode(self.0, tiles, out);
    }
}

/// Number of rows of a `[n, head_dim]` slice.
fn queries(rows: &[f32], head_dim: usize) -> usize {
    assert!(
        rows.len().is_multiple_of(head_dim),
        "{} values in rows of {head_dim}",
        rows.len()
    );
    rows.len() / head_dim
}

/// [`Kernels::scores`] on one set, for one width of codes.
fn scores<S: Simd, const BITS: usize>(
    simd: S,
    keys: Rows<'_>,
    q: &[f32],
    out: &mut [f32],
    stride: usize,
) {
    let (n, head_dim) = (q.len() / keys.head_dim, keys.head_dim);
    let keys = &Packed::new::<S>(keys);
    if n >= MANY_SCORES {
        return tile::scores::<S, BITS>(simd, keys, q, out, stride);
    }
    for (i, count) in parts(n, FEW) {
        let call = ScoresCall {
            keys,
            q: &q[i * head_dim..(i + count) * head_dim],
            out: &mut out[i * stride..],
            stride,
        };
        match (count, keys.pairs::<S>()) {
            (1, false) => simd.vectorize(Scores::<BITS, 1, false>(call)),
            (2, false) => simd.vectorize(Scores::<BITS, 2, false>(call)),
            (3, false) => simd.vectorize(Scores::<BITS, 3, false>(call)),
            (_, false) => simd.vectorize(Scores::<BITS, 4, false>(call)),
            (1, true) => simd.vectorize(Scores::<BITS, 1, true>(call)),
            (2, true) => simd.vectorize(Scores::<BITS, 2, true>(call)),
            (3, true) => simd.vectorize(Scores::<BITS, 3, true>(call)),
            (_, true) => simd.vectorize(Scores::<BITS, 4, true>(call)),
        }
    }
}

/// [`Kernels::mix`] on one set, for one width of codes.
fn mix<S: Simd, const BITS: usize>(
    simd: S,
    values: Rows<'_>,
    p: &[f32],
    stride: usize,
    acc: &mut [f32],
) {
    let (n, head_dim) = (acc.len() / values.head_dim, values.head_dim);
    let values = &Packed::new::<S>(values);
    if n >= MANY_MIX {
        return tile::mix::<S, BITS>(simd, values, p, stride, acc);
    }
    for (i, count) in parts(n, FEW) {
        let call = MixCall {
            values,
            p: &p[i * stride..],
            stride,
            acc: &mut acc[i * head_dim..(i + count) * head_dim],
        };
        match (count, values.pairs::<S>()) {
            (1, false) => simd.vectorize(Mix::<BITS, 1, false>(call)),
            (2, false) => simd.vectorize(Mix::<BITS, 2, false>(call)),
            (3, false) => simd.vectorize(Mix::<BITS, 3, false>(call)),
            (_, false) => simd.vectorize(Mix::<BITS, 4, false>(call)),
            (1, true) => simd.vectorize(Mix::<BITS, 1, true>(call)),
            (2, true) => simd.vectorize(Mix::<BITS, 2, true>(call)),
            (3, true) => simd.vectorize(Mix::<BITS, 3, true>(call)),
            (_, true) => simd.vectorize(Mix::<BITS, 4, true>(call)),
        }
    }
}

/// [`Kernels::decode`] on one set, for one width of codes.
fn decode<S: Simd, const BITS: usize>(simd: S, rows: Rows<'_>, out: &mut [f32]) {
    let (count, place) = (rows.len, Place::plain::<S>(rows.head_dim));
    let rows = &Packed::new::<S>(rows);
    let grids = &mut Grids::new(rows.groups);
    simd.vectorize(Decode::<BITS> {
        rows,
        start: 0,
        count,
        out,
        place,
        grids,
    });
}
