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
//!     #[range(0..=128)]
//!     pub group_size: usize,
//! }
//!
//! #[strategy("simple", family = "quantizer", paper = "arXiv 0000.00000")]
//! impl Strategy for Simple { /* ... */ }
//! ```
//!
//! `#[config]` derives `Debug`, `Default` and strict serde, and keeps doc comments, types and
//! ranges as the manual: a field without a doc comment does not compile. `#[strategy]`,
//! `#[tracker]`, `#[allocator]`, `#[split]` and `#[task]` emit the typetag impl and the registry
//! entry from one name.

mod choice;
mod config;
mod range;
mod register;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Turns a struct into a plugin configuration, or a fieldless enum into the type of a parameter.
///
/// Fields take `#[default(expr)]` and, where they are numbers, `#[range(0.0..1.0)]`,
/// `#[range(1..)]`, `#[range(..=5)]` or, without the lower end, `#[range(above 0.0..=1.0)]`.
/// Variants of an enum are written in `snake_case`, and one may be the `#[default]`.
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

/// One attribute for every kind of plugin, named as `smartkv_core::registry::Kind` names it.
macro_rules! kinds {
    ($($(#[$docs:meta])* $attribute:ident $kind:literal;)*) => {$(
        $(#[$docs])*
        #[proc_macro_attribute]
        pub fn $attribute(args: TokenStream, item: TokenStream) -> TokenStream {
            register::expand($kind, args.into(), item.into())
                .unwrap_or_else(|e| e.to_compile_error())
                .into()
        }
    )*};
}

kinds! {
    /// Registers an `impl Strategy for T`:
    /// `#[strategy("name", family = "…", paper = "…", storage = "packed")]`. `storage` is `packed`
    /// unless a method is computed on full precision and its bytes are a claim: `simulated`.
    strategy "Strategy";
    /// Registers an `impl Tracker for T`.
    tracker "Tracker";
    /// Registers an `impl Allocator for T`.
    allocator "Allocator";
    /// Registers an `impl Split for T`.
    split "Split";
    /// Registers an `impl Task for T`, whose crate depends on `smartkv-core` and `smartkv-eval`.
    task "Task";
}
