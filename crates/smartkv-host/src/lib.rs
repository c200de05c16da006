//! The decoder that smartkv measures: weights, tokenizer, chat template, forward pass, sampling.
//!
//! A [`Model`] owns no cache: in each layer it hands queries, keys and values to a
//! [`KvHook`](smartkv_core::KvHook) and takes the attention output back. [`PlainCache`] is the
//! exact hook that every other cache is compared with.
//!
//! ```no_run
//! use smartkv_host::{LoadOptions, LogitsFor, Model, PlainCache};
//!
//! # fn main() -> smartkv_host::Result<()> {
//! let model = Model::load("SmolLM2-135M-Instruct.Q4_1.gguf", LoadOptions::default())?;
//! let prompt = model.tokenizer().encode("The capital of France is", true)?;
//! let mut cache = PlainCache::new(model.cache_shape(1)?);
//! let logits = model.prefill(&[&prompt], &mut cache, 256, LogitsFor::Last)?;
//! let next = smartkv_host::argmax(logits.row(0, 0))?;
//! println!("{}", model.tokenizer().decode(&[next])?);
//! # Ok(())
//! # }
//! ```
// `forbid` is out of reach because mapping a file is `unsafe`, as is a call of the C library:
// `weights/map.rs` and `heap.rs` hold the uses.
#![deny(unsafe_code)]

mod between;
pub mod description;
pub mod error;
mod files;
mod forward;
mod heap;
mod layer;
mod linear;
mod logits;
mod model;
mod plain;
mod ragged;
mod rope;
pub mod sampling;
mod scratch;
pub mod template;
pub mod tokenizer;
pub mod weights;

pub use description::{Activation, Description, LayerAttention, Norm, Rope, RopeScaling};
pub use error::{Error, Result};
pub use logits::{Logits, LogitsFor};
pub use model::{LoadOptions, Model};
pub use plain::PlainCache;
pub use rope::RopeTable;
pub use sampling::{Sampler, Sampling, argmax};
pub use template::{ChatTemplate, Message};
pub use tokenizer::{TextStream, Tokenizer};
pub use weights::WeightMode;
