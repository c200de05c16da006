//! Every quantizer stores what its paper's formula stores, written down once more in f64.
//!
//! A cache is driven with seeded queries, keys and values; each test computes what the formula
//! keeps of them and attends to that with plain softmax attention. Where a wrong formula is close
//! at hand (scales along the other axis, no rotation), it is shown to be told apart.
#![allow(clippy::cast_precision_loss, reason = "small counts")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers narrowed on purpose"
)]

mod fp8;
mod kivi;
mod mikv;
mod mixed;
mod plain;
mod rotated;
mod rounding;
mod turboquant;
mod uniform;
mod zipcache;
