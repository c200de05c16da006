//! Models, texts and data sets by name: where they come from and where they are kept.
//!
//! [`resolve_model`] turns what a user wrote after `--model` into a path, looking in the order
//! path, own cache, Hugging Face cache, and only then at the sources that need a network: the
//! Hugging Face hub and Python packages. [`resolve_text`] does the same for plain text, and [`Datasets`] for the files
//! that tasks read.
//!
//! Three rules hold throughout. Nothing is found under its final name unless it is whole and has
//! the digest it should have. What a cut connection left behind is taken up again. The
//! environment is read in one place, [`Policy::from_env`], and everything else is told.

mod cache;
mod catalogue;
mod client;
mod dataset;
mod digest;
mod disk;
mod error;
mod facts;
mod fetch;
mod glob;
mod hints;
mod http;
mod hub;
mod hub_cache;
mod pip;
mod policy;
mod progress;
mod resolve;
mod spec;
mod text;
mod text_rows;
mod wheel;

pub use cache::{AssetCache, FileRecord, Record};
pub use catalogue::{
    Catalogue, Entry, FileEntry, Format, HubSource, PipSource, RowsSource, Source,
};
pub(crate) use client::{builder as client_builder, innermost};
pub use dataset::Datasets;
pub use digest::{sha256_bytes, sha256_file, sha256_model};
pub use disk::free_bytes;
pub use error::{AssetError, Tried};
pub use facts::model_facts;
pub use http::{Download, Expected};
pub use hub_cache::HubCache;
pub use pip::find_pip;
pub(crate) use pip::find_program;
pub use policy::{Policy, Token};
pub use progress::{Progress, Task, human_bytes};
pub use resolve::{Located, Place, locate, locate_entry, resolve_model};
pub use spec::{HubRef, ModelSpec};
pub use text::{Text, builtin_text, resolve_text};

/// What every fallible function here returns.
pub type Result<T, E = AssetError> = std::result::Result<T, E>;
