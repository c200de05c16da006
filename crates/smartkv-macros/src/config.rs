//! `#[config]` on a struct: its documentation is its manual.

use crate::{choice, range};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, Fields, Item, ItemStruct, Lit, Meta, Result};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    match syn::parse2(item)? {
        Item::Struct(item) => plugin(item),
        Item::Enum(item) => choice::expand(&item),
        other => Err(syn::Error::new_spanned(
            other,
            "expected a struct or an enum",
        )),
    }
}

fn plugin(mut item: ItemStruct) -> Result<TokenStream> {
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
    let mut numeric = Vec::new();
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
                let key = name.unraw().to_string();
                let ty = &field.ty;
                let range = if let Some(range) = range::take(&mut field.attrs)? {
                    numeric.push(quote_spanned! {ty.span()=>
                        const _: () = assert!(
                            <#ty as ::smartkv_core::Parameter>::NUMERIC,
                            "`#[range]` is for numbers",
                        );
                    });
                    quote!(::core::option::Option::Some(#range))
                } else {
                    quote!(::core::option::Option::None)
                };
                let parameter = quote_spanned!(ty.span()=> <#ty as ::smartkv_core::Parameter>);
                fields.push(quote!(::smartkv_core::registry::Field {
                    name: #key,
                    docs: #text,
                    type_name: #parameter::type_name,
                    schema: #parameter::schema,
                    range: #range,
                    optional: #parameter::OPTIONAL,
                    plugin: #parameter::PLUGIN,
                }));
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
            impl ::smartkv_core::registry::Documented for #ident {
                const DOCS: &'static str = #docs;
                const FIELDS: &'static [::smartkv_core::registry::Field] = &[#(#fields),*];
            }
            #(#numeric)*
        };
    })
}

/// The doc comment of an item as text, one leading space per line removed.
pub(crate) fn doc_text(attrs: &[Attribute]) -> String {
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
