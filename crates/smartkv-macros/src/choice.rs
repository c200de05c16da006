//! `#[config]` on an enum: a parameter that is one of a few words.

use crate::config::doc_text;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Fields, ItemEnum, Result};

pub(crate) fn expand(item: &ItemEnum) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        let message = "a parameter cannot be generic";
        return Err(syn::Error::new_spanned(&item.generics, message));
    }
    let mut names = Vec::new();
    let mut docs = Vec::new();
    for variant in &item.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message = "expected variants without fields: the value is one word";
            return Err(syn::Error::new_spanned(variant, message));
        }
        let text = doc_text(&variant.attrs);
        if text.is_empty() {
            let message = "missing doc comment: it is the manual of this choice";
            return Err(syn::Error::new_spanned(&variant.ident, message));
        }
        names.push(snake_case(&variant.ident.to_string()));
        docs.push(text);
    }
    let marked =
        |variant: &syn::Variant| variant.attrs.iter().any(|a| a.path().is_ident("default"));
    let default = item.variants.iter().any(marked).then(|| quote!(Default,));
    let ident = &item.ident;
    let serde_path = "::smartkv_core::__private::serde";
    Ok(quote! {
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, #default
            ::smartkv_core::__private::serde::Serialize,
            ::smartkv_core::__private::serde::Deserialize,
        )]
        #[serde(crate = #serde_path, rename_all = "snake_case")]
        #item

        impl ::smartkv_core::Parameter for #ident {
            fn type_name() -> ::std::string::String {
                ::smartkv_core::parameter::choice_name(&[#((#names, #docs)),*])
            }

            fn schema() -> ::smartkv_core::__private::serde_json::Value {
                ::smartkv_core::parameter::choice_schema(&[#((#names, #docs)),*])
            }
        }
    })
}

/// As serde's `rename_all = "snake_case"`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, c) in name.char_indices() {
        if c.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
