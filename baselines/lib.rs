//! Published and plain KV-cache strategies to compare against.
//!
//! One file per method, and nothing else to edit: the build finds the files of this folder, and
//! each registers itself.
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/modules.rs"));
