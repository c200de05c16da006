//! Attention kernels on packed data, chosen at run time.
//!
//! [`best`] gives the fastest implementation the processor supports, so that a plain build is
//! fast everywhere; [`by_name`] and [`available`] let a user choose. Every implementation
//! computes what [`Reference`] computes, which [`conformance`](mod@conformance) checks:
//! encoding bit for bit, everything else to f32 rounding.
//!
//! On x86-64 there are `avx512` and `avx2`. Tiles of integer codes, which most rows lie in, are
//! multiplied as integers: queries and weights are split into digits, so that products are exact
//! and instructions that add up four of them at once do the work. Other rows are unpacked to f32.
//! Either is written once over a small vector trait. A packed key or value is unpacked in
//! registers and shared by up to four queries, which is what decoding with grouped queries needs;
//! when a call has many queries, as a prompt does, tiles are unpacked once for all of them.
//!
//! On 64-bit ARM there is `neon`, for tiles. Other processors use [`Reference`].
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]

pub mod conformance;
#[cfg(target_arch = "x86_64")]
mod cpu;
pub mod elementwise;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod int;
#[cfg(target_arch = "aarch64")]
mod neon;

pub use conformance::conformance;
pub use elementwise::Elementwise;
use smartkv_core::{Kernels, Reference};

/// The fastest kernels that this processor runs.
#[must_use]
pub fn best() -> &'static dyn Kernels {
    supported().next().unwrap_or(&Reference)
}

/// The kernels called `name`, if this processor runs them.
///
/// ```
/// assert_eq!(smartkv_kernels::by_name("scalar").unwrap().name(), "scalar");
/// assert!(smartkv_kernels::by_name("abacus").is_none());
/// ```
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Kernels> {
    supported().find(|kernels| kernels.name() == name)
}

/// Names of the kernels that this processor runs, fastest first.
#[must_use]
pub fn available() -> Vec<&'static str> {
    supported().map(|kernels| kernels.name()).collect()
}

/// What this processor runs, with variants that a better one of the same name hides: for tests.
#[doc(hidden)]
#[must_use]
pub fn variants() -> Vec<&'static dyn Kernels> {
    #[cfg(target_arch = "x86_64")]
    let vectors = cpu::variants();
    #[cfg(target_arch = "aarch64")]
    let vectors = neon::variants();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let vectors = std::iter::empty();
    vectors.collect()
}

/// Everything this processor runs, fastest first.
fn supported() -> impl Iterator<Item = &'static dyn Kernels> {
    #[cfg(target_arch = "x86_64")]
    let vectors = cpu::detected();
    #[cfg(target_arch = "aarch64")]
    let vectors = neon::detected();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let vectors = std::iter::empty();
    let scalar: &'static dyn Kernels = &Reference;
    vectors.chain([scalar])
}
