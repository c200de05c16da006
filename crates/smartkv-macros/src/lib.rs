//! Attributes that register strategies and their parts.
//!
//! A plugin is a struct and one trait impl, in one file:
//!
//! ```ignore
//! /// Keeps everything in 4 bits.
//! #[config]
//! pub struct Simple {
//!     /// Channels that share a scale; 0 is the whole head.
//!     #[default(32)]
//!     pub group_size: usize,
//! }
//!
//! #[strategy("simple", family = "quantizer", paper = "arXiv 0000.00000")]
//! impl Strategy for Simple { /* ... */ }
//! ```
//!
//! `#[config]` derives `Debug`, `Default` and strict serde, and keeps the doc comments as the
//! manual: a field without one does not compile. `#[strategy]`, `#[tracker]`, `#[allocator]` and
//! `#[split]` emit the typetag impl and the registry entry from one name.

mod config;
mod register;

use proc_macro::TokenStream;

/// Turns a struct into a plugin configuration. Fields take `#[default(expr)]`.
#[proc_macro_attribute]
pub fn config(args: TokenStream, item: TokenStream) -> TokenStream {
    if !args.is_empty() {
        let error = syn::Error::new(
            proc_macro2::Span::call_site(),
            "`config` takes no arguments",
        );
        return error.to_compile_error().into();
    }
    config::expand(item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Registers an `impl Strategy for T`: `#[strategy("name", family = "…", paper = "…")]`.
#[proc_macro_attribute]
pub fn strategy(args: TokenStream, item: TokenStream) -> TokenStream {
    register::expand("Strategy", args.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Registers an `impl Tracker for T`.
#[proc_macro_attribute]
pub fn tracker(args: TokenStream, item: TokenStream) -> TokenStream {
    register::expand("Tracker", args.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Registers an `impl Allocator for T`.
#[proc_macro_attribute]
pub fn allocator(args: TokenStream, item: TokenStream) -> TokenStream {
    register::expand("Allocator", args.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Registers an `impl Split for T`.
#[proc_macro_attribute]
pub fn split(args: TokenStream, item: TokenStream) -> TokenStream {
    register::expand("Split", args.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}
