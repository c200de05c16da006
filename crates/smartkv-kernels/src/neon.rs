//! Kernels of 64-bit ARM processors: on tiles those of [`int`](crate::int), and the reference's
//! for everything else.

use crate::int::{self, Integers, Neon};
use smartkv_core::{Digits, Format, Kernels, Queries, Reference, Role, Rows, Tiles};
use std::sync::LazyLock;

/// What this processor runs, fastest first.
pub(crate) fn detected() -> impl Iterator<Item = &'static dyn Kernels> {
    variants().take(1)
}

/// The same, with sets that are not used because there is a better one of that name.
pub(crate) fn variants() -> impl Iterator<Item = &'static dyn Kernels> {
    static MIXED: LazyLock<Option<Arm<Neon<true>>>> = LazyLock::new(|| Neon::detect().map(Arm));
    static PLAIN: LazyLock<Option<Arm<Neon<false>>>> = LazyLock::new(|| Neon::detect().map(Arm));
    let mixed = MIXED.as_ref().map(|kernels| kernels as &dyn Kernels);
    let plain = PLAIN.as_ref().map(|kernels| kernels as &dyn Kernels);
    mixed.into_iter().chain(plain)
}

/// Kernels on one instruction set.
#[derive(Debug)]
struct Arm<I>(I);

impl<I: Integers> Kernels for Arm<I> {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn scores(&self, keys: Rows<'_>, q: &[f32], out: &mut [f32], stride: usize) {
        Reference.scores(keys, q, out, stride);
    }

    fn mix(&self, values: Rows<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
        Reference.mix(values, p, stride, acc);
    }

    fn split_queries(&self, format: Format, head_dim: usize, q: &[f32], digits: &mut Digits) {
        int::split_queries(self.0, format, head_dim, q, digits);
    }

    fn score_tiles(&self, keys: Tiles<'_>, q: Queries<'_>, out: &mut [f32], stride: usize) {
        if !int::takes(keys.format, keys.head_dim, Role::Keys) {
            return Reference.score_tiles(keys, q, out, stride);
        }
        int::scores(self.0, keys, q, out, stride);
    }

    fn mix_tiles(&self, values: Tiles<'_>, p: &[f32], stride: usize, acc: &mut [f32]) {
        if !int::takes(values.format, values.head_dim, Role::Values) {
            return Reference.mix_tiles(values, p, stride, acc);
        }
        int::mix(self.0, values, p, stride, acc);
    }
}
