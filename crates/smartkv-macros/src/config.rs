//! `#[config]`: a struct whose documentation is its manual.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, Fields, ItemStruct, Lit, Meta, Result};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let mut item: ItemStruct = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            item.generics,
            "a plugin cannot be generic",
        ));
    }
    let docs = doc_text(&item.attrs);
    if docs.is_empty() {
        let message = "missing doc comment: its first line is the summary shown to users";
        return Err(syn::Error::new_spanned(&item.ident, message));
    }

    let mut fields = Vec::new();
    let mut defaults = Vec::new();
    match &mut item.fields {
        Fields::Named(named) => {
            for field in &mut named.named {
                let name = field.ident.clone().expect("named field");
                let text = doc_text(&field.attrs);
                if text.is_empty() {
                    let message = "missing doc comment: it is the manual of this parameter";
                    return Err(syn::Error::new_spanned(&name, message));
                }
                let default = take_default(&mut field.attrs)?;
                defaults.push(if let Some(expr) = default {
                    quote!(#name: #expr)
                } else {
                    quote!(#name: ::core::default::Default::default())
                });
                let key = name.to_string();
                fields.push(quote!(FieldDoc { name: #key, docs: #text }));
            }
        }
        Fields::Unit => {}
        Fields::Unnamed(_) => {
            let message = "expected named fields, or none";
            return Err(syn::Error::new_spanned(&item.ident, message));
        }
    }

    let ident = &item.ident;
    // A unit struct cannot take part in an internally tagged map with strict fields: give it
    // braces.
    if matches!(item.fields, Fields::Unit) {
        item.fields = Fields::Named(syn::parse_quote!({}));
        item.semi_token = None;
    }
    let serde_path = "::smartkv_core::__private::serde";
    Ok(quote! {
        #[derive(
            Debug,
            ::smartkv_core::__private::serde::Serialize,
            ::smartkv_core::__private::serde::Deserialize,
        )]
        #[serde(crate = #serde_path, default, deny_unknown_fields)]
        #item

        impl ::core::default::Default for #ident {
            fn default() -> Self {
                Self { #(#defaults),* }
            }
        }

        const _: () = {
            use ::smartkv_core::registry::{Documented, FieldDoc};
            impl Documented for #ident {
                const DOCS: &'static str = #docs;
                const FIELDS: &'static [FieldDoc] = &[#(#fields),*];
            }
        };
    })
}

/// The doc comment of an item as text, one leading space per line removed.
fn doc_text(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => {
                    let text = text.value();
                    Some(text.strip_prefix(' ').unwrap_or(&text).to_string())
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_string()
}

fn take_default(attrs: &mut Vec<Attribute>) -> Result<Option<Expr>> {
    let Some(index) = attrs
        .iter()
        .position(|attr| attr.path().is_ident("default"))
    else {
        return Ok(None);
    };
    attrs.remove(index).parse_args::<Expr>().map(Some)
}
