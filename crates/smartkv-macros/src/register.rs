//! `#[strategy]`, `#[tracker]`, `#[task]` and their like: one name, two registrations.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{ItemImpl, LitStr, Result, Token, Type};

/// `"name", key = "value", …`
struct Args {
    name: LitStr,
    family: String,
    paper: Option<String>,
    storage: Option<Ident>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: LitStr = input.parse()?;
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if name.value().is_empty() || !name.value().chars().all(valid) {
            let message = "a name is lower-case ASCII letters, digits, `_` and `-`";
            return Err(syn::Error::new(name.span(), message));
        }
        let mut args = Self {
            name,
            family: "other".to_string(),
            paper: None,
            storage: None,
        };
        while input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value: LitStr = input.parse()?;
            match key.to_string().as_str() {
                "family" => args.family = value.value(),
                "paper" => args.paper = Some(value.value()),
                "storage" => args.storage = Some(storage(&value)?),
                _ => {
                    let message = "expected `family`, `paper` or `storage`";
                    return Err(syn::Error::new(key.span(), message));
                }
            }
        }
        Ok(args)
    }
}

/// The variant of `Storage` that a word stands for.
fn storage(word: &LitStr) -> Result<Ident> {
    let variant = match word.value().as_str() {
        "packed" => "Packed",
        "simulated" => "Simulated",
        _ => {
            let message = "expected \"packed\" or \"simulated\"";
            return Err(syn::Error::new(word.span(), message));
        }
    };
    Ok(Ident::new(variant, word.span()))
}

pub(crate) fn expand(kind: &str, args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Args {
        name,
        family,
        paper,
        storage,
    } = syn::parse2(args)?;
    let item: ItemImpl = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            item.generics,
            "a plugin cannot be generic",
        ));
    }
    let implements = item
        .trait_
        .as_ref()
        .and_then(|(_, path, _)| path.segments.last());
    if implements.is_none_or(|segment| segment.ident != kind) {
        let message = format!("expected `impl {kind} for …`");
        return Err(syn::Error::new_spanned(&item.self_ty, message));
    }
    let Type::Path(target) = item.self_ty.as_ref() else {
        return Err(syn::Error::new_spanned(
            &item.self_ty,
            "expected a type name",
        ));
    };
    // Paths in full: what a `use` brings would hide the plugin's own types of those names.
    let registry = quote!(::smartkv_core::registry);
    let private = quote!(::smartkv_core::__private);
    let storage = match storage {
        Some(storage) if kind != "Strategy" => {
            let message = "only strategies store something";
            return Err(syn::Error::new(storage.span(), message));
        }
        Some(storage) => quote!(::core::option::Option::Some(#registry::Storage::#storage)),
        None if kind == "Strategy" => {
            quote!(::core::option::Option::Some(#registry::Storage::Packed))
        }
        None => quote!(::core::option::Option::None),
    };
    // Tasks know models and tokenizers, so their trait is not the core's.
    let home = if kind == "Task" {
        quote!(::smartkv_eval::task)
    } else {
        quote!(::smartkv_core::strategy)
    };
    let kind = Ident::new(kind, Span::call_site());
    let paper = if let Some(text) = paper {
        quote!(::core::option::Option::Some(#text))
    } else {
        quote!(::core::option::Option::None)
    };
    // typetag's expansion says `typetag::…`, hence the one `use` inside the block.
    Ok(quote! {
        const _: () = {
            use #private::typetag;

            #[typetag::serde(name = #name)]
            #item

            #private::inventory::submit! {
                #registry::Entry {
                    kind: #registry::Kind::#kind,
                    name: #name,
                    family: #family,
                    storage: #storage,
                    paper: #paper,
                    docs: <#target as #registry::Documented>::DOCS,
                    fields: <#target as #registry::Documented>::FIELDS,
                    crate_name: ::core::env!("CARGO_PKG_NAME"),
                    example: || {
                        let value: ::std::boxed::Box<dyn #home::#kind> =
                            ::std::boxed::Box::new(<#target as ::core::default::Default>::default());
                        #private::serde_json::to_value(&value)
                    },
                }
            }
        };
    })
}
