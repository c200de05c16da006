//! The vocabulary and the cache engine of smartkv.
//!
//! A decoder layer needs one thing from its cache: given this step's queries, keys and values,
//! the attention output. So a host hands exactly that to a [`KvHook`], and a [`Strategy`] decides
//! everything behind it: what is kept, and in how many bits. [`Cache`] is the engine that executes
//! strategies on real packed buffers.
#![forbid(unsafe_code)]
// The attribute macros name this crate from outside; inside its own tests they need it too.
extern crate self as smartkv_core;

pub mod budget;
pub mod cache;
pub mod calibration;
pub mod codebook;
pub mod contract;
pub mod error;
pub mod format;
mod guard;
pub mod hook;
pub mod kernels;
pub mod layout;
pub mod memory;
pub mod pack;
pub mod packed;
pub mod parameter;
pub mod place;
pub mod range;
pub mod registry;
pub mod rope;
pub mod schema;
pub mod shape;
pub mod simulation;
pub mod strategy;
pub mod trace;

pub use budget::Budget;
pub use cache::{Cache, CacheBuilder, PlanWork, Prefill};
pub use calibration::{Calibration, Sampler, Samples};
pub use codebook::Codebook;
pub use error::{Error, Result};
pub use format::{Axis, Bits, Format};
pub use hook::{AttnStep, KvHook, MeasuredHook};
pub use kernels::{DigitParts, Digits, Kernels, Queries, Reference, Rows, RowsMut, Tiles};
pub use layout::{Balance, Layout, Pages, Rotation, Tier};
pub use memory::Memory;
pub use packed::{PackedRows, Role, TILE_ROWS};
pub use parameter::Parameter;
pub use place::{Move, Place, Plan};
pub use range::Range;
pub use rope::{Rope, Ropes};
pub use shape::CacheShape;
pub use simulation::{Block, Simulation};
pub use smartkv_macros::{allocator, config, split, strategy, task, tracker};
pub use strategy::{
    Allocator, Infeasible, LaneRows, Lanes, Offer, PlanCx, Problem, QueryStatistics, RowTable, Run,
    Seen, Split, Strategy, Tracker, Watch,
};
pub use trace::{Trace, TraceRecorder};

/// What the attribute macros expand to; not for people.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;
    pub use serde_json;
    pub use typetag;
}
